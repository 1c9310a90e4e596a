//! What the lines say that have no form of their own: [`Act`].

/// Something that a program or the script around it did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Act<'a> {
    /// `setuid 65534: 0`: the program gave up its privileges.
    DropPrivileges,
    /// `SO_RCVBUF now 2240`.
    SetReceiveBuffer(usize),
    /// `with NETLINK_NO_ENOBUFS`.
    IgnoreOverruns,
    /// `recvmsg with a 50-byte buffer -> 50 msg_flags 0x20 nlmsg_len 152`.
    ReceiveCut { buffer_len: usize, len: usize, flags: u32, message_len: u32 },
    /// `nonblocking recv on empty -> -1 errno 11`.
    ReceiveNothing,
    /// `bind pid 56: errno 98 (Address already in use)`.
    BindRefused { port_id: u32, errno: i32 },
    /// `bound a socket to 7777`.
    Bind(u32),
    /// `closed 7777`.
    Close(u32),
    /// `socket closed`, or `both closed` of its descriptors.
    CloseOwn,
    /// `one of two descriptors closed`.
    CloseOneDescriptor,
    /// `owner killed with 2 outstanding (one of them read)`.
    KillOwner,
    /// `lo down`.
    DeviceDown(&'a str),
    /// `4`: what the sysctl of the maximum length was set to.
    SetMaxLength(i32),
    /// `10 ip6_queue`: who handles the packets of a protocol family.
    Handler { protocol_family: u32, name: &'a str },
    /// It says only what the next lines show.
    Remark,
}

impl<'a> Act<'a> {
    /// Reads a line; `None` if it is not known.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let remarks = ["4 messages received", "-- reversed order"];
        let is_remark = remarks.contains(&text)
            || text.starts_with("old id ")
            || text.starts_with("second handle in the same process: ");
        let fixed = match text {
            _ if is_remark => Some(Self::Remark),
            "setuid 65534: 0" => Some(Self::DropPrivileges),
            "with NETLINK_NO_ENOBUFS" => Some(Self::IgnoreOverruns),
            "nonblocking recv on empty -> -1 errno 11" => Some(Self::ReceiveNothing),
            "socket closed" | "both closed" => Some(Self::CloseOwn),
            "one of two descriptors closed" => Some(Self::CloseOneDescriptor),
            _ if text.starts_with("owner killed with ") => Some(Self::KillOwner),
            _ => None,
        };
        fixed.or_else(|| Self::with_number(text)).or_else(|| Self::with_name(text))
    }

    fn with_number(text: &'a str) -> Option<Self> {
        let after = |prefix| text.strip_prefix(prefix);
        if let Some(bytes) = after("SO_RCVBUF now ") {
            return bytes.parse().ok().map(Self::SetReceiveBuffer);
        }
        if let Some(port_id) = after("bound a socket to ") {
            return port_id.parse().ok().map(Self::Bind);
        }
        if let Some(port_id) = after("closed ") {
            return port_id.parse().ok().map(Self::Close);
        }
        if let Some((port_id, errno)) =
            after("bind pid ").and_then(|rest| rest.split_once(": errno "))
        {
            let errno = errno.split(' ').next()?.parse().ok()?;
            return Some(Self::BindRefused { port_id: port_id.parse().ok()?, errno });
        }
        if let Some((buffer, rest)) =
            after("recvmsg with a ").and_then(|rest| rest.split_once("-byte buffer -> "))
        {
            let (len, rest) = rest.split_once(" msg_flags 0x")?;
            let (flags, message_len) = rest.split_once(" nlmsg_len ")?;
            return Some(Self::ReceiveCut {
                buffer_len: buffer.parse().ok()?,
                len: len.parse().ok()?,
                flags: u32::from_str_radix(flags, 16).ok()?,
                message_len: message_len.parse().ok()?,
            });
        }
        text.parse().ok().map(Self::SetMaxLength)
    }

    fn with_name(text: &'a str) -> Option<Self> {
        if let Some(device) = text.strip_suffix(" down") {
            return Some(Self::DeviceDown(device));
        }
        let (number, name) = text.split_once(' ')?;
        let protocol_family = number.parse().ok()?;
        name.ends_with("_queue").then_some(Self::Handler { protocol_family, name })
    }
}
