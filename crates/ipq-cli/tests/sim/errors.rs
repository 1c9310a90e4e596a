//! What is wrong with a scenario is said with its place, before anything runs.

use super::{run, written};

/// Checks that a text is refused at a place, with this problem.
#[track_caller]
fn refused(text: &str, place: &str, problem: &str) {
    let scenario = written(text);
    let run = run(&scenario.path, &[]).ended(1);
    assert_eq!(run.stdout, "", "{text}");
    let line = format!("ipq-cli: {}:{place}: ", scenario.path.display());
    assert!(run.stderr.starts_with(&line), "{text}\n{line}\n{run:#?}");
    assert_eq!(run.stderr.lines().count(), 1, "one line: {run:#?}");
    run.says(&[problem]);
}

const DEVICE: &str = "[[device]]\nname = \"eth0\"\naddresses = [\"10.0.0.1/24\"]\n";
const HOST: &str = "[[host]]\nname = \"a\"\ndevice = \"eth0\"\naddresses = [\"10.0.0.2\"]\n";

#[test]
fn what_is_no_toml_is_refused_where_it_begins() {
    refused("seed = \n", "1:8", "");
    refused("seed = 1\n[[rule]\n", "2:8", "");
    refused("seed = 1\nseed = 2\n", "2:1", "duplicate key");
}

#[test]
fn keys_and_words_that_are_not_known_are_refused() {
    refused("sead = 1\n", "1:1", "unknown field `sead`, expected one of `description`");
    refused("[application]\nname = \"eat\"\n", "2:8", "unknown variant `eat`");
    refused("[[device]]\nname = \"eth0\"\nspeed = 5\n", "3:1", "unknown field `speed`");
    refused("[[rule]]\nhook = \"OUTPUT\"\ntarget = \"drop\"\n", "2:8", "LOCAL_OUT");
    refused("[[rule]]\nhook = \"LOCAL_OUT\"\ntarget = \"reject\"\n", "3:10", "{ nfqueue = N }");
    refused(
        "[[rule]]\nhook = \"LOCAL_OUT\"\ntarget = { mark = 1, nfqueue = 2 }\n",
        "3:10",
        "a target",
    );
    refused(
        "[[rule]]\nhook = \"LOCAL_OUT\"\ntarget = { nfqueue = \"3-1\" }\n",
        "3:22",
        "B not before A",
    );
    refused(
        "[[rule]]\nhook = \"LOCAL_OUT\"\ntarget = { nfqueue = 70000 }\n",
        "3:22",
        "up to 65535",
    );
    refused(
        "[[rule]]\nhook = \"LOCAL_OUT\"\nmatch = { protocol = \"sctp\" }\ntarget = \"drop\"\n",
        "3:22",
        "a number up to 255",
    );
    refused("[application]\nqueue = \"nfqueue\"\n", "2:9", "ip_queue, nfqueue:N or nfqueue:A-B");
    refused("[[event]]\nat = \"soon\"\naction = \"kill-all\"\n", "2:6", "");
    refused("[[event]]\nat = \"1s\"\naction = \"explode\"\n", "3:10", "unknown variant `explode`");
    refused("[[fault]]\nfault = \"lose\"\n", "1:1", "needs a `direction`");
    refused("[kernel]\nwithout = [\"ip_tables\"]\n", "2:12", "unknown variant");
    refused("[[traffic]]\nkind = \"sctp\"\n", "2:8", "unknown variant `sctp`");
}

#[test]
fn devices_and_hosts_have_to_be_there_and_apart() {
    refused("[[device]]\nname = \"\"\n", "2:8", "1 to 15 bytes");
    refused("[[device]]\nname = \"a-name-that-is-too-long\"\n", "2:8", "1 to 15 bytes");
    refused("[[device]]\nname = \"lo\"\n", "2:8", "already");
    refused("[[device]]\nname = \"eth0\"\nmtu = 0\n", "3:7", "from 68 to 65536 bytes");
    let point_to_point = "[[device]]\nname = \"t\"\nkind = \"point-to-point\"\nhardware-type = 1\n";
    refused(point_to_point, "4:17", "no hardware type");
    refused(&format!("{DEVICE}{DEVICE}"), "5:8", "there is a device \"eth0\" already");
    refused("[[route]]\nto = \"10.0.0.0/8\"\ndevice = \"eth7\"\n", "3:10", "the devices are lo");
    refused("[[route]]\nto = \"10.0.0.0/8\"\ndevice = \"lo\"\n", "3:10", "lo needs none");
    refused(HOST, "3:10", "there is no device \"eth0\"");
    refused(&format!("{DEVICE}{HOST}{HOST}"), "9:8", "there is a host \"a\" already");
    let own = "[[host]]\nname = \"b\"\ndevice = \"eth0\"\naddresses = [\"10.0.0.1\"]\n";
    refused(&format!("{DEVICE}{own}"), "7:13", "something else already");
    refused(&format!("{DEVICE}{}", own.replace("\"10.0.0.1\"", "")), "7:13", "needs an address");
    refused(
        &format!("{DEVICE}{}", own.replace("10.0.0.1", "127.0.0.5")),
        "7:13",
        "no address of a host",
    );
    let rule = "[[rule]]\nhook = \"FORWARD\"\nmatch = { input = \"eth9\" }\ntarget = \"drop\"\n";
    refused(rule, "3:19", "there is no device \"eth9\"");
    let event = "[[event]]\nat = \"1s\"\naction = { device-down = \"eth9\" }\n";
    refused(event, "3:10", "there is no device \"eth9\"");
    let event = "[[event]]\nat = \"1s\"\naction = { set-mtu = { device = \"lo\", bytes = 1 } }\n";
    refused(event, "3:10", "an MTU is from 68");
}

#[test]
fn traffic_has_what_it_needs_and_nothing_else() {
    let ping = "[[traffic]]\nkind = \"ping\"\nfrom = \"here\"\nto = \"here\"\n";
    let udp = "[[traffic]]\nkind = \"udp\"\nfrom = \"here\"\nto = \"here\"\nport = 9\n";
    refused("[[traffic]]\nkind = \"ping\"\nfrom = \"here\"\n", "1:1", "needs `to`");
    refused(&ping.replace("to = \"here\"", "to = \"there\""), "4:6", "the hosts are here");
    refused(&format!("{ping}port = 9\n"), "5:8", "ping takes no `port`, but name, at, from");
    refused(&format!("{ping}bytes = 65401\n"), "5:9", "65401 bytes are too many");
    refused(&format!("{ping}bytes = 1\ntext = \"a\"\n"), "6:8", "not both");
    refused(&udp.replace("port = 9", "port = 0"), "5:8", "nothing can listen at port 0");
    refused(&udp.replace("port = 9", ""), "1:1", "needs `port`");
    refused(
        "[[traffic]]\nkind = \"tcp\"\nfrom = \"here\"\nto = \"here\"\n",
        "1:1",
        "`bytes` or `text`",
    );
    refused(&format!("{ping}family = \"ipx\"\n"), "5:10", "ipv4 or ipv6");
    refused(&format!("{ping}name = \"fault\"\n"), "5:8", "something is called \"fault\" already");
    let named = format!("{ping}name = \"p\"\n");
    refused(&format!("{named}{named}"), "10:8", "something is called \"p\" already");
    let from_host = udp.replacen("here", "a", 1);
    refused(&format!("{DEVICE}{HOST}{from_host}mark = 1\n"), "13:8", "a mark does not travel");
    let to_host = ping.replace("to = \"here\"", "to = \"a\"");
    let six = format!("{DEVICE}{HOST}{to_host}family = \"ipv6\"\n");
    refused(&six, "11:6", "the host \"a\" has no address of ipv6");
    let capture =
        "[[traffic]]\nkind = \"capture\"\nfile = \"x.pcap\"\ndevice = \"lo\"\nat = \"1s\"\n";
    refused(capture, "5:6", "capture takes no `at`");
}

#[test]
fn an_application_makes_sense() {
    refused("[application]\nrate = 1.5\n", "2:8", "between 0 and 1");
    refused("[application]\nevery = 0\n", "2:9", "not every 0th");
    refused("[application]\nname = \"mangle\"\n", "1:1", "something to `find`");
    refused("[application]\nfind = \"a\"\n", "2:8", "needs both");
    refused("[application]\nfind = \"\"\nreplace = \"\"\n", "2:8", "nothing to find");
    refused("[application]\nfind = \"a\"\nreplace = \"bc\"\n", "3:11", "has 1 bytes, and this 2");
    refused("[application]\nmatch = { mark = 1 }\n", "2:18", "leave devices and marks to rules");
    let cut = "[application]\nname = \"mangle\"\nfind = \"a\"\nreplace = \"b\"\nrange = 20\n";
    refused(cut, "1:1", "needs whole packets");
}

#[test]
fn numbers_that_do_not_exist_are_refused_before_the_run() {
    let expect = |that: &str| format!("[[expect]]\nthat = \"{that}\"\nequals = 1\n");
    refused(&expect("deliverd"), "2:8", "there are entered, delivered, dropped");
    refused(&expect("ping.answered"), "2:8", "there is no number \"ping.answered\"");
    refused(&expect("application.read"), "2:8", "but application.packets, application.bytes");
    refused(&expect("dropped: by magic"), "2:8", "the reasons are");
    refused(&expect("fault.lose"), "2:8", "has no fault \"lose\"");
    refused(&expect("ip_queue.dropped"), "2:8", "but ip_queue.length, ip_queue.queue-dropped");
    refused(&expect("nfqueue:1.dropped"), "2:8", "nfqueue:1.user-dropped");
    refused(&expect("nfqueue:99999.length"), "2:8", "no number of a queue");
    let named = "[[traffic]]\nname = \"p\"\nkind = \"ping\"\nfrom = \"here\"\nto = \"here\"\n";
    refused(&format!("{named}{}", expect("p.received")), "7:8", "but p.sent, p.answered, p.intact");
    refused("[[expect]]\nthat = \"entered\"\n", "2:8", "equals, at-least or at-most");
    refused("[[expect]]\nthat = \"entered\"\nequals = -1\n", "3:10", "a number from 0 on");
    refused("[[expect]]\nthat = \"entered\"\nequals = \"ENOSUCH\"\n", "3:10", "EBUSY");
}

#[test]
fn files_that_cannot_be_read_are_told() {
    let scenario = written("");
    let missing = scenario.folder.path().join("missing.toml");
    run(&missing, &[]).ended(1).says(&["missing.toml: reading the scenario: No such file"]);
    run(scenario.folder.path(), &[]).ended(1).says(&["reading the scenario: "]);
    run(&written([0xff, 0xfe]).path, &[]).ended(1).says(&["x.toml: reading the scenario: "]);
    let capture = "[[traffic]]\nkind = \"capture\"\nfile = \"none.pcap\"\ndevice = \"lo\"\n";
    run(&written(capture).path, &[])
        .ended(1)
        .says(&["x.toml: reading ", "none.pcap: No such file"]);
}

#[test]
fn a_capture_that_breaks_off_is_told() {
    let scenario =
        written("[[traffic]]\nkind = \"capture\"\nfile = \"cut.pcap\"\ndevice = \"lo\"\n");
    let whole = std::fs::read(crate::common::traffic("ssh.pcap")).unwrap();
    std::fs::write(scenario.folder.path().join("cut.pcap"), &whole[..whole.len() - 3]).unwrap();
    run(&scenario.path, &[]).ended(1).says(&["cut.pcap: packet 54", "the file was cut short"]);
}

#[test]
fn an_empty_scenario_runs() {
    let run = run(&written("").path, &[]).was_silent();
    assert_eq!(run.stdout, "seed 0x0: 0 of 0 expectations hold; 0 packets in 0.000000 s\n");
}
