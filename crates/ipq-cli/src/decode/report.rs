//! What is printed of messages: [`Report`].

use core::ops::Range;
use std::io::{self, Write};

use ipq_proto::{DecodeError, Errno, Family, Problem, ip_queue, netlink, nfqueue};
use serde_json::{Map, Value, json};

use super::dialect::{Decoded, Dialect, Item, Meaning, Wrong};
use super::input::Datagram;
use crate::dissect::Dissection;
use crate::hexdump::{hexdump, pointed_at};

/// Where messages are printed, and counted.
pub(super) struct Report<W> {
    out: W,
    is_json: bool,
    shows_bytes: bool,
    datagrams: u64,
    messages: u64,
    errors: u64,
}

impl<W: Write> Report<W> {
    pub(super) const fn new(out: W, is_json: bool, shows_bytes: bool) -> Self {
        Self { out, is_json, shows_bytes, datagrams: 0, messages: 0, errors: 0 }
    }

    /// Whether nothing was wrong.
    pub(super) const fn is_all_right(&self) -> bool {
        self.errors == 0
    }

    /// A datagram, before its messages.
    pub(super) fn begin(
        &mut self,
        number: u64,
        datagram: &Datagram,
        dialect: Dialect,
    ) -> io::Result<()> {
        self.datagrams = number;
        if self.is_json {
            return Ok(());
        }
        let Datagram { place, bytes, .. } = datagram;
        let at = if place.is_empty() { String::new() } else { format!(" ({place})") };
        let len = bytes.len();
        writeln!(self.out, "datagram {number}{at}: {len} bytes, {dialect}")
    }

    /// A message of it.
    pub(super) fn item(
        &mut self,
        datagram: &Datagram,
        dialect: Dialect,
        item: &Item<'_>,
    ) -> io::Result<()> {
        match item {
            Ok(decoded) => {
                self.messages += 1;
                if self.is_json {
                    return self.message_object(datagram, dialect, decoded);
                }
                let Decoded { header, offset, .. } = decoded;
                let (sequence, port_id) = (header.sequence, header.port_id);
                writeln!(
                    self.out,
                    "  byte {offset}: seq {sequence} pid {port_id} {}",
                    text(&decoded.meaning)
                )?;
                if self.shows_bytes {
                    let end = offset + netlink::HEADER_LEN + decoded.body_len;
                    hexdump(&mut self.out, datagram.bytes.get(*offset..end).unwrap_or_default())?;
                }
                Ok(())
            }
            Err(wrong) => {
                self.errors += 1;
                let range = range(&wrong.error, dialect);
                if self.is_json {
                    return self.error_object(datagram, dialect, wrong, &range);
                }
                writeln!(self.out, "  byte {}: wrong: {}", range.start, wrong.error)?;
                pointed_at(&mut self.out, &datagram.bytes, &range)
            }
        }
    }

    /// The end. What people are told of it goes to `err`.
    pub(super) fn finish(&mut self, mut err: impl Write) -> io::Result<()> {
        let Self { datagrams, messages, errors, .. } = *self;
        if self.is_json {
            let summary = json!({
                "event": "summary", "datagrams": datagrams, "messages": messages, "errors": errors,
            });
            writeln!(self.out, "{summary}")?;
        }
        self.out.flush()?;
        if !self.is_json {
            writeln!(err, "datagrams: {datagrams}, messages: {messages}, errors: {errors}")?;
        }
        Ok(())
    }

    fn message_object(
        &mut self,
        datagram: &Datagram,
        dialect: Dialect,
        decoded: &Decoded<'_>,
    ) -> io::Result<()> {
        let header = decoded.header;
        let (kind, fields) = fields(&decoded.meaning);
        let mut object = self.object("message", datagram, dialect);
        let rest = json!({
            "offset": decoded.offset,
            "len": header.len,
            "type": header.message_type.0,
            "flags": header.flags.0,
            "seq": header.sequence,
            "pid": header.port_id,
            "kind": kind,
            "text": text(&decoded.meaning),
            "fields": fields,
        });
        append(&mut object, rest);
        writeln!(self.out, "{}", Value::Object(object))
    }

    fn error_object(
        &mut self,
        datagram: &Datagram,
        dialect: Dialect,
        wrong: &Wrong,
        range: &Range<usize>,
    ) -> io::Result<()> {
        let (expected, found) = expected_and_found(&wrong.error);
        let mut object = self.object("error", datagram, dialect);
        let rest = json!({
            "offset": range.start,
            "len": range.len(),
            "field": wrong.error.what,
            "expected": expected,
            "found": found,
            "type": wrong.header.map(|header| header.message_type.0),
            "message": wrong.error.to_string(),
        });
        append(&mut object, rest);
        writeln!(self.out, "{}", Value::Object(object))
    }

    /// What every object begins with.
    fn object(&self, event: &str, datagram: &Datagram, dialect: Dialect) -> Map<String, Value> {
        let mut object = Map::new();
        let start = json!({
            "event": event,
            "datagram": self.datagrams,
            "place": datagram.place,
            "protocol": dialect.protocol.to_string(),
            "word": dialect.model.word_len() * 8,
            "order": if dialect.model.is_big_endian() { "big" } else { "little" },
        });
        append(&mut object, start);
        object
    }
}

fn append(object: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        object.extend(more);
    }
}

/// Which bytes of the datagram are wrong; where they are missing, those that should be there.
fn range(error: &DecodeError, dialect: Dialect) -> Range<usize> {
    let start = error.offset;
    if let Problem::TooShort { need, have } = error.problem {
        return start.saturating_add(have)..start.saturating_add(need.max(have));
    }
    let len = match error.what {
        "netlink header" => 4,
        "netlink attribute" => 2,
        _ => dialect.model.word_len(),
    };
    start..start.saturating_add(len)
}

/// The number that should be there, and the one that is.
fn expected_and_found(error: &DecodeError) -> (String, u64) {
    match error.problem {
        Problem::TooShort { need, have } => (format!("at least {need} bytes"), have as u64),
        Problem::ClaimsTooLittle { claimed, least } => (format!("at least {least}"), claimed),
        Problem::ClaimsTooMuch { claimed, have } => (format!("at most {have}"), claimed),
        _ => (String::new(), 0),
    }
}

/// What a message says, and of a packet what it carries.
fn text(meaning: &Meaning<'_>) -> String {
    let payload = match meaning {
        Meaning::IpQueue(ip_queue::Message::Packet(packet)) => Some(packet.payload),
        Meaning::Nfqueue(nfqueue::Message::Packet(packet)) => packet.payload,
        _ => None,
    };
    let said = match meaning {
        Meaning::IpQueue(message) => message.to_string(),
        Meaning::Nfqueue(message) => message.to_string(),
    };
    let family = payload.and_then(Family::of_packet);
    match payload.zip(family) {
        Some((payload, family)) => format!("{said}: {}", Dissection::of_bytes(family, payload)),
        None => said,
    }
}

/// The kind of a message, and its fields by name.
fn fields(meaning: &Meaning<'_>) -> (&'static str, Value) {
    match meaning {
        Meaning::IpQueue(message) => match message {
            ip_queue::Message::Reply(reply) => ("reply", reply_fields(reply)),
            ip_queue::Message::Mode(mode) => {
                ("mode", json!({ "mode": mode.value, "range": mode.range }))
            }
            ip_queue::Message::Verdict(verdict) => (
                "verdict",
                json!({
                    "id": format!("{:#x}", verdict.id),
                    "verdict": verdict.verdict.to_string(),
                    "data_len": verdict.data_len,
                    "replacement_len": verdict.replacement().map(<[u8]>::len),
                }),
            ),
            ip_queue::Message::Packet(packet) => ("packet", ip_queue_packet(packet)),
            _ => ("other", json!({})),
        },
        Meaning::Nfqueue(message) => match message {
            nfqueue::Message::Reply(reply) => ("reply", reply_fields(reply)),
            nfqueue::Message::Config(config) => ("config", config_fields(config)),
            nfqueue::Message::Verdict(verdict) => ("verdict", nfqueue_verdict(verdict)),
            nfqueue::Message::VerdictBatch(verdict) => ("batch", nfqueue_verdict(verdict)),
            nfqueue::Message::Packet(packet) => ("packet", nfqueue_packet(packet)),
            _ => ("other", json!({})),
        },
    }
}

fn reply_fields(reply: &netlink::Reply<'_>) -> Value {
    json!({
        "code": reply.code,
        "name": reply.errno().map(Errno::name),
        "request_type": reply.request.message_type.0,
        "request_seq": reply.request.sequence,
    })
}

fn ip_queue_packet(packet: &ip_queue::Packet<'_>) -> Value {
    json!({
        "id": format!("{:#x}", packet.id),
        "hook": packet.hook.to_string(),
        "mark": packet.mark,
        "timestamp": (!packet.timestamp.is_none()).then(|| packet.timestamp.to_string()),
        "indev": packet.input_device.to_string(),
        "outdev": packet.output_device.to_string(),
        "hw_protocol": packet.hw_protocol.to_string(),
        "hw_type": packet.hw_type.0,
        "hw_addr": packet.hw_address.to_string(),
        "data_len": packet.payload.len(),
    })
}

fn config_fields(config: &nfqueue::ConfigRequest) -> Value {
    json!({
        "queue": config.queue,
        "command": config.command.map(|(command, _)| command.0),
        "family": config.command.map(|(_, family)| family),
        "mode": config.params.map(|(mode, _)| mode),
        "range": config.params.map(|(_, range)| range),
        "max_length": config.max_length,
        "flags": config.flags.map(|flags| flags.0),
        "mask": config.mask.map(|mask| mask.0),
    })
}

fn nfqueue_verdict(verdict: &nfqueue::VerdictRequest<'_>) -> Value {
    json!({
        "queue": verdict.queue,
        "id": verdict.id,
        "verdict": verdict.verdict.to_string(),
        "mark": verdict.mark,
        "replacement_len": verdict.replacement.map(<[u8]>::len),
    })
}

fn nfqueue_packet(packet: &nfqueue::Packet<'_>) -> Value {
    let timestamp =
        packet.timestamp.map(|time| format!("{}.{:06}", time.seconds, time.microseconds));
    json!({
        "queue": packet.queue,
        "id": packet.id,
        "family": packet.family,
        "hook": packet.hook.to_string(),
        "mark": packet.mark,
        "timestamp": timestamp,
        "indev": packet.input_device,
        "outdev": packet.output_device,
        "hw_protocol": packet.hw_protocol.to_string(),
        "hw_addr": packet.hw_address.map(|address| address.to_string()),
        "packet_len": packet.packet_len,
        "uid": packet.uid,
        "gid": packet.gid,
        "data_len": packet.payload.map(<[u8]>::len),
    })
}
