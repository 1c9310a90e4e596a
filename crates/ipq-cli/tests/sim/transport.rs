//! A scenario behind the transport `sim:FILE`.

use super::examples::example;
use super::written;
use crate::common::{Run, packets_of};

#[test]
fn passer_gets_the_packets_of_a_scenario() {
    let run = Run::passer(&example("port-filter"), &["--json"]).was_silent();
    assert_eq!(run.events("packet").len(), 15);
    run.sums_up("packets 15, accepted 15, lost 0");
    Run::passer(&example("port-filter"), &["--json", "--verdict", "drop"])
        .was_silent()
        .sums_up("dropped 10");
}

#[test]
fn queues_and_faults_are_the_scenarios() {
    let run = Run::passer(&example("balance"), &["--json"]).was_silent();
    let packets = run.events("packet");
    assert_eq!(packets.len(), 100);
    assert!(packets.iter().all(|packet| packet["queue"].as_str().unwrap().starts_with("queue ")));
    let foreign = "[[fault]]\nfault = \"foreign\"\nport-id = 4711\nevery = 2\n\
                   [[rule]]\nhook = \"LOCAL_OUT\"\ntarget = \"queue\"\n\
                   [[traffic]]\nkind = \"ping\"\nfrom = \"here\"\nto = \"here\"\ncount = 5\n";
    let faulty = Run::passer(&written(foreign).path, &["--json"]).was_silent();
    assert!(
        faulty
            .events("error")
            .iter()
            .any(|error| error["message"].as_str().unwrap().contains("4711"))
    );
}

#[test]
fn options_of_the_queue_are_the_callers() {
    let full = "[application]\nqueue = \"nfqueue:0\"\n[[rule]]\nhook = \"LOCAL_OUT\"\ntarget = { nfqueue = 0 }\n\
                [[traffic]]\nkind = \"udp\"\nfrom = \"here\"\nto = \"here\"\nport = 9\ncount = 10\n";
    let scenario = written(full);
    Run::passer(&scenario.path, &["--json", "--queue-maxlen", "0"])
        .was_silent()
        .sums_up("packets 0, lost 10");
    Run::passer(&scenario.path, &["--json", "--queue-maxlen", "0", "--fail-open"]).was_silent();
    let of_ip_queue = written(full.replace("queue = \"nfqueue:0\"", ""));
    let run = Run::passer(&of_ip_queue.path, &["--queue-maxlen", "5"]).ended(1);
    run.says(&["net.ipv4.ip_queue_maxlen"]);
}

#[test]
fn what_left_the_queue_alive_is_written() {
    let scenario = example("port-filter");
    let folder = written("");
    let file = folder.folder.path().join("alive.pcap");
    Run::passer(&scenario, &["--quiet", "--write", file.to_str().unwrap()]).ended(0);
    assert_eq!(packets_of(&file).len(), 15);
}

#[test]
fn what_is_wrong_with_a_scenario_is_told() {
    let scenario = written("[[rule]]\nhook = \"NOWHERE\"\n");
    Run::passer(&scenario.path, &[])
        .ended(1)
        .says(&["ipq-cli: ", "x.toml:2:8: \"NOWHERE\" is no hook"]);
    Run::passer(&example("unprivileged"), &[]).ended(1).says(&["CAP_NET_ADMIN is missing"]);
    Run::passer(&example("taken"), &[]).ended(1).says(&["claiming queue 5: it is taken"]);
}
