//! A written list of requests, with each rule of requests to the queues in it. Verdicts over packets that are there are
//! in [`verdicts`](crate::verdicts).

use ipq_proto::netlink::padding;
use ipq_sim::Kernel;
use ipq_tests::namespace::{Outcome, run_unprivileged};

use crate::kernels::{Heard, Kernels};
use crate::request::{ACK, BATCH, CONFIG, PF_BIND, PF_UNBIND, REQUEST, Request, VERDICT};

in_own_networks!(
    a_queue_that_nobody_has,
    a_queue_that_another_socket_has,
    binding_and_unbinding,
    commands,
    copy_modes_and_ranges,
    flags_and_masks,
    several_attributes_in_an_order,
    attributes_of_any_length,
    attributes_twice,
    attributes_that_lie,
    generic_headers,
    header_flags,
    message_types,
    datagrams,
    replies_to_requests_without_padding,
    verdicts_over_nothing,
    queues_in_their_order,
    queues_go_with_their_socket,
);

const QUEUE: u16 = 1;

/// With queue 1 bound by the first socket.
fn bound(sockets: usize) -> Result<Kernels, ipq_tests::namespace::Skipped> {
    let mut kernels = Kernels::new(sockets)?;
    kernels.tell(0, &config().bind());
    Ok(kernels)
}

fn config() -> Request {
    Request::config(QUEUE)
}

/// Every kind of request, well-formed.
fn each_kind() -> Vec<Request> {
    vec![
        config(),
        config().mode(2, 0),
        config().max_length(5),
        config().sets(1),
        config().unbind(),
        config().command(9, 0),
        config().command(0, 0),
        config().command(PF_BIND, 2),
        config().command(PF_UNBIND, 2),
        config().command(PF_BIND, 2).mode(2, 0),
        Request::verdict(QUEUE, 1, 1),
        Request::batch(QUEUE, 1, 1),
        Request::new(VERDICT, QUEUE),
        Request::new(BATCH, QUEUE),
        Request::verdict(QUEUE, 9, 1),
    ]
}

fn a_queue_that_nobody_has() -> Outcome {
    let mut kernels = Kernels::new(1)?;
    for request in each_kind() {
        kernels.tell(0, &request);
    }
    assert_eq!(kernels.status(), "");
    Ok(())
}

fn a_queue_that_another_socket_has() -> Outcome {
    let mut kernels = bound(2)?;
    kernels.tell(1, &config().bind());
    for request in each_kind() {
        kernels.tell(1, &request);
        kernels.listen(0, "the owner");
    }
    let checked_first = [
        config().queue_flags(1),
        config().sets(32),
        config().command(9, 0).sets(32),
        config().command(PF_BIND, 2).sets(32),
        config().bind().max_length(3),
    ];
    for request in &checked_first {
        kernels.tell(1, request);
    }
    kernels.status();
    Ok(())
}

fn binding_and_unbinding() -> Outcome {
    let mut kernels = Kernels::new(2)?;
    let requests = [
        config().bind(),
        config().bind(),
        config().bind().mode(2, 9),
        config().unbind(),
        config().unbind(),
        config().bind().mode(2, 99).max_length(33).sets(1),
        config().unbind().mode(2, 5),
        Request::config(2).bind().mode(9, 5),
        Request::config(3).bind().sets(64),
        Request::config(4).bind().mask(64),
        Request::config(5).bind().attribute(3, b"12"),
        Request::config(6).bind().queue_flags(1),
        Request::config(0).bind(),
        Request::config(u16::MAX).bind().mode(1, 0),
    ];
    for request in &requests {
        kernels.tell(0, request);
        kernels.status();
    }
    kernels.tell(1, &config().bind());
    kernels.tell(0, &config().bind());
    kernels.status();
    Ok(())
}

fn commands() -> Outcome {
    let mut kernels = bound(1)?;
    for command in 0..=u8::MAX {
        for family in [0, 2, 3, 7, 10, 99, u16::MAX] {
            kernels.tell(0, &config().command(command, family));
        }
    }
    // These look at nothing else, not even at whether the rest makes sense.
    for command in [PF_BIND, PF_UNBIND] {
        kernels.tell(0, &config().command(command, 2).sets(64));
        kernels.tell(0, &config().command(command, 2).queue_flags(1));
        kernels.tell(0, &config().command(command, 2).attribute(3, b"1"));
        kernels.tell(0, &config().command(command, 2).mode(2, 3));
    }
    kernels.status();
    Ok(())
}

fn copy_modes_and_ranges() -> Outcome {
    let mut kernels = bound(1)?;
    kernels.status();
    let ranges = [0, 1, 19, 65_530, 65_531, 65_532, 65_535, 65_536, 1 << 31, u32::MAX, 10];
    for mode in [2, 1, 0, 2, 3, 255, 1, 0, 3, 2] {
        for range in ranges {
            kernels.tell(0, &config().mode(mode, range));
            kernels.status();
        }
    }
    Ok(())
}

fn flags_and_masks() -> Outcome {
    let mut kernels = bound(1)?;
    let interesting = [0, 1, 2, 4, 8, 16, 29, 31, 32, 33, 64, 128, 1 << 31, u32::MAX];
    for flags in interesting {
        kernels.tell(0, &config().queue_flags(flags));
        kernels.tell(0, &config().mask(flags));
        for mask in interesting {
            kernels.tell(0, &config().queue_flags(flags).mask(mask));
        }
    }
    Ok(())
}

fn several_attributes_in_an_order() -> Outcome {
    let mut kernels = bound(1)?;
    let requests = [
        config().max_length(7).sets(32),
        config().sets(32).mode(2, 11),
        config().command(9, 0).sets(32),
        config().sets(32).command(9, 0),
        config().command(9, 0).mode(2, 12),
        config().command(9, 0).queue_flags(1),
        config().mode(2, 13).mode(1, 0),
        config().mode(2, 14).unbind(),
        Request::config(2).mode(2, 15).bind(),
        Request::config(2).mask(1).mode(2, 16).queue_flags(1).max_length(0),
        Request::config(3).sets(32).unbind(),
        Request::config(3).mode(2, 0).sets(32),
        Request::verdict(2, 99, 1).attribute(3, b""),
        Request::verdict(3, 99, 1).attribute(3, b""),
        Request::verdict(3, 99, 1),
        Request::verdict(2, 99, 1),
    ];
    for request in &requests {
        kernels.tell(0, request);
        kernels.status();
    }
    Ok(())
}

fn attributes_of_any_length() -> Outcome {
    let mut kernels = bound(1)?;
    for len in 0..=24 {
        for kind in 0..=23 {
            for message_type in [CONFIG, VERDICT, BATCH] {
                let data = vec![0; len];
                let request = Request::new(message_type, QUEUE);
                kernels.tell(0, &request.clone().attribute(kind, &data));
                kernels.tell(0, &request.clone().decides(1, 1).attribute(kind, &data));
                kernels.tell(0, &request.unpadded(kind, &data));
            }
        }
        kernels.status();
    }
    Ok(())
}

fn attributes_twice() -> Outcome {
    let mut kernels = bound(1)?;
    let requests = [
        config().mode(2, 10).mode(2, 20),
        config().mode(2, 10).mode(1, 0),
        config().queue_flags(32).queue_flags(1).mask(1),
        config().queue_flags(1).queue_flags(32).mask(1),
        config().command(9, 0).command(PF_BIND, 2),
        config().command(PF_BIND, 2).command(9, 0),
        config().command(9, 0).unbind(),
        config().bind().attribute(1, b"x"),
        config().attribute(1, b"x").bind(),
        Request::verdict(QUEUE, 7, 1).decides(1, 1),
        Request::verdict(QUEUE, 1, 1).decides(7, 1),
    ];
    for request in &requests {
        kernels.tell(0, request);
        kernels.status();
    }
    Ok(())
}

fn attributes_that_lie() -> Outcome {
    let mut kernels = bound(1)?;
    for message_type in [CONFIG, VERDICT, BATCH] {
        let request = Request::new(message_type, QUEUE);
        for claimed in [0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 50, 0x7fff, 0xfffc, 0xffff] {
            for kind in [1, 2, 3, 5, 9] {
                for room in [0, 1, 4, 5, 8] {
                    let data = vec![1; room];
                    let lie = request.clone().attribute_header(claimed, kind).raw(&data);
                    kernels.tell(0, &lie);
                    kernels.tell(0, &lie.mode(2, 4));
                    let second = request.clone().max_length(4).attribute_header(claimed, kind);
                    kernels.tell(0, &second.raw(&data));
                }
            }
            kernels.status();
        }
        for trailing in 1..4 {
            kernels.tell(0, &request.clone().max_length(9).raw(&[1, 2, 3][..trailing]));
        }
        // The upper two bits of an attribute's type are flags.
        for kind in [0x8001, 0x4001, 0xc001, 0x8002, 0x4002, 0x8003, 0x4003, 0xc005, 0x3fff] {
            kernels.tell(0, &request.clone().attribute(kind, &[0, 0, 0, 5, 0, 0, 0, 0]));
        }
    }
    Ok(())
}

fn generic_headers() -> Outcome {
    let mut kernels = bound(1)?;
    for message_type in [CONFIG, VERDICT, BATCH, 0x300, 0x304] {
        for len in 0..4 {
            let request = Request::bare(message_type).raw(&[0, 0, 0, 1][..len]);
            kernels.tell(0, &request);
            kernels.tell(0, &request.flags(REQUEST));
        }
        for (family, version) in [(2, 0), (10, 0), (99, 0), (0, 1), (0, 9), (255, 255)] {
            let request = Request::bare(message_type).raw(&[family, version, 0, 1]);
            kernels.tell(0, &request);
            kernels.tell(0, &request.max_length(9));
        }
    }
    Ok(())
}

fn header_flags() -> Outcome {
    let mut kernels = bound(1)?;
    for flags in (0..64).chain([0x100, 0x200, 0x300, 0x305, 0x400, 0x405, 0xf000, 0xffff]) {
        kernels.tell(0, &config().max_length(9).flags(flags));
        kernels.tell(0, &Request::config(2).max_length(9).flags(flags));
        kernels.tell(0, &Request::verdict(QUEUE, 1, 1).flags(flags));
    }
    for port_id in [1, 4242, u32::MAX] {
        kernels.tell(0, &config().max_length(9).port_id(port_id));
        kernels.tell(0, &Request::config(2).max_length(9).port_id(port_id));
    }
    Ok(())
}

fn message_types() -> Outcome {
    let mut kernels = bound(1)?;
    for message_type in (0..16).chain(0x300..0x400) {
        for flags in [0, REQUEST, ACK, REQUEST | ACK] {
            kernels.tell(0, &Request::new(message_type, QUEUE).flags(flags));
            kernels.tell(0, &Request::bare(message_type).flags(flags));
        }
        kernels.tell(0, &Request::new(message_type, 2).max_length(3));
    }
    kernels.status();
    Ok(())
}

fn datagrams() -> Outcome {
    let mut kernels = bound(1)?;
    let (good, bad) = (config().max_length(9), Request::config(2).max_length(9));
    let whole = good.bytes(7);
    for len in 0..whole.len() {
        kernels.tell_bytes(0, &whole[..len]);
    }
    for claimed in [0, 1, 12, 15, 16, 17, 19, 20, 21, 24, 27, 28, 29, 90, u32::MAX] {
        let lie = good.clone().claiming(claimed);
        kernels.tell(0, &lie);
        kernels.tell_all(0, &[lie.clone(), good.clone()]);
        kernels.tell_all(0, &[good.clone(), lie.clone()]);
        kernels.tell_all(0, &[bad.clone(), lie.clone(), bad.clone()]);
        kernels.tell_all(0, &[Request::bare(CONFIG).claiming(claimed), good.clone()]);
    }
    for trailing in [1, 3, 4, 15, 16, 17] {
        kernels.tell_bytes(0, &[&whole[..], &vec![0; trailing]].concat());
    }
    let kinds = each_kind();
    for (first, second) in kinds.iter().zip(kinds.iter().rev()) {
        kernels.tell_all(0, &[first.clone(), second.clone(), good.clone()]);
    }
    kernels.tell_all(0, &vec![bad.clone(); 100]);
    // Messages start at multiples of four bytes, or else what comes next is read from the middle.
    let odd = config().unpadded(9, b"abc");
    kernels.tell_all(0, &[odd.clone(), good.clone(), odd.clone(), bad.clone()]);
    kernels.tell_bytes(0, &[odd.bytes(1), good.bytes(2)].concat());
    kernels.status();
    Ok(())
}

fn replies_to_requests_without_padding() -> Outcome {
    let mut kernels = bound(1)?;
    for len in 0..9 {
        kernels.tell(0, &config().unpadded(9, &vec![0xaa; len]));
        let refused = Request::config(2).unpadded(9, &vec![0xaa; len]);
        kernels.tell(0, &refused);
        kernels.tell_all(0, &[refused.clone(), refused.clone(), refused]);
    }
    Ok(())
}

fn verdicts_over_nothing() -> Outcome {
    let mut kernels = bound(1)?;
    let verdicts = (0..8).chain([0xff, 0x100, 0x8001, 0x8003, 0x1_0001, 0x3_0003, 0x1_0000]);
    for verdict in verdicts.chain([0x1_0002, 0x1_0006, 0x8000_0001, u32::MAX]) {
        for id in [0, 1, 9, u32::MAX] {
            kernels.tell(0, &Request::verdict(QUEUE, verdict, id));
            kernels.tell(0, &Request::batch(QUEUE, verdict, id));
            kernels.tell(0, &Request::verdict(QUEUE, verdict, id).flags(REQUEST));
        }
    }
    for message_type in [VERDICT, BATCH] {
        let request = Request::new(message_type, QUEUE);
        let requests = [
            request.clone(),
            request.clone().mark(1),
            request.clone().replacement(b"x"),
            request.clone().decides(1, 1).mark(3).replacement(b"x"),
            request.clone().decides(1, 1).replacement(&vec![0; 65_531]),
            request.clone().decides(1, 1).attribute(11, b"conntrack"),
        ];
        for request in &requests {
            kernels.tell(0, request);
        }
    }
    Ok(())
}

fn queues_in_their_order() -> Outcome {
    let mut kernels = Kernels::new(2)?;
    for (who, queue) in [(0, 300), (1, 17), (0, 1), (1, 0), (0, 65_535), (0, 33), (1, 256), (1, 16)]
    {
        kernels.tell(who, &Request::config(queue).bind().mode(2, u32::from(queue)));
        kernels.status();
    }
    Ok(())
}

fn queues_go_with_their_socket() -> Outcome {
    let mut kernels = bound(2)?;
    kernels.tell(1, &Request::config(2).bind());
    kernels.tell(1, &Request::config(3).bind());
    kernels.close_last();
    kernels.status();
    kernels.tell(0, &Request::config(2).bind());
    kernels.status();
    Ok(())
}

#[test]
fn without_privileges_the_first_message_is_refused() {
    let name = concat!(module_path!(), "::without_privileges_the_first_message_is_refused");
    run_unprivileged(name, || {
        let mut kernels = Kernels::without_network(Kernel::builder(), 1, false)?;
        let requests = each_kind();
        for request in &requests {
            let heard = kernels.tell(0, request);
            assert!(matches!(heard[..], [Heard::Message(_)]), "{request:?}: {heard:?}");
            for flags in [0, REQUEST, ACK] {
                kernels.tell(0, &request.clone().flags(flags));
            }
        }
        assert_eq!(kernels.tell_all(0, &requests).len(), 1);
        for message_type in [0, 1, 3, 15, 16, 0x300, 0x3ff, 0x400, u16::MAX] {
            kernels.tell(0, &Request::new(message_type, QUEUE));
            kernels.tell(0, &Request::bare(message_type));
        }
        for claimed in [0, 12, 16, 90] {
            kernels.tell(0, &config().claiming(claimed));
            kernels.tell_all(0, &[config().claiming(claimed), config()]);
            kernels.tell_all(0, &[config(), config().claiming(claimed)]);
        }
        let whole = config().bytes(1);
        for len in 0..whole.len() {
            kernels.tell_bytes(0, &whole[..len]);
            kernels.tell_bytes(0, &[&whole[..len], padding(len)].concat());
        }
        Ok(())
    });
}
