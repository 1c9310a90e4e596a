//! Seeds that are conversations, or structures of another kind.
//!
//! The order of values and of variants is that of the targets' own types: `Input` and `Step` in `fuzzing/` of each crate.
//! Where it is not theirs any more, the seed is another conversation, and a worse one.

use std::io;

use super::structure::Structure;
use super::{Seed, files, messages};

pub(super) fn seeds() -> io::Result<Vec<Seed>> {
    let packets = files::packets()?;
    let mut seeds = Vec::new();
    for (name, packet) in &packets {
        let input =
            Structure::new().some().bytes(b"a payload").some().byte(8).byte(7).none().bytes(packet);
        let name = format!("{name}.bin");
        seeds.push(Seed::new("rewriting", name, input.finish()));
    }
    let recorded: Vec<Vec<u8>> = messages::recorded().into_values().collect();
    let packets: Vec<Vec<u8>> = packets.into_iter().map(|(_, packet)| packet).collect();
    seeds.extend(sessions(&packets, &recorded));
    seeds.extend(shared(&packets));
    seeds.extend(library(&packets, &recorded));
    seeds.extend(clients(&packets));
    Ok(seeds)
}

/// The end of a list that other values follow is marked; of the last one, the end of the input is enough.
fn list(steps: impl IntoIterator<Item = Structure>) -> Structure {
    steps.into_iter().fold(Structure::new(), |all, step| all.some().then(step))
}

/// A kernel announces a packet; `missing` bytes of it are cut off.
fn announced(queue: u8, packet: &[u8], missing: Option<u8>) -> Structure {
    let head = Structure::new().byte(queue).byte(0).byte(3).some().byte(1).none();
    match missing {
        Some(missing) => head.some().byte(missing),
        None => head.none(),
    }
    .bytes(packet)
}

/// The protocols of a session by their numbers.
const PROTOCOLS: [(&str, u8); 3] = [("nfqueue", 0), ("ip_queue", 1), ("ip6_queue", 2)];

fn sessions(packets: &[Vec<u8>], recorded: &[Vec<u8>]) -> Vec<Seed> {
    const STEPS: u32 = 15;
    let step = |index| Structure::new().variant(index, STEPS);
    let said = |index| step(1).variant(index, 10);
    let accept = |structure: Structure| structure.variant(0, 4);
    let mut seeds = Vec::new();
    for (name, protocol) in PROTOCOLS {
        let head = |is_honest| Structure::new().byte(protocol).byte(0).flag(is_honest);
        let announce =
            |index: usize| step(0).then(announced(0, &packets[index % packets.len()], None));
        let read = || step(4).half(4096);
        let one_by_one =
            (0..6).flat_map(|index| [announce(index), read(), accept(step(7).byte(0))]);
        let batch = (0..8).map(announce).chain([
            step(6).byte(15).half(4096),
            step(10).then(list((0..8).map(|which| accept(Structure::new().byte(which))))).none(),
            step(8).byte(0).variant(0, 4).bytes(&packets[0]),
            step(9).byte(1).variant(1, 4).word(7),
        ]);
        let cut = (0..4).map(announce).chain([
            step(0).then(announced(1, &packets[0], Some(8))),
            said(6),
            said(4).word(29),
            step(4).half(20),
            step(6).byte(3).half(60),
            step(12).variant(2, 4),
            step(13).flag(true),
        ]);
        let refused = [
            announce(0),
            read(),
            step(2).some().byte(11),
            accept(step(7).byte(0)),
            accept(step(7).byte(0)),
            said(3).byte(2),
            read(),
            accept(step(11).half(0).word(99)),
            step(3).byte(2).half(100),
            step(14),
            read(),
        ];
        let damaged = recorded
            .iter()
            .take(24)
            .map(|datagram| said(0).bytes(datagram))
            .chain([step(12).variant(1, 4)]);
        let conversations = [
            ("one-by-one", true, list(one_by_one)),
            ("batch", true, list(batch)),
            ("cut-off", true, list(cut)),
            ("refused", false, list(refused)),
            ("recorded", false, list(damaged)),
        ];
        for (what, is_honest, steps) in conversations {
            let input = head(is_honest).then(steps).finish();
            seeds.push(Seed::new("session", format!("{name}-{what}.bin"), input));
        }
    }
    seeds
}

fn shared(packets: &[Vec<u8>]) -> Vec<Seed> {
    const STEPS: u32 = 12;
    let step = |index| Structure::new().variant(index, STEPS);
    let mut seeds = Vec::new();
    for (name, protocol) in PROTOCOLS {
        let head = Structure::new().byte(protocol).byte(0).flag(true).flag(true);
        let announce = (0..8)
            .map(|index: usize| step(0).then(announced(0, &packets[index % packets.len()], None)));
        let settle = announce.clone().chain((0..6).map(|_| step(3))).chain([
            step(5).byte(0).variant(0, 4),
            step(7).byte(0).variant(0, 4).bytes(&packets[0]),
            step(8).byte(0).bytes(b"another payload"),
            step(9).byte(0),
            step(6).byte(0).variant(1, 4).word(7),
            step(11),
        ]);
        let decide =
            announce.chain([step(10).variant(1, 4), step(4), step(2).some().byte(11), step(11)]);
        let conversations = [("settle", list(settle)), ("decide", list(decide))];
        for (what, steps) in conversations {
            let input = head.clone().then(steps).finish();
            seeds.push(Seed::new("shared_session", format!("{name}-{what}.bin"), input));
        }
    }
    seeds
}

fn library(packets: &[Vec<u8>], recorded: &[Vec<u8>]) -> Vec<Seed> {
    const STEPS: u32 = 13;
    let step = |index| Structure::new().variant(index, STEPS);
    let choice = |structure: Structure, verdict, replacement: &[u8]| {
        structure.byte(0).none().byte(verdict).bytes(replacement)
    };
    let read = || step(4).half(2048).byte(0xff);
    let passer =
        [step(3).byte(2).word(2048)].into_iter().chain(packets.iter().take(6).flat_map(|packet| {
            [step(2).bytes(packet), read(), choice(step(6), 1, &[]), choice(step(6), 1, packet)]
        }));
    let passer = passer.chain([step(9).byte(64), step(10).word(3), step(11).half(7), step(12)]);
    let many = list((0..5).map(|_| choice(Structure::new(), 0, b"abc")));
    let messages = recorded.iter().take(24).flat_map(|datagram| {
        [step(0).variant(0, 10).bytes(datagram), read(), step(5).bytes(datagram)]
    });
    let troubled = [
        step(0).variant(4, 10).word(29),
        step(0).variant(6, 10),
        step(0).variant(5, 10),
        step(0).variant(1, 10).bytes(&recorded[0]).half(9),
        read(),
        read(),
        step(4).half(19).byte(5),
        read(),
        step(1).some().byte(11),
        choice(step(6), 1, &[]),
        step(8).then(many).none(),
        choice(step(7), 1, &[]).raw(&7_u64.to_le_bytes()),
        step(9).byte(80),
    ];
    let input = |is_simulated, steps| Structure::new().flag(is_simulated).then(steps).finish();
    vec![
        Seed::new("c_library", "passer.bin", input(true, list(passer))),
        Seed::new("c_library", "recorded.bin", input(false, list(messages))),
        Seed::new("c_library", "troubled.bin", input(false, list(troubled))),
    ]
}

fn clients(packets: &[Vec<u8>]) -> Vec<Seed> {
    const STEPS: u32 = 7;
    let step = |index| Structure::new().variant(index, STEPS);
    let connect = || step(0);
    let control = |which| step(1).byte(which).variant(0, 3);
    let netlink = |which, protocol, cookie| {
        step(1).byte(which).variant(2, 3).byte(protocol).byte(cookie).byte(1).flag(true).flag(true)
    };
    let ask = |which, call, arguments: [u32; 2]| {
        step(2).byte(which).byte(call).byte(5).word(arguments[0]).word(arguments[1])
    };
    let nothing = |structure: Structure| structure.variant(2, 3).bytes(&[]);
    let send = |structure: Structure, datagrams: &[&[u8]]| {
        let datagrams = list(datagrams.iter().map(|datagram| Structure::new().bytes(datagram)));
        structure.variant(0, 3).then(datagrams).none()
    };
    // IPQM_MODE: packet, of any length.
    let mode = [40, 0, 0, 0, 0x11, 0, 5, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2];
    let mode = [&mode[..], &[0; 23]].concat();
    let opened = || [connect(), connect(), netlink(0, 0, 5), control(1), step(4).byte(1)];
    let program = opened().into_iter().chain([
        send(ask(1, 3, [1, 0]), &[&mode]),
        step(4).byte(1),
        step(6).bytes(&packets[0]),
        step(6).bytes(&packets[1 % packets.len()]),
        nothing(ask(1, 6, [0, 0])),
        nothing(ask(1, 5, [4096, 1])),
        nothing(ask(1, 4, [4096, 8])),
        step(4).byte(0),
        nothing(ask(1, 7, [0, 0])),
        step(5).byte(0),
    ]);
    let calls = opened().into_iter().chain((1..13).flat_map(|call| {
        let file = ask(1, call, [0, 0]).variant(1, 3).variant(0, 2).byte(call).bytes(b"2048\n");
        [file, step(4).byte(1)]
    }));
    let crowd = (0..10_u8).flat_map(|which| [connect(), control(which)]).chain([
        step(1).byte(2).variant(1, 3).variant(0, 2).byte(2),
        step(3).byte(2).bytes(b"4096\n"),
        step(3).byte(3).bytes(b"nonsense"),
        step(5).byte(1),
    ]);
    let input = |steps| Structure::new().flag(true).then(steps).finish();
    vec![
        Seed::new("served_clients", "program.bin", input(list(program))),
        Seed::new("served_clients", "every-call.bin", input(list(calls))),
        Seed::new("served_clients", "crowd.bin", input(list(crowd))),
    ]
}
