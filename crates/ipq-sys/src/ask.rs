//! Requests whose answer is waited for: [`ask`].

use core::time::Duration;
use std::io::IoSlice;

use ipq_proto::Errno;
use ipq_proto::abi::AbiVisitor;
use ipq_proto::netlink::{Message, MessageType, Reply};
use ipq_proto::{Abi, DataModel};

use crate::{Clock, Deadline, Error, Received, Transport};

/// How long the kernel has to answer a request. It answers while the request is being sent, so this only guards
/// against something that is no kernel.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait before a request is sent again, the first time; then twice as long each time.
const FIRST_PATIENCE: Duration = Duration::from_millis(100);

/// How often a request is sent at most. Only where the receive buffer is full again and again is it more than a few.
const MOST_ATTEMPTS: usize = 64;

/// Sends a request that wants an answer (`NLM_F_ACK`) and waits for it: what the kernel said, or `None` if it said
/// nothing. What else comes meanwhile is handed to `other`, in order.
///
/// A full receive buffer has no room for the answer. So once that is reported and the buffer is empty, the request
/// is sent again. It is not reported where overruns are ignored, so the same is done when nothing came for a while.
///
/// `buffer` is what is received into; an answer repeats the request.
///
/// # Errors
///
/// If sending or receiving fails.
pub fn ask(
    transport: &mut dyn Transport,
    request: &[u8],
    sequence: u32,
    buffer: &mut [u8],
    other: &mut dyn FnMut(Received, &[u8]),
) -> Result<Option<Result<(), Errno>>, Error> {
    let end = transport.now().saturating_add(ANSWER_TIMEOUT);
    let mut patience = FIRST_PATIENCE;
    for _ in 0..MOST_ATTEMPTS {
        transport.send(&[IoSlice::new(request)])?;
        let until = transport.now().saturating_add(patience).min(end);
        if let Some(answer) = await_answer(transport, sequence, until, buffer, other)? {
            return Ok(Some(answer));
        }
        let now = transport.now();
        if now >= end {
            break;
        }
        if now >= until {
            patience = patience.saturating_mul(2);
        }
    }
    Ok(None)
}

/// Waits until `end` for the answer to a request; `None` if it did not come, or may have been lost.
fn await_answer(
    transport: &mut dyn Transport,
    sequence: u32,
    end: Clock,
    buffer: &mut [u8],
    other: &mut dyn FnMut(Received, &[u8]),
) -> Result<Option<Result<(), Errno>>, Error> {
    let model = transport.data_model();
    let mut deadline = Deadline::At(end);
    // The clock is asked as well, for a peer that never stops talking.
    while transport.now() < end {
        let received = transport.receive(buffer, deadline)?;
        let bytes = buffer.get(..received.len_in_buffer()).unwrap_or(buffer);
        if let Received::Datagram { .. } = received
            && let Some(answer) = answer(model, bytes, sequence)
        {
            return Ok(Some(answer));
        }
        match received {
            Received::TimedOut | Received::Ended => break,
            Received::Interrupted => continue,
            // What is there is looked at, and no more waited for.
            Received::Overrun => deadline = Deadline::Immediate,
            _ => (),
        }
        other(received, bytes);
    }
    Ok(None)
}

/// What a datagram answers to the request `sequence`, if it does.
fn answer(model: DataModel, datagram: &[u8], sequence: u32) -> Option<Result<(), Errno>> {
    struct Decode<'b>(&'b [u8], u32);
    impl AbiVisitor for Decode<'_> {
        type Output = Option<Result<(), Errno>>;

        fn visit<A: Abi>(self) -> Self::Output {
            let (message, _) = Message::decode::<A::Order>(self.0).ok()?;
            if message.header.message_type != MessageType::ERROR {
                return None;
            }
            let reply = Reply::decode::<A::Order>(message.body).ok()?;
            (reply.request.sequence == self.1).then(|| reply.errno().map_or(Ok(()), Err))
        }
    }
    model.with(Decode(datagram, sequence))
}
