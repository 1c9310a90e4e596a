//! A bridge over the kernel that this program runs on: [`open`].

use ipq_proto::Family;
use ipq_sys::{ClaimError, NetlinkSocket, Protocol, SocketOptions, Transport};

use crate::Bridge;

/// What can be chosen when a bridge is opened. What is left as it is, is as the kernel has it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// How many packets may wait for a verdict; 1024 unless it is said.
    #[doc(alias("ip_queue_maxlen", "NFQA_CFG_QUEUE_MAXLEN"))]
    pub max_length: Option<u32>,
    /// Lets packets pass when the queue is full, instead of dropping them, as `ip_queue` never did.
    #[doc(alias = "NFQA_CFG_F_FAIL_OPEN")]
    pub fail_open: bool,
    /// The size of the receive buffer in bytes, as the kernel counts them.
    #[doc(alias = "SO_RCVBUF")]
    pub receive_buffer: Option<usize>,
}

/// Opens a socket of the kernel that this program runs on, claims the queue `number` of `nfnetlink_queue` in its network
/// namespace, and makes it the `ip_queue` of `family`.
///
/// Rules with `-j QUEUE` send to queue 0.
///
/// # Errors
///
/// If the socket cannot be opened, the queue is [taken](ClaimError::QueueTaken) or the program
/// [must not have it](ClaimError::BindRefused).
pub fn open(
    number: u16,
    family: Family,
    options: Options,
) -> Result<Bridge<NetlinkSocket>, ClaimError> {
    let socket = NetlinkSocket::open(Protocol::Netfilter, SocketOptions::default())?;
    Bridge::claim(socket, number, family, options)
}

impl<T: Transport> Bridge<T> {
    /// Claims the queue `number` for `below`, a transport that speaks `nfnetlink_queue`, and makes it the `ip_queue` of
    /// `family`.
    ///
    /// # Errors
    ///
    /// As [`claim`](ipq_sys::claim), if the queue cannot be had.
    pub fn claim(
        below: T,
        number: u16,
        family: Family,
        options: Options,
    ) -> Result<Self, ClaimError> {
        let mut bridge = Self::over(below, number, family)?;
        bridge.claim_queue(options)?;
        Ok(bridge)
    }

    /// A bridge over `below`, which has not claimed the queue yet.
    pub(crate) fn over(below: T, number: u16, family: Family) -> Result<Self, ClaimError> {
        match below.protocol() {
            Protocol::Netfilter => Ok(Self::new(below, number, family)),
            other => Err(ClaimError::WrongProtocol(other)),
        }
    }
}
