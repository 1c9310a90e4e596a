//! Any bytes as any frame between a client and a server.

use crate::unix::{Answer, Greeting, Item, Items, Opening, Request, Token, Welcome};

/// Reads `data` as each kind of frame, and checks that what makes sense is written back as it was.
///
/// # Panics
///
/// If a frame is not written as it was read, or has more in it than there is.
pub fn served_frames(data: &[u8]) {
    if let Ok(opening) = Greeting::parse(data) {
        let written = Greeting::new(opening);
        let name = match opening {
            Opening::File { name } => name,
            _ => "",
        };
        let again = [written.as_frame(), name.as_bytes()].concat();
        assert_eq!(Greeting::parse(&again), Ok(opening));
    }
    if let Ok(answer) = Welcome::parse(data) {
        let written = Welcome::new(answer.as_ref().map_err(|&errno| errno));
        assert_eq!(Welcome::parse(written.as_frame()), Ok(answer));
    }
    if let Some(number) = Token::parse(data) {
        assert_eq!(Token::new(number).as_frame(), data);
    }
    if let Ok((request, rest)) = Request::parse(data) {
        assert_eq!([request.as_head(), rest].concat(), data);
        items(rest);
    }
    if let Ok((answer, rest)) = Answer::parse(data) {
        assert_eq!([answer.as_head(), rest].concat(), data);
        items(rest);
    }
}

/// All items, written again, are what they were read from, up to the first that makes no sense.
fn items(bytes: &[u8]) {
    let mut written = Vec::new();
    for item in Items::new(bytes).map_while(Result::ok) {
        let Item { datagram_len, bytes, .. } = item;
        assert!(bytes.len() <= datagram_len as usize);
        item.write(&mut written);
    }
    assert!(bytes.starts_with(&written));
}
