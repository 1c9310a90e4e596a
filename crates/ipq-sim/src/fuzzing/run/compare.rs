//! What a kernel and its model say, compared.

use ipq_proto::Family;

use super::super::model::{End, Message, START};
use super::Run;
use crate::Outcome;
use crate::capture::Timestamp;
use crate::fate::{Fate, Reason};

impl Run {
    /// What came is what was to come, as far as it came.
    pub(super) fn compare(&self, bytes: &[u8], expected: &Message) {
        if let Message::Exactly(all, padding) = expected {
            let len = bytes.len().min(all.len() - padding);
            assert_eq!(hex(&bytes[..len]), hex(&all[..len]));
        } else if bytes.len() == expected.len() {
            let came = self.model.understand(bytes, expected);
            assert_eq!(came, *expected, "came and expected");
        }
    }

    /// Both say the same of everything that can be seen.
    pub(super) fn check(&mut self) {
        self.tell();
        if self.model.is_lost() {
            return;
        }
        assert!(!self.model.is_told_too_much(), "the kernel queued a packet that it should not");
        for family in Family::ALL {
            let file = self.kernel.ip_queue_status(family).map(|status| status.to_string());
            assert_eq!(file, self.model.ip_queue_file(family), "the file of {family}");
        }
        let lines: Vec<_> = self.kernel.nfqueue_status().iter().map(ToString::to_string).collect();
        assert_eq!(lines, self.model.nfqueue_file());
        self.check_ends();
        let (totals, expected) = (self.kernel.totals(), self.model.totals());
        assert_eq!(totals.entered, expected.entered);
        assert_eq!(totals.queued, expected.queued);
        let ended = totals.delivered + totals.dropped;
        assert_eq!((totals.fragmented, totals.reassembled, totals.incomplete), (0, 0, 0));
        assert_eq!(ended, self.ended.len() as u64, "each packet ends once");
        assert_eq!(totals.entered, ended + totals.queued + self.model.pending());
        if self.model.knows_all_ends() {
            assert_eq!(totals, expected);
        }
    }

    /// Packets ended as they should.
    fn check_ends(&mut self) {
        let mut outcomes = self.kernel.take_outcomes();
        let mut ends = self.model.take_ended();
        outcomes.sort_by_key(|outcome| outcome.number);
        ends.sort_by_key(|end| end.number);
        let ended: Vec<_> = outcomes.iter().map(|outcome| outcome.number).collect();
        let expected: Vec<_> = ends.iter().map(|end| end.number).collect();
        assert_eq!(ended, expected, "which packets ended: {outcomes:?} and {ends:?}");
        for (outcome, end) in outcomes.iter().zip(&ends) {
            compare_end(outcome, end);
            assert!(self.ended.insert(outcome.number), "{outcome:?} ended twice");
        }
    }
}

fn compare_end(outcome: &Outcome, end: &End) {
    match end.fate {
        Some(fate) => {
            assert_eq!(outcome.fate, fate, "{outcome:?}, {end:?}");
            assert_eq!(hex(&outcome.data), hex(&end.content.bytes()), "{outcome:?}, {end:?}");
        }
        None => assert!(
            matches!(
                outcome.fate,
                Fate::Delivered
                    | Fate::Dropped(
                        Reason::Malformed
                            | Reason::Short
                            | Reason::IpChecksum
                            | Reason::TransportChecksum
                    )
            ),
            "{outcome:?}"
        ),
    }
    let arrived = |microseconds: u64| {
        let seconds = i64::try_from(START + microseconds / 1_000_000).ok()?;
        Timestamp::new(seconds, u32::try_from(microseconds % 1_000_000 * 1000).ok()?)
    };
    assert_eq!(outcome.timestamp, end.arrived.and_then(arrived), "{outcome:?}");
    assert_eq!((outcome.family, outcome.mark), (end.family, end.mark), "{outcome:?}");
    let devices = [outcome.input_device.to_string(), outcome.output_device.to_string()];
    assert_eq!(devices, end.devices, "{outcome:?}");
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
