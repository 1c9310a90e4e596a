//! Every fault that there is can be planned in a scenario, and strikes there.

use super::{run, written};

/// Runs a program at a queue of `nfnetlink_queue` in whose conversation something goes wrong from the time on at which it
/// has opened that queue; gives what it has done, which has to be seen to.
fn with_fault(fault: &str) -> serde_json::Value {
    let name = fault.split('"').nth(1).expect("its name is first");
    let text = format!(
        "[application]\nqueue = \"nfqueue:0\"\n\
         [[rule]]\nhook = \"LOCAL_OUT\"\ntarget = {{ nfqueue = 0 }}\n\
         [[traffic]]\nname = \"stream\"\nkind = \"udp\"\nfrom = \"here\"\nto = \"here\"\nport = 9\n\
         at = \"1s\"\ncount = 20\ninterval = \"1ms\"\n\
         [[fault]]\nfault = {fault}\nfrom = \"1s\"\n\
         [[expect]]\nthat = \"fault.{name}\"\nat-least = 1\n\
         [[expect]]\nthat = \"application.failed\"\nat-most = 1\n"
    );
    let run = run(&written(&text).path, &["--json", "--check"]).was_silent();
    run.events("run")[0].clone()
}

#[test]
fn messages_are_lost_late_out_of_order_doubled_and_damaged() {
    for (fault, delivered) in [
        ("\"lose\"\ndirection = \"to-program\"\nevery = 2", 10),
        ("\"lose\"\ndirection = \"to-kernel\"\nevery = 2", 10),
        ("\"delay\"\ndirection = \"to-program\"\ndelay = \"5ms\"", 20),
        ("\"hold\"\ndirection = \"to-kernel\"\nrelease = \"2s\"", 20),
        ("\"reorder\"\ndirection = \"to-program\"\nevery = 3", 20),
        ("\"duplicate\"\ndirection = \"to-kernel\"\nat-most = 1", 20),
        ("\"shorten\"\ndirection = \"to-kernel\"\nlength = 10\nat-most = 1", 19),
        ("\"overrun\"\nevery = 4", 15),
        ("\"unknown-id\"\nnth = 2", 19),
    ] {
        let end = with_fault(fault);
        assert_eq!(end["packets"]["delivered"], delivered, "{fault}: {end}");
        assert_eq!(end["application"]["failed"], 0, "{fault}: {end}");
    }
}

#[test]
fn what_is_damaged_is_survived() {
    for direction in ["to-program", "to-kernel"] {
        let fault = format!("\"corrupt\"\nbytes = 4\nrate = 0.5\ndirection = \"{direction}\"");
        assert_eq!(with_fault(&fault)["application"]["failed"], 0);
    }
    let cut = with_fault("\"shorten\"\ndirection = \"to-program\"\nlength = 20\nat-most = 1");
    assert_eq!(cut["application"]["malformed"], 1, "{cut}");
    let truncated = with_fault("\"truncate\"\nlength = 60\nat-most = 1");
    assert_eq!(truncated["application"]["truncated"], 1, "{truncated}");
}

#[test]
fn senders_signals_errors_and_ends_are_counted() {
    let of = |fault: &str, what: &str| with_fault(fault)["application"][what].clone();
    assert_eq!(of("\"foreign\"\nport-id = 4711\nat-most = 3", "foreign"), 3);
    assert_eq!(of("\"interrupt\"\nevery = 2", "accepted"), 20);
    assert_eq!(of("\"spurious-error\"\nerrno = \"ENOENT\"\nat-most = 2", "refused"), 2);
    assert_eq!(of("\"refuse\"\nerrno = \"EAGAIN\"\nevery = 2", "accepted"), 20);
    assert_eq!(of("\"refuse\"\nerrno = \"EPERM\"\nat-most = 1", "errno"), 1);
    assert_eq!(
        of("\"die\"\nerrno = \"ENOMEM\"\ndirection = \"to-program\"\nat-most = 1", "errno"),
        12
    );
    assert_eq!(of("\"overrun\"\nevery = 4", "overruns"), 5);
    assert_eq!(of("\"unknown-id\"\nnth = 2", "refused"), 1);
}
