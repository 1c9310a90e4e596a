//! What is printed, and the exit status.

use serde_json::json;

use super::examples::example;
use super::{run, sim_run, written};
use crate::common::Run;

const PINGS: &str = "[[rule]]\nhook = \"LOCAL_OUT\"\ntarget = \"queue\"\n[[traffic]]\nname = \"p\"\n\
                     kind = \"ping\"\nfrom = \"here\"\nto = \"here\"\ncount = 2\n";

/// Drops about every second packet; all 20 are dropped with hardly any seed.
const DRAWN: &str = "[[rule]]\nhook = \"LOCAL_OUT\"\ntarget = \"queue\"\n\
                     [application]\nname = \"drop\"\nrate = 0.5\n\
                     [[traffic]]\nname = \"p\"\nkind = \"udp\"\nfrom = \"here\"\nto = \"here\"\nport = 9\ncount = 1\n\
                     [[expect]]\nthat = \"p.received\"\nequals = 1\n";

#[test]
fn an_expectation_that_fails_is_exit_status_1() {
    let text = format!(
        "{PINGS}[[expect]]\nthat = \"p.answered\"\nequals = 3\n[[expect]]\nthat = \"p.sent\"\nat-least = 1\nat-most = 2\n"
    );
    let scenario = written(&text);
    let run = run(&scenario.path, &[]).ended(1);
    assert_eq!(run.stderr, "");
    assert_eq!(
        run.stdout,
        "FAILED: p.answered: 2, expected 3\n\
         ok: p.sent: 2, expected at least 1 and at most 2\n\
         seed 0x0: 1 of 2 expectations hold; 4 packets in 0.000000 s\n"
    );
}

#[test]
fn json_says_the_same_in_the_documented_keys() {
    let scenario =
        written(format!("seed = 9\n{PINGS}[[expect]]\nthat = \"p.answered\"\nequals = 3\n"));
    let run = run(&scenario.path, &["--json"]).ended(1);
    assert_eq!(
        run.objects(),
        [
            json!({
                "event": "expectation", "seed": "0x9", "that": "p.answered", "expected": "3", "found": 2,
                "holds": false
            }),
            json!({
                "event": "run", "seed": "0x9", "expectations": 1, "hold": 0, "seconds": 0.0,
                "packets": {
                    "entered": 4, "delivered": 4, "dropped": 0, "fragmented": 0, "reassembled": 0, "incomplete": 0,
                    "queued": 0
                },
                "application": {
                    "packets": 4, "bytes": 336, "accepted": 4, "dropped": 0, "mangled": 0, "truncated": 0,
                    "refused": 0, "overruns": 0, "lost": 0, "foreign": 0, "malformed": 0, "failed": 0, "errno": 0,
                    "failure": null
                }
            }),
        ]
    );
}

#[test]
fn a_trace_comes_before_the_expectations() {
    let scenario = written(PINGS);
    let lines = run(&scenario.path, &["--trace"]).was_silent().stdout;
    assert!(
        lines.contains("    0.000000 packet 1: waits in ip_queue at LOCAL_OUT, id 0x"),
        "{lines}"
    );
    assert!(lines.lines().last().unwrap().starts_with("seed 0x0: "));
    let traced = run(&scenario.path, &["--trace", "--json"]).was_silent();
    let ends = traced.events("ended");
    assert_eq!(ends.len(), 4);
    assert!(ends.iter().all(|end| end["fate"] == "delivered"));
    let kinds = ["entered", "hook", "queued", "verdict", "opened", "closed", "request", "message"];
    for kind in kinds {
        assert!(!traced.events(kind).is_empty(), "{kind}");
    }
}

#[test]
fn several_runs_take_the_next_seeds_and_name_those_that_failed() {
    let scenario = written(DRAWN);
    let all = run(&scenario.path, &["--repeat", "20", "--seed", "5", "--json"]).ended(1);
    let runs = all.events("run");
    let seeds: Vec<_> = runs.iter().map(|run| run["seed"].as_str().unwrap().to_owned()).collect();
    assert_eq!(seeds, (5..25).map(|seed| format!("{seed:#x}")).collect::<Vec<_>>());
    let failed: Vec<_> =
        runs.iter().filter(|run| run["hold"] == 0).map(|run| &run["seed"]).collect();
    assert!((1..20).contains(&failed.len()), "{failed:?}");
    let summary = all.summary();
    assert_eq!(summary["runs"], 20);
    assert_eq!(summary["failed"], failed.len());
    assert_eq!(summary["failed_seeds"], json!(failed));

    // Each of them fails again by itself, in words as well.
    let seed = failed[0].as_str().unwrap();
    run(&scenario.path, &["--seed", seed]).ended(1);
    let words = run(&scenario.path, &["--repeat", "20", "--seed", "5"]).ended(1).stdout;
    let end = format!("20 runs: {} FAILED, those with the seeds {seed}", failed.len());
    assert!(words.lines().last().unwrap().starts_with(&end), "{words}");
}

#[test]
fn the_environment_says_seed_and_runs_if_the_options_do_not() {
    let scenario = written(DRAWN);
    let seeds = |command: &mut std::process::Command| {
        let run = Run::from(command.output().unwrap());
        let runs =
            run.events("run").into_iter().map(|run| run["seed"].as_str().unwrap().to_owned());
        runs.collect::<Vec<_>>()
    };
    let mut from_environment = sim_run(&scenario.path, &["--json"]);
    from_environment.env("IPQ_SIM_SEED", "0xff").env("IPQ_SIM_RUNS", "2");
    assert_eq!(seeds(&mut from_environment), ["0xff", "0x100"]);
    let mut from_options = sim_run(&scenario.path, &["--json", "--seed", "1", "--repeat", "1"]);
    from_options.env("IPQ_SIM_SEED", "0xff").env("IPQ_SIM_RUNS", "2");
    assert_eq!(seeds(&mut from_options), ["0x1"]);
    // The seeds wrap around.
    let last =
        sim_run(&scenario.path, &["--json", "--seed", "0xffffffffffffffff", "--repeat", "2"]);
    assert_eq!(seeds(&mut { last }), ["0xffffffffffffffff", "0x0"]);
}

#[test]
fn wrong_usage_is_exit_status_2() {
    let scenario = written(PINGS);
    let path = scenario.path.to_str().unwrap();
    for (args, problem) in [
        (&["--seed=-1"][..], "a seed is a number"),
        (&["--seed", "0x10000000000000000"], "a seed is a number of 64 bits"),
        (&["--repeat", "0"], "1 or more"),
        (&["--repeat", "2", "--traffic", "t.pcapng"], "without --repeat"),
        (&["--traffic", path], "overwritten"),
        (&["--netlink", "a", "--traffic", "a"], "files of their own"),
        (&["--application", "eat"], "possible values: pass, drop, mangle"),
        (&["--speed", "1"], "unexpected argument"),
    ] {
        let run = run(&scenario.path, args).ended(2).says(&[problem]);
        assert_eq!(run.stdout, "");
    }
    Run::of(crate::common::ipq_cli().args(["sim", "run"])).ended(2).says(&["<FILE.toml>"]);
    assert_eq!(std::fs::read_to_string(&scenario.path).unwrap(), PINGS);
}

#[test]
fn an_end_that_nobody_expected_fails_the_run() {
    let scenario = written(format!("kernel = {{ taken = [\"ip_queue\"] }}\n{PINGS}"));
    let run_ = run(&scenario.path, &[]).ended(1);
    assert!(run_.stdout.contains("FAILED: the application ended: setting copy mode"), "{run_:#?}");
    let failure = run(&scenario.path, &["--json"]).ended(1).events("run")[0]["application"].clone();
    assert_eq!((&failure["failed"], &failure["errno"]), (&json!(1), &json!(16)));
    assert!(failure["failure"].as_str().unwrap().contains("another program has the queue"));
}

#[test]
fn a_socket_that_always_refuses_ends_the_application() {
    let fault = "[[fault]]\nfault = \"refuse\"\nerrno = \"EAGAIN\"\nfrom = \"1us\"\n";
    let scenario = written(format!("{PINGS}interval = \"1ms\"\n{fault}"));
    let run = run(&scenario.path, &["--json"]).ended(1);
    assert_eq!(run.events("run")[0]["application"]["errno"], 11);
}

#[test]
fn another_application_takes_the_place_of_the_scenarios() {
    let scenario = written(format!("{PINGS}[[expect]]\nthat = \"p.answered\"\nequals = 2\n"));
    run(&scenario.path, &[]).was_silent();
    run(&scenario.path, &["--application", "drop"]).ended(1);
    run(&scenario.path, &["--application", "mangle"]).ended(1).says(&["x.toml: ", "`find`"]);
}

#[test]
fn the_queues_are_shown_as_in_proc() {
    let run_ = run(&example("queue-full"), &["--status"]).was_silent();
    let wanted = "ip_queue:\nPeer PID          : 1000\nCopy mode         : 2\n";
    assert!(run_.stdout.starts_with(wanted), "{run_:#?}");
    assert!(run_.stdout.contains("Queue dropped     : 16\n"), "{run_:#?}");
    let nfqueue = run(&example("lossy-transfer"), &["--status"]).was_silent();
    assert!(
        nfqueue.stdout.starts_with("nfnetlink_queue:\n    3   1000     0 2 65531     0     0 ")
    );
    let statuses = run(&example("balance"), &["--status", "--json"]).was_silent().events("status");
    assert_eq!(statuses[0]["nfqueues"].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_program_that_ends_early_leaves_its_queue() {
    let text = format!(
        "{PINGS}interval = \"1s\"\n[application]\npackets = 2\n\
                        [[expect]]\nthat = \"p.answered\"\nequals = 1\n\
                        [[expect]]\nthat = \"dropped: no program has the queue\"\nequals = 1\n"
    );
    run(&written(text).path, &[]).was_silent();
}

#[test]
fn a_program_that_starts_late_misses_what_came_before() {
    let text = format!(
        "{PINGS}interval = \"1s\"\n[application]\nstarts = \"500ms\"\n\
                        [[expect]]\nthat = \"p.answered\"\nequals = 1\n"
    );
    run(&written(text).path, &[]).was_silent();
}

#[test]
fn every_nth_packet_that_matches_is_dropped() {
    let text = "[[rule]]\nhook = \"LOCAL_OUT\"\ntarget = \"queue\"\n\
                [application]\nname = \"drop\"\nevery = 3\nmatch = { destination-port = 9 }\n\
                [[traffic]]\nname = \"matching\"\nkind = \"udp\"\nfrom = \"here\"\nto = \"here\"\nport = 9\ncount = 10\n\
                [[traffic]]\nname = \"other\"\nkind = \"udp\"\nfrom = \"here\"\nto = \"here\"\nport = 10\ncount = 10\n\
                [[expect]]\nthat = \"matching.received\"\nequals = 7\n\
                [[expect]]\nthat = \"other.received\"\nequals = 10\n";
    run(&written(text).path, &[]).was_silent();
}

#[test]
fn metadata_is_enough_for_who_passes_everything() {
    let text = format!(
        "{PINGS}[application]\ncopy = \"metadata\"\n\
                        [[expect]]\nthat = \"p.answered\"\nequals = 2\n\
                        [[expect]]\nthat = \"application.bytes\"\nequals = 0\n"
    );
    run(&written(text).path, &[]).was_silent();
}

#[test]
fn many_datagrams_at_once_are_all_counted() {
    let text = "[[traffic]]\nname = \"many\"\nkind = \"udp\"\nfrom = \"here\"\nto = \"here\"\nport = 9\nbytes = 500\n\
                count = 20000\necho = true\n\
                [[expect]]\nthat = \"many.intact\"\nequals = 20000\n\
                [[expect]]\nthat = \"many.answered\"\nequals = 20000\n";
    run(&written(text).path, &[]).was_silent();
}
