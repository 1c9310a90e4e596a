//! Bytes that lie.

use ipq_proto::DataModel;
use proptest::prelude::*;

use super::messages::{decode, ip_queue_messages, nfqueue_messages};

/// A message with some bytes changed, cut and continued.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let mut messages: Vec<_> = DataModel::ALL.into_iter().flat_map(ip_queue_messages).collect();
    messages.extend([false, true].into_iter().flat_map(nfqueue_messages));
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let end = (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..20));
    (prop::sample::select(messages), changes, end).prop_map(|(mut bytes, changes, (cut, more))| {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        bytes.extend(more);
        bytes
    })
}

proptest! {
    // Each is a run of the program.
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_decoded_or_pointed_at(bytes in damaged(), is_json in any::<bool>()) {
        let mut args = vec!["-x", "--format", "raw"];
        args.extend(is_json.then_some("--json"));
        let run = decode(&bytes, &args);
        let is_wrong = if is_json {
            run.summary()["errors"] != 0
        } else {
            run.stdout.contains(": wrong: ")
        };
        run.ended(i32::from(is_wrong));
    }
}
