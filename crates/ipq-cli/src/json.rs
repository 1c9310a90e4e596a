//! JSON, one object a line: [`Json`].

use core::fmt;
use std::io::{self, Write};
use std::path::Path;

use ipq::{
    DeviceName, EtherType, Family, HardwareAddress, Hook, Packet, PacketId, QueueName, Timestamp,
    Verdict,
};
use ipq_sim::Malformed;
use serde::{Serialize, Serializer};
use serde_json::{Map, json};

use crate::dissect::Dissection;
use crate::output::{Output, Summary, Trouble};

/// Writes one JSON object for each event.
#[derive(Debug)]
pub(crate) struct Json<W>(pub(crate) W);

/// A packet, in this order. It is written as it is made, without a text of its own for any part of it.
#[derive(Serialize)]
struct PacketLine<'b> {
    event: &'static str,
    id: Shown<PacketId>,
    queue: Shown<QueueName>,
    family: Shown<Family>,
    hook: Shown<Hook>,
    indev: Shown<DeviceName>,
    outdev: Shown<DeviceName>,
    mark: u64,
    hw_protocol: Shown<EtherType>,
    hw_type: u16,
    hw_addr: Shown<HardwareAddress>,
    timestamp: Option<f64>,
    data_len: usize,
    verdict: Shown<Verdict>,
    summary: Shown<Dissection<'b>>,
    #[serde(skip_serializing_if = "is_false")]
    changed: bool,
}

/// What is written as the text that it prints as.
struct Shown<T>(T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl<W: Write> Json<W> {
    fn line(&mut self, object: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, object)?;
        self.0.write_all(b"\n")
    }
}

impl<W: Write> Output for Json<W> {
    fn packet(
        &mut self,
        packet: &Packet<'_>,
        verdict: Verdict,
        is_changed: bool,
    ) -> io::Result<()> {
        let id = packet.id();
        self.line(&PacketLine {
            event: "packet",
            id: Shown(id),
            queue: Shown(id.queue()),
            family: Shown(packet.family()),
            hook: Shown(packet.hook()),
            indev: Shown(packet.input_device()),
            outdev: Shown(packet.output_device()),
            mark: packet.mark(),
            hw_protocol: Shown(packet.hw_protocol()),
            hw_type: packet.hw_type().0,
            hw_addr: Shown(packet.hw_address()),
            timestamp: packet.timestamp().map(seconds),
            data_len: packet.payload().len(),
            verdict: Shown(verdict),
            summary: Shown(Dissection::of(packet)),
            changed: is_changed,
        })
    }

    fn trouble(&mut self, trouble: &Trouble) -> io::Result<()> {
        let mut object = Map::new();
        object.insert("event".to_owned(), "error".into());
        if let Some(errno) = trouble.errno {
            object.insert("errno".to_owned(), errno.0.into());
            object.insert("name".to_owned(), errno.name().into());
        }
        if let Some(id) = trouble.packet {
            object.insert("id".to_owned(), id.to_string().into());
            object.insert("queue".to_owned(), id.queue().to_string().into());
        }
        object.insert("message".to_owned(), trouble.text.as_str().into());
        self.line(&object)
    }

    fn malformed(&mut self, path: &Path, malformed: &Malformed) -> io::Result<()> {
        self.line(&json!({
            "event": "malformed",
            "file": path.display().to_string(),
            "packet": malformed.number,
            "reason": malformed.reason.to_string(),
        }))
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        let Summary { packets, bytes, accepted, dropped, other, errors, lost, skipped, .. } =
            summary;
        self.line(&json!({
            "event": "summary",
            "packets": packets,
            "bytes": bytes,
            "accepted": accepted,
            "dropped": dropped,
            "other": other,
            "errors": errors,
            "lost": lost,
            "skipped": skipped,
            "malformed": summary.malformed,
            "unclaimed": summary.unclaimed,
            "seconds": summary.time.as_secs_f64(),
        }))?;
        self.0.flush()
    }
}

/// The time as one number: seconds, with microseconds behind the point.
#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds are exact for 285 years around the epoch"
)]
fn seconds(timestamp: Timestamp) -> f64 {
    timestamp.seconds as f64 + timestamp.microseconds as f64 / 1e6
}
