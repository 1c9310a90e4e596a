//! Any bytes through every decoder.

use core::fmt;
use core::hint::black_box;

use ipq_proto::ip_queue::{self, datagram};
use ipq_proto::{Abi, DataModel, Ilp32, Lp64, netlink};
use zerocopy::{BigEndian, ByteOrder, LittleEndian};

/// Reads `data` as a datagram of each kind of kernel, and writes out whatever comes of it.
///
/// # Panics
///
/// If a decoder or the formatting of what it returns does, or if the framing finds more messages than fit.
pub fn decode_any(data: &[u8]) {
    for model in DataModel::ALL {
        match datagram(model, data) {
            Ok((header, message)) => {
                format(&header);
                format(&message);
            }
            Err(error) => format(&error),
        }
    }
    messages::<Ilp32<LittleEndian>, Lp64<LittleEndian>, LittleEndian>(data);
    messages::<Ilp32<BigEndian>, Lp64<BigEndian>, BigEndian>(data);
}

/// All messages of a datagram in the byte order `O`, each read with both word sizes.
fn messages<Narrow, Wide, O>(data: &[u8])
where
    Narrow: Abi<Order = O>,
    Wide: Abi<Order = O>,
    O: ByteOrder + 'static,
{
    // Each message takes a header's worth of bytes, and at most one error ends them.
    let most = data.len() / netlink::HEADER_LEN + 1;
    let mut count = 0;
    for message in netlink::messages::<O>(data) {
        count += 1;
        assert!(count <= most, "more messages than bytes for them");
        let Ok(message) = message.inspect_err(format) else { continue };
        black_box(format!("{message:?}"));
        assert!(message.offset + netlink::HEADER_LEN + message.body.len() <= data.len());
        interpret::<Narrow>(&message);
        interpret::<Wide>(&message);
    }
}

/// What one message says in the layout `A`.
fn interpret<A: Abi>(message: &netlink::Message<'_>) {
    match ip_queue::Message::decode::<A>(message) {
        Ok(meaning) => format(&meaning),
        Err(error) => format(&error),
    }
}

/// Formats both ways; the text itself does not matter.
fn format<T: fmt::Display + fmt::Debug>(value: &T) {
    black_box(format!("{value} {value:?}"));
}
