//! The program from outside: on real traffic, on packets made for a test, on what is no capture, on the real kernel.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "common/mod.rs"]
mod common;
#[path = "../../ipq/tests/common/exposition.rs"]
mod exposition;

#[path = "passer/captures.rs"]
mod captures;
#[path = "passer/damage.rs"]
mod damage;
#[path = "passer/ends.rs"]
mod ends;
#[path = "passer/help.rs"]
mod help;
#[path = "passer/hostile.rs"]
mod hostile;
#[path = "passer/json.rs"]
mod json;
#[path = "passer/live.rs"]
mod live;
#[path = "passer/options.rs"]
mod options;
#[path = "passer/text.rs"]
mod text;
#[path = "passer/transports.rs"]
mod transports;
#[path = "passer/write.rs"]
mod write;

#[path = "decode"]
mod decode {
    mod dialects;
    mod hostile;
    mod inputs;
    mod messages;
    mod output;
}

#[path = "doctor"]
mod doctor {
    mod live;
    mod usage;
}

#[path = "served"]
mod served {
    mod clients;
    mod sockets;
    mod status;
    mod summaries;
    pub(crate) mod support;
}

#[path = "filter"]
mod filter {
    mod differential;
}

#[path = "show"]
mod show {
    mod dump;
    mod live;
    mod replay;
}

#[path = "sim/mod.rs"]
mod sim;

#[path = "status/mod.rs"]
mod status;

#[path = "top"]
mod top {
    mod terminal;
}

#[path = "run"]
mod run {
    mod bystanders;
    mod ip_queue;
    mod live;
    mod messages;
    mod nfqueue;
    mod sockets;
    mod support;
}
