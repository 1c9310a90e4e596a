//! How a line becomes an [`Event`].

use ipq_proto::Family;

use super::event::{
    Counters, Event, Link, Meaning, Packet, PrintedHeader, Received, Recorder, Sent, Verdict,
};
use super::fields::{Fields, hex};

impl Event {
    /// Reads a line, without what is below it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut fields = Fields(text);
        if fields.accepts("SEND ") {
            return parse_sent(fields).map(Self::Send);
        }
        if fields.accepts("REC ") {
            return parse_recorder(fields).map(Self::Recorder);
        }
        if fields.accepts("RECV nothing in ") {
            return Ok(Self::Silence { waited_ms: fields.number()? });
        }
        if fields.accepts("RECV -> -1 ") {
            return Ok(Self::ReceiveFailed { errno: fields.named("errno")? });
        }
        if fields.accepts("RECV ") {
            return parse_received(fields).map(Self::Receive);
        }
        if fields.accepts("TX udp ") {
            let text = fields.quoted(true)?.to_owned();
            return Ok(Self::Transmit { text, returned: fields.named("->")? });
        }
        if fields.accepts("RX: not delivered (") {
            return Ok(Self::NotDelivered { waited_ms: fields.number()? });
        }
        if fields.accepts("RX: delivered ") {
            let len = fields.number()?;
            fields.expect("bytes")?;
            let text = fields.quoted(true)?;
            return Ok(Self::Delivered { len, text: text.trim_end_matches("...").to_owned() });
        }
        let after_exit = fields.accepts("after exit");
        if fields.accepts("PROC:") {
            return Ok(Self::Counters { counters: parse_counters(fields)?, after_exit });
        }
        if let Some((_, after)) = text.split_once("netlink pid ") {
            let mut fields = Fields(after);
            fields.accepts("of this process:");
            return Ok(Self::Speaker { port_id: fields.number()?, text: text.to_owned() });
        }
        let known = ["SEND", "RECV", "REC", "TX", "RX", "PROC"];
        match known.iter().find(|&&word| text.split([' ', ':']).next() == Some(word)) {
            Some(word) => Err(format!("an unknown kind of {word}")),
            None => Ok(Self::Other(text.to_owned())),
        }
    }

    /// Adds a line of bytes or fields to the event, if `line` is one.
    pub(super) fn continues(&mut self, line: &str) -> Result<bool, String> {
        let (bytes, len) = match self {
            Self::Receive(received) => {
                let mut fields = Fields(line);
                if received.packet.is_none() && fields.accepts("id ") {
                    received.packet = Some(parse_packet(fields)?);
                    return Ok(true);
                }
                (&mut received.bytes, received.len)
            }
            Self::Send(sent) => (&mut sent.bytes, sent.len),
            _ => return Ok(false),
        };
        let Some(more) = hex(line) else { return Ok(false) };
        bytes.extend(more);
        if bytes.len() > len {
            return Err(format!("{} bytes of a datagram of {len}", bytes.len()));
        }
        Ok(true)
    }
}

/// `MODE value 2 range 0 flags 0x5 , 40 bytes -> 40`, after `SEND`.
fn parse_sent(line: Fields<'_>) -> Result<Sent, String> {
    let (description, end) = line.0.rsplit_once(", ").ok_or("no length")?;
    let mut end = Fields(end);
    let len = end.number()?;
    end.expect("bytes")?;
    let returned = end.named("->")?;
    let mut fields = Fields(description);
    let meaning = if fields.accepts("MODE value ") {
        Some(Meaning::Mode {
            value: fields.number()?,
            range: fields.named("range")?,
            flags: fields.named("flags")?,
        })
    } else if fields.accepts("VERDICT value ") {
        Some(Meaning::Verdict(Verdict {
            value: fields.number()?,
            id: fields.named("id")?,
            data_len: fields.named("data_len")?,
            payload_len: fields.named("payload")?,
            flags: fields.named("flags")?,
        }))
    } else {
        None
    };
    let description = description.trim().to_owned();
    Ok(Sent { description, meaning, len, returned, bytes: Vec::new() })
}

/// `60 bytes: len 60 type 0x2 flags 0x0 seq 7 pid 33 …`, after `RECV`.
fn parse_received(mut fields: Fields<'_>) -> Result<Received, String> {
    let len = fields.number()?;
    fields.expect("bytes:")?;
    let header = PrintedHeader {
        len: fields.named("len")?,
        message_type: fields.named("type")?,
        flags: fields.named("flags")?,
        seq: fields.named("seq")?,
        pid: fields.named("pid")?,
    };
    let mut received = Received { len, header, error: None, packet: None, bytes: Vec::new() };
    if fields.accepts("NLMSG_ERROR error=") {
        let code = fields.number()?;
        let text = fields.rest().trim_start_matches('(').trim_end_matches(')');
        received.error = Some((code, text.to_owned()));
    } else if fields.accepts("PACKET id ") {
        received.packet = Some(parse_packet(fields)?);
    } else {
        fields.expect("| from nl_pid 0 groups 0")?;
    }
    Ok(received)
}

/// The names and values after `id`: the two programs print them in another order.
fn parse_packet(mut fields: Fields<'_>) -> Result<Packet, String> {
    let id = fields.number()?;
    let (mut hook, mut mark, mut data_len) = (None, None, None);
    let (mut indev, mut outdev) = (None, None);
    let (mut time, mut hw_protocol, mut hw_type, mut hw_addrlen) = (None, None, None, None);
    while !fields.rest().is_empty() {
        match fields.word() {
            "hook" => hook = Some(fields.number()?),
            "mark" => mark = Some(fields.number()?),
            "data_len" => data_len = Some(fields.number()?),
            "in" => indev = Some(fields.quoted(false)?.to_owned()),
            "out" => outdev = Some(fields.quoted(false)?.to_owned()),
            "ts" => time = Some(fields.word().split_once('.').ok_or("no point in ts")?),
            "hw_protocol" => hw_protocol = Some(fields.number()?),
            "hw_type" => hw_type = Some(fields.number()?),
            "hw_addrlen" => hw_addrlen = Some(fields.number()?),
            name => return Err(format!("a packet's field that is not known: {name:?}")),
        }
    }
    let link = match time {
        None => None,
        Some((seconds, microseconds)) => Some(Link {
            seconds: Fields(seconds).number()?,
            microseconds: Fields(microseconds).number()?,
            hw_protocol_as_read: hw_protocol.ok_or("no hw_protocol")?,
            hw_type: hw_type.ok_or("no hw_type")?,
            hw_addrlen: hw_addrlen.ok_or("no hw_addrlen")?,
        }),
    };
    Ok(Packet {
        id,
        mark: mark.ok_or("no mark")?,
        hook: hook.ok_or("no hook")?,
        indev: indev.ok_or("no in")?,
        outdev: outdev.ok_or("no out")?,
        data_len: data_len.ok_or("no data_len")?,
        link,
    })
}

/// `v4 set_mode(2,2048) returned 56; …`, after `REC`.
fn parse_recorder(mut fields: Fields<'_>) -> Result<Recorder, String> {
    let family = match fields.word() {
        "v4" => Family::Ipv4,
        "v6" => Family::Ipv6,
        word => return Err(format!("no family: {word:?}")),
    };
    let mode = fields.named("set_mode(")?;
    let range = fields.named(",")?;
    let (_, sizes) = fields.0.split_once(';').ok_or("no sizes")?;
    let mut fields = Fields(sizes);
    let packet_msg_len = fields.named("sizeof packet_msg")?;
    let peer_msg_len = fields.named("peer_msg")?;
    let port_id = fields.named("; mypid")?;
    Ok(Recorder { family, mode, range, packet_msg_len, peer_msg_len, port_id })
}

/// `[Peer PID: 33] [Copy mode: 0] …`, after `PROC:`.
fn parse_counters(fields: Fields<'_>) -> Result<Counters, String> {
    let mut pairs = Vec::new();
    for pair in fields.rest().trim_start_matches('[').trim_end_matches(']').split("] [") {
        let (label, value) = Counters::line(pair).ok_or_else(|| format!("no counter: {pair:?}"))?;
        pairs.push((label.to_owned(), value));
    }
    Counters::new(&pairs)
}

impl Counters {
    /// The labels of the seven lines, the last one as both families print it.
    const LABELS: [&str; 6] = [
        "Peer PID",
        "Copy mode",
        "Copy range",
        "Queue length",
        "Queue max. length",
        "Queue dropped",
    ];
    const LAST: [&str; 2] = ["Netlink dropped", "Netfilter dropped"];

    /// Whether `label` is that of the last line.
    pub(super) fn is_last(label: &str) -> bool {
        Self::LAST.contains(&label)
    }

    /// One line of the file, blanks squeezed or not.
    pub(super) fn line(text: &str) -> Option<(&str, u64)> {
        let (label, value) = text.split_once(':')?;
        let label = label.trim();
        let is_known = Self::LABELS.contains(&label) || Self::is_last(label);
        let value = value.trim().parse().ok()?;
        is_known.then_some((label, value))
    }

    /// All seven, in order.
    pub(super) fn new(lines: &[(String, u64)]) -> Result<Self, String> {
        let labels = lines.iter().map(|(label, _)| label.as_str());
        let [peer_pid, copy_mode, copy_range, queue_len, queue_max_len, dropped, last] = lines
        else {
            return Err(format!("{} counters and not seven", lines.len()));
        };
        if !labels.take(6).eq(Self::LABELS) || !Self::is_last(&last.0) {
            return Err("the counters are not in order".to_owned());
        }
        let number = |line: &(String, u64)| {
            u32::try_from(line.1).map_err(|_| format!("{}: {} is out of range", line.0, line.1))
        };
        Ok(Self {
            peer_pid: number(peer_pid)?,
            copy_mode: u8::try_from(copy_mode.1).map_err(|_| "copy mode is out of range")?,
            copy_range: number(copy_range)?,
            queue_len: number(queue_len)?,
            queue_max_len: number(queue_max_len)?,
            queue_dropped: number(dropped)?,
            netlink_dropped: number(last)?,
        })
    }
}
