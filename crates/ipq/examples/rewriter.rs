//! Replaces a text in datagrams and connections by another one; lengths and checksums are repaired.
//!
//! ```console
//! # iptables -A OUTPUT -p udp --dport 9999 -j NFQUEUE --queue-num 0
//! # cargo run --example rewriter -- nfqueue:0 hello goodbye
//! ```

use core::error::Error;

use ipq::{CopyMode, DefaultVerdict, Families, Queue, SharedQueue};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name, find, replace] = arguments.as_slice() else {
        return Err("usage: rewriter TRANSPORT FIND REPLACE".into());
    };
    let queue = Queue::open(name.parse()?, Families::Both)?;
    let snapshot = rewrite(queue, find.as_bytes(), replace.as_bytes())?;
    eprint!("{snapshot}");
    Ok(())
}

/// Replaces every `find` by `replace`. What cannot be rewritten, a fragment say, passes as it is.
pub(crate) fn rewrite(
    mut queue: Queue,
    find: &[u8],
    replace: &[u8],
) -> Result<ipq::Snapshot, ipq::Error> {
    queue.set_mode(CopyMode::Packet { range: 0 })?;
    let queue = SharedQueue::new(queue, DefaultVerdict::Accept)?;
    while let Some(packet) = queue.next(None)? {
        let Some(text) = payload(&packet).map(|text| replaced(text, find, replace)) else {
            packet.accept()?;
            continue;
        };
        packet.rewrite(|rewrite| *rewrite.payload_mut() = text)?;
    }
    queue.close()
}

/// What the packet carries, if it can be rewritten and there is anything.
fn payload(packet: &ipq::QueuedPacket) -> Option<Vec<u8>> {
    let rewrite = packet.packet().rewrite().ok()?;
    Some(rewrite.payload().to_vec()).filter(|payload| !payload.is_empty())
}

/// `text` with every `find` replaced.
fn replaced(text: Vec<u8>, find: &[u8], replace: &[u8]) -> Vec<u8> {
    if find.is_empty() {
        return text;
    }
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_slice());
    while let Some((&first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(find) {
            out.extend_from_slice(replace);
            rest = after;
        } else {
            out.push(first);
            rest = after;
        }
    }
    out
}
