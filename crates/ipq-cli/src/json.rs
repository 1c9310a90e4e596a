//! JSON, one object a line: [`Json`].

use std::io::{self, Write};
use std::path::Path;

use ipq::{Packet, Timestamp, Verdict};
use ipq_sim::Malformed;
use serde_json::{Map, Value, json};

use crate::dissect::Dissection;
use crate::output::{Output, Summary, Trouble};

/// Writes one JSON object for each event.
#[derive(Debug)]
pub(crate) struct Json<W>(pub(crate) W);

impl<W: Write> Json<W> {
    fn line(&mut self, object: &Value) -> io::Result<()> {
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
        let mut object = json!({
            "event": "packet",
            "id": packet.id().to_string(),
            "queue": packet.id().queue().to_string(),
            "family": packet.family().to_string(),
            "hook": packet.hook().to_string(),
            "indev": packet.input_device().to_string(),
            "outdev": packet.output_device().to_string(),
            "mark": packet.mark(),
            "hw_protocol": packet.hw_protocol().to_string(),
            "hw_type": packet.hw_type().0,
            "hw_addr": packet.hw_address().to_string(),
            "timestamp": packet.timestamp().map(seconds),
            "data_len": packet.payload().len(),
            "verdict": verdict.to_string(),
            "summary": Dissection::of(packet).to_string(),
        });
        if is_changed {
            object["changed"] = true.into();
        }
        self.line(&object)
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
        self.line(&object.into())
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
