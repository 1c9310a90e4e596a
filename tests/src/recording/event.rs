//! What may happen in a conversation: [`Event`].

use ipq_proto::Family;

/// Something that happened: a line of a recording, with the bytes below it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// `(netlink pid of this process: 33)`: who speaks from here on.
    Speaker {
        /// The port id of its netlink socket.
        port_id: u32,
        /// The line.
        text: String,
    },
    /// `REC`: a recording program took the queue. The bytes of its mode request were not recorded.
    Recorder(Recorder),
    /// `SEND`: a datagram to the kernel.
    Send(Sent),
    /// `RECV 60 bytes`: a datagram from the kernel.
    Receive(Received),
    /// `RECV nothing`: no datagram came.
    Silence {
        /// For how long one was waited for, in milliseconds.
        waited_ms: u32,
    },
    /// `RECV -> -1`: receiving failed.
    ReceiveFailed {
        /// The error number.
        errno: i32,
    },
    /// `TX`: a UDP datagram was sent through a rule that queues it.
    Transmit {
        /// What is in it.
        text: String,
        /// What `sendto` returned.
        returned: i64,
    },
    /// `RX: delivered`: a UDP datagram arrived.
    Delivered {
        /// Bytes of data in it.
        len: usize,
        /// The data, cut at 60 bytes.
        text: String,
    },
    /// `RX: not delivered`: none did.
    NotDelivered {
        /// For how long one was waited for, in milliseconds.
        waited_ms: u32,
    },
    /// `PROC`: `/proc/net/ip_queue` or `/proc/net/ip6_queue`.
    Counters {
        /// What it says.
        counters: Counters,
        /// Whether the program had gone by then.
        after_exit: bool,
    },
    /// Any other line.
    Other(String),
}

/// `REC v4 set_mode(2,2048) returned 56; sizeof packet_msg 96 peer_msg 24; mypid 29`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Recorder {
    /// Which queue it took.
    pub family: Family,
    /// The copy mode it asked for.
    pub mode: u8,
    /// The copy range it asked for.
    pub range: u64,
    /// The size of a packet message's fixed part there.
    pub packet_msg_len: usize,
    /// The size of the union of mode and verdict there.
    pub peer_msg_len: usize,
    /// Its port id.
    pub port_id: u32,
}

/// A datagram to the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sent {
    /// What it is, as printed.
    pub description: String,
    /// The fields, where they were printed.
    pub meaning: Option<Meaning>,
    /// Its length in bytes.
    pub len: usize,
    /// What `sendto` returned.
    pub returned: i64,
    /// The bytes; none for a datagram too long to print.
    pub bytes: Vec<u8>,
}

/// The printed fields of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Meaning {
    /// `MODE value 2 range 0 flags 0x5`.
    Mode {
        /// The copy mode.
        value: u8,
        /// The copy range.
        range: u64,
        /// The flags of the header.
        flags: u16,
    },
    /// `VERDICT value 1 id 0xffff88000017e9c0 data_len 0 payload 0 flags 0x5`.
    Verdict(Verdict),
}

/// The printed fields of a verdict.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// The verdict.
    pub value: u32,
    /// The packet.
    pub id: u64,
    /// The length of the replacement that is claimed.
    pub data_len: u64,
    /// The length of the replacement that is there.
    pub payload_len: usize,
    /// The flags of the header.
    pub flags: u16,
}

/// A datagram from the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Received {
    /// Its length in bytes.
    pub len: usize,
    /// The netlink header.
    pub header: PrintedHeader,
    /// The error of an `NLMSG_ERROR`: 0 or a negative number, and what it means.
    pub error: Option<(i32, String)>,
    /// The fields of a packet message.
    pub packet: Option<Packet>,
    /// The bytes: none, or cut, where they were not printed.
    pub bytes: Vec<u8>,
}

/// The printed fields of a netlink header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "named as in the recording")]
pub struct PrintedHeader {
    pub len: u32,
    pub message_type: u16,
    pub flags: u16,
    pub seq: u32,
    pub pid: u32,
}

/// The printed fields of a packet message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "named as in the recording")]
pub struct Packet {
    pub id: u64,
    pub mark: u64,
    pub hook: u32,
    pub indev: String,
    pub outdev: String,
    pub data_len: u64,
    /// The fields that only one of the two programs printed.
    pub link: Option<Link>,
}

/// The printed fields of a packet message that are about its arrival.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "named as in the recording")]
pub struct Link {
    pub seconds: i64,
    pub microseconds: i64,
    /// As the little-endian host read the two bytes, which are in network order.
    pub hw_protocol_as_read: u16,
    pub hw_type: u16,
    pub hw_addrlen: u8,
}

/// `/proc/net/ip_queue`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(missing_docs, reason = "named as in the file")]
pub struct Counters {
    pub peer_pid: u32,
    pub copy_mode: u8,
    pub copy_range: u32,
    pub queue_len: u32,
    pub queue_max_len: u32,
    pub queue_dropped: u32,
    /// `Netlink dropped`; `/proc/net/ip6_queue` says `Netfilter dropped`.
    pub netlink_dropped: u32,
}

impl Sent {
    /// Whether all bytes were recorded.
    pub fn is_whole(&self) -> bool {
        self.bytes.len() == self.len
    }
}

impl Received {
    /// Whether all bytes were recorded.
    pub fn is_whole(&self) -> bool {
        self.bytes.len() == self.len
    }
}
