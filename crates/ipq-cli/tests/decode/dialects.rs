//! Word size and byte order: guessed, and told.

use ipq_proto::DataModel;

use super::messages::{decode, hex, ip_queue_messages, nfqueue_messages};

#[test]
fn every_message_of_every_kernel_is_known_by_its_bytes() {
    for model in DataModel::ALL {
        for (message, kind) in
            ip_queue_messages(model).iter().zip(["mode", "packet", "verdict", "reply"])
        {
            let run = decode(message, &["--json", "--format", "raw"]).was_silent();
            let found = &run.events("message")[0];
            assert_eq!(found["protocol"], "ip_queue", "{found}");
            assert_eq!(found["kind"], kind, "{found}");
            let order = if model.is_big_endian() { "big" } else { "little" };
            assert_eq!(found["order"], order, "{found}");
            // A reply is the same in either.
            if kind != "reply" {
                assert_eq!(found["word"], model.word_len() * 8, "{found}");
            }
        }
    }
    for is_big_endian in [false, true] {
        for (message, kind) in nfqueue_messages(is_big_endian).iter().zip(["config", "packet"]) {
            let run = decode(message, &["--json", "--format", "raw"]).was_silent();
            let found = &run.events("message")[0];
            assert_eq!(found["protocol"], "nfqueue", "{found}");
            assert_eq!(found["kind"], kind, "{found}");
            assert_eq!(found["order"], if is_big_endian { "big" } else { "little" }, "{found}");
        }
    }
}

#[test]
fn messages_one_after_the_other_are_one_datagram() {
    let all = ip_queue_messages(DataModel::Ilp32Big).map(|mut message| {
        message.resize(message.len().next_multiple_of(4), 0);
        message
    });
    let run = decode(hex(&all.concat()).as_bytes(), &["--json"]).was_silent();
    let kinds: Vec<_> = run.events("message").iter().map(|one| one["kind"].to_string()).collect();
    assert_eq!(kinds.join(" "), r#""mode" "packet" "verdict" "reply""#);
    run.sums_up("datagrams 1, messages 4, errors 0");
}

#[test]
fn what_is_told_is_not_guessed() {
    let [_, packet, ..] = ip_queue_messages(DataModel::Lp64Little);
    let told = ["--json", "--format", "raw", "--word", "32", "--order", "little"];
    let run = decode(&packet, &told).was_silent();
    let found = &run.events("message")[0];
    assert_eq!(found["word"], 32);
    // The upper half of the id is not where a 32-bit kernel has it.
    assert_eq!(found["fields"]["mark"], 0);

    let run = decode(&packet, &["--json", "--format", "raw", "--order", "big"]).ended(1);
    assert_eq!(run.events("error")[0]["field"], "netlink header");
    let run = decode(&packet, &["--json", "--format", "raw", "--protocol", "nfqueue"]).was_silent();
    assert_eq!(run.events("message")[0]["kind"], "other");
}
