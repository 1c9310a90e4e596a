//! A program without `std`, and without an allocator, that decodes and encodes every message.
//!
//! If `ipq-proto` or what it depends on needed `std`, there would be two panic handlers; if it needed `alloc`,
//! no allocator. Neither builds. `tests/tests/no_std.rs` builds it, and sees it fail with each of the two features.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "use-alloc")]
extern crate alloc;
#[cfg(feature = "use-std")]
extern crate std;

use core::fmt::Write;
use core::panic::PanicInfo;

use ipq_proto::ip_queue::{self, Message, ModeMsg, Packet, PacketMsg, VerdictMsg, datagram};
use ipq_proto::netlink::{Body, ErrorMsg, Flags, Framed, Header, messages};
use ipq_proto::nfqueue;
use ipq_proto::{Abi, CopyMode, DataModel, Ilp32, Lp64, Verdict, abi::AbiVisitor};
use zerocopy::IntoBytes;

/// The longest datagram that fits.
const CAPACITY: usize = 256;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Decodes a datagram in the four layouts, and prints it into nothing.
pub fn ipq_no_std_decode(bytes: &[u8; CAPACITY]) -> usize {
    let mut printed = Count(0);
    for model in DataModel::ALL {
        let _ = match datagram(model, bytes) {
            Ok((header, message)) => write!(printed, "{header}: {message} {message:?}"),
            Err(error) => write!(printed, "{error}"),
        };
    }
    for message in messages::<<Lp64 as Abi>::Order>(bytes).flatten() {
        if let Ok(Message::Packet(packet)) = Message::decode::<Ilp32>(&message) {
            printed.0 += again(&packet);
        }
    }
    for message in messages::<<Lp64 as Abi>::Order>(bytes).flatten() {
        let _ = match nfqueue::Message::decode::<<Lp64 as Abi>::Order>(&message) {
            Ok(message) => write!(printed, "{message} {message:?}"),
            Err(error) => write!(printed, "{error}"),
        };
    }
    printed.0 + heap()
}

/// Encodes what `nfnetlink_queue` is told and what it tells.
pub fn ipq_no_std_encode_nfqueue(buffer: &mut [u8; CAPACITY], id: u32) -> usize {
    type Order = <Lp64 as Abi>::Order;
    let mode = CopyMode::Packet { range: 64 };
    let packet = nfqueue::Packet { id, payload: Some(&[0x45]), ..nfqueue::Packet::default() };
    emit(buffer, nfqueue::CommandMsg::<Order>::new(0, nfqueue::Command::BIND, 0))
        + emit(buffer, nfqueue::ParamsMsg::<Order>::new(0, mode))
        + emit(buffer, nfqueue::MaxLengthMsg::<Order>::new(0, 7))
        + emit(buffer, nfqueue::VerdictMsg::<Order>::new(0, id, Verdict::Drop))
        + packet.encode::<Order>(buffer).unwrap_or(0)
}

/// Encodes a request in each of the four layouts.
pub fn ipq_no_std_encode(buffer: &mut [u8; CAPACITY], id: u64) -> usize {
    struct Encode<'a>(&'a mut [u8; CAPACITY], u64);
    impl AbiVisitor for Encode<'_> {
        type Output = usize;

        fn visit<A: Abi>(self) -> usize {
            let Self(buffer, id) = self;
            let request = Header::new(ip_queue::VERDICT, Flags::REQUEST, 1, 2);
            let mode = ModeMsg::<A>::new(CopyMode::Packet { range: 64 });
            let error = ErrorMsg::<A::Order>::new(-22, request);
            let verdict = VerdictMsg::<A>::new(id, Verdict::Accept, 0);
            emit(buffer, mode) + emit(buffer, error) + verdict.map_or(0, |body| emit(buffer, body))
        }
    }
    DataModel::ALL.into_iter().map(|model| model.with(Encode(buffer, id))).sum()
}

fn again(packet: &Packet<'_>) -> usize {
    PacketMsg::<Lp64>::new(packet).map_or(0, |body| emit(&mut [0; CAPACITY], body))
}

fn emit<B: Body>(buffer: &mut [u8; CAPACITY], body: B) -> usize {
    let header = Header::new(ip_queue::MODE, Flags::REQUEST, 1, 2);
    let Ok(framed) = Framed::new(header, body, 0) else { return 0 };
    framed.write_to_prefix(buffer).map_or(0, |()| size_of_val(&framed))
}

#[cfg(feature = "use-alloc")]
fn heap() -> usize {
    let mut bytes = alloc::vec::Vec::new();
    bytes.push(1_u8);
    bytes.capacity()
}

#[cfg(not(feature = "use-alloc"))]
fn heap() -> usize {
    0
}

/// Counts what is written to it.
struct Count(usize);

impl Write for Count {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0 = self.0.wrapping_add(text.len());
        Ok(())
    }
}
