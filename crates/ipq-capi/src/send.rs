//! What a session sends: the copy mode, and verdicts.

use std::io::IoSlice;

use ipq_proto::ip_queue::{MODE, ModeMsg, VERDICT, VerdictMsg};
use ipq_proto::netlink::{Body, Flags, Framed, Header, MessageType};
use ipq_proto::{EncodeError, Errno, Native, Verdict};
use zerocopy::IntoBytes;

use crate::error::{Detail, ErrorCode, Failure};
use crate::session::Session;

/// How many verdicts are handed to the transport at once.
const AT_ONCE: usize = 64;

/// A verdict as C gives it; an empty replacement is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision<'a> {
    pub(crate) id: u64,
    pub(crate) verdict: u32,
    pub(crate) replacement: &'a [u8],
}

/// Why a packet cannot be given a mark.
const NO_MARK: &str = "verdicts of ip_queue have no mark: only those of nfnetlink_queue do";

type VerdictRequest = Framed<VerdictMsg<Native>>;

impl Session {
    /// Asks for a copy mode, whatever the numbers mean; returns how many bytes were sent.
    pub(crate) fn set_mode(&self, mode: u8, range: usize) -> Result<usize, Failure> {
        let body = ModeMsg::<Native>::from_raw(mode, range as u64).map_err(unencodable)?;
        self.send(&self.frame(MODE, body, 0)?, &[])
    }

    /// Decides on a packet; returns how many bytes were sent.
    pub(crate) fn set_verdict(&self, decision: Decision<'_>) -> Result<usize, Failure> {
        let sent = self.send(&self.verdict(decision)?, decision.replacement)?;
        self.counters.verdicts(1);
        Ok(sent)
    }

    /// Decides on a packet and gives it a mark, where verdicts have one; returns how many bytes were sent, but for the
    /// mark.
    pub(crate) fn set_marked_verdict(
        &self,
        decision: Decision<'_>,
        mark: u64,
    ) -> Result<usize, Failure> {
        let unsupported = |errno, words| Failure::new(ErrorCode::Unsupported, errno, words);
        let mark =
            u32::try_from(mark).map_err(|_| unsupported(Errno::EINVAL, "a mark has 32 bits"))?;
        let request = self.verdict(decision)?;
        let parts = [IoSlice::new(request.as_bytes()), IoSlice::new(decision.replacement)];
        self.kernel()?.send_marked(&parts, mark).map_err(|error| match error.errno {
            errno @ Errno::EOPNOTSUPP => unsupported(errno, NO_MARK),
            _ => unsent(error),
        })?;
        self.counters.verdicts(1);
        Ok(request.as_bytes().len() + decision.replacement.len())
    }

    /// Decides on packets in this order; returns how many those were. The failure that ends it is returned if it is the
    /// first verdict's, and else met again by whoever tries the next one.
    pub(crate) fn set_verdicts<'a>(
        &self,
        decisions: impl Iterator<Item = Decision<'a>>,
    ) -> Result<usize, Failure> {
        let mut decisions = decisions.peekable();
        let mut sent = 0;
        loop {
            let done = match decisions.next_if(|decision| !decision.replacement.is_empty()) {
                Some(decision) => self.set_verdict(decision).map(|_| (1, 1)),
                None => self.send_plain(core::iter::from_fn(|| {
                    decisions.next_if(|decision| decision.replacement.is_empty())
                })),
            };
            match done {
                Ok((0, _)) => return Ok(sent),
                Ok((wanted, done)) if done < wanted => return Ok(sent + done),
                Ok((_, done)) => sent += done,
                Err(failure) if sent == 0 => return Err(failure),
                Err(_) => return Ok(sent),
            }
        }
    }

    /// Sends verdicts without replacement, as many as are handed over at once; returns how many these were, and how many
    /// of them were sent.
    fn send_plain<'a>(
        &self,
        decisions: impl Iterator<Item = Decision<'a>>,
    ) -> Result<(usize, usize), Failure> {
        let nothing = self.verdict(Decision { id: 0, verdict: 0, replacement: &[] })?;
        let mut requests = [nothing; AT_ONCE];
        let mut wanted = 0;
        for (request, decision) in requests.iter_mut().zip(decisions) {
            *request = self.verdict(decision)?;
            wanted += 1;
        }
        let datagrams: [_; AT_ONCE] =
            core::array::from_fn(|index| IoSlice::new(requests[index].as_bytes()));
        if wanted == 0 {
            return Ok((0, 0));
        }
        let sent = self.kernel()?.transport().send_many(&datagrams[..wanted]).map_err(unsent)?;
        self.counters.verdicts(sent);
        Ok((wanted, sent))
    }

    fn verdict(&self, decision: Decision<'_>) -> Result<VerdictRequest, Failure> {
        let Decision { id, verdict, replacement } = decision;
        let len = replacement.len();
        let body = VerdictMsg::new(id, Verdict(verdict), len as u64).map_err(unencodable)?;
        self.frame(VERDICT, body, len)
    }

    fn frame<B: Body>(
        &self,
        message_type: MessageType,
        body: B,
        trailing_len: usize,
    ) -> Result<Framed<B>, Failure> {
        let header =
            Header::new(message_type, Flags::REQUEST, self.next_sequence(), self.port_id());
        Framed::new(header, body, trailing_len).map_err(unencodable)
    }

    fn send(&self, request: &impl IntoBytesRef, rest: &[u8]) -> Result<usize, Failure> {
        let request = request.bytes();
        let parts = [IoSlice::new(request), IoSlice::new(rest)];
        let parts = if rest.is_empty() { &parts[..1] } else { &parts };
        self.kernel()?.transport().send(parts).map_err(unsent)?;
        Ok(request.len() + rest.len())
    }
}

/// A request's bytes.
trait IntoBytesRef {
    fn bytes(&self) -> &[u8];
}

impl<B: Body> IntoBytesRef for Framed<B> {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

fn unsent(error: ipq_sys::Error) -> Failure {
    Failure::transport(ErrorCode::Send, error)
}

fn unencodable(error: EncodeError) -> Failure {
    let detail = Detail::Said(error.to_string());
    Failure { code: ErrorCode::Send, errno: Some(Errno(libc::EMSGSIZE)), detail }
}
