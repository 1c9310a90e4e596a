//! Any bytes through every decoder.

use core::fmt;
use core::hint::black_box;
use std::format;

use zerocopy::{BigEndian, ByteOrder, LittleEndian};

use crate::ip_queue::{self, Listener, datagram};
use crate::{Abi, DataModel, Ilp32, Lp64, netlink, nfqueue};

/// Reads `data` as a datagram of either protocol, of each kind of kernel, whole and as the beginning of a longer one,
/// and prints whatever comes of it.
///
/// # Panics
///
/// If a decoder or the printing of what it returns does.
pub fn decode_any(data: &[u8]) {
    for model in DataModel::ALL {
        match datagram(model, data) {
            Ok((header, message)) => {
                print(&header);
                print(&message);
            }
            Err(error) => print(&error),
        }
        for privileged in [false, true] {
            black_box(Listener::default().hear(model, privileged, data));
        }
    }
    in_order::<Ilp32<LittleEndian>, Lp64<LittleEndian>, LittleEndian>(data);
    in_order::<Ilp32<BigEndian>, Lp64<BigEndian>, BigEndian>(data);
}

/// All messages of a datagram in the byte order `O`, with both word sizes where these matter.
fn in_order<Narrow, Wide, O>(data: &[u8])
where
    Narrow: Abi<Order = O>,
    Wide: Abi<Order = O>,
    O: ByteOrder + 'static,
{
    for message in netlink::messages::<O>(data) {
        match message {
            Ok(message) => {
                black_box(format!("{message:?}"));
                print_result(&ip_queue::Message::decode::<Narrow>(&message));
                print_result(&ip_queue::Message::decode::<Wide>(&message));
                print_result(&nfqueue::Message::decode::<O>(&message));
            }
            Err(error) => print(&error),
        }
    }
    if let Ok(cut) = netlink::Message::decode_cut::<O>(data) {
        print_result(&ip_queue::Packet::decode_cut::<Narrow>(cut.body));
        print_result(&ip_queue::Packet::decode_cut::<Wide>(cut.body));
        print_result(&nfqueue::Packet::decode_cut::<O>(cut.body));
    }
}

/// Prints what was decoded, or why it was not.
fn print_result<T: fmt::Display + fmt::Debug>(decoded: &Result<T, crate::DecodeError>) {
    match decoded {
        Ok(meaning) => print(meaning),
        Err(error) => print(error),
    }
}

/// Prints both ways. It is one line, of which terminals and logs need not be afraid.
fn print<T: fmt::Display + fmt::Debug>(value: &T) {
    for text in [format!("{value}"), format!("{value:?}")] {
        assert!(text.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{text:?}");
    }
}
