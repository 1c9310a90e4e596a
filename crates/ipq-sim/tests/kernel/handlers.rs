//! `nfnetlink_queue` where `ip_queue` handles the packets, and where there is no such module.

use ipq_proto::{Errno, Family};
use ipq_sim::Kernel;

use crate::common::{ACK, Answer, Heard, Program, REQUEST, builder};

/// `NFQNL_MSG_CONFIG`.
const CONFIG: u16 = 0x302;

const BIND: u8 = 1;
const PF_BIND: u8 = 3;
const PF_UNBIND: u8 = 4;

/// The flag of an acknowledgement that does not repeat the request: `NLM_F_CAPPED`.
const CAPPED: u16 = 0x100;

/// What `nfnetlink_queue` answers to a command about queue 0 and an address family.
fn command(kernel: &Kernel, command: u8, family: Family) -> Answer {
    let address_family = if family == Family::Ipv4 { 2 } else { 10 };
    let mut program = Program::on(kernel.nfqueue_socket());
    program.request(
        CONFIG,
        REQUEST | ACK,
        &[
            0,
            0,
            0,
            0, // any family, version 0, queue 0
            8,
            0,
            1,
            0, // NFQA_CFG_CMD
            command,
            0,
            0,
            address_family,
        ],
    );
    match program.hear() {
        Some(Heard::Reply(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_family_is_neither_bound_nor_unbound_while_ip_queue_has_it() {
    for family in Family::ALL {
        let kernel = builder().build();
        kernel.load_ip_queue(family);
        assert_eq!(command(&kernel, PF_BIND, family).error, Some(Errno::EBUSY));
        assert_eq!(command(&kernel, PF_UNBIND, family).error, Some(Errno::EINVAL));
        // A queue may be bound all the same.
        assert_eq!(command(&kernel, BIND, family).error, None);
        for other in Family::ALL.into_iter().filter(|&other| other != family) {
            assert_eq!(command(&kernel, PF_BIND, other).error, None);
            assert_eq!(command(&kernel, PF_UNBIND, other).error, None);
        }
    }
}

#[test]
fn a_kernel_with_ip_queue_at_work_does_not_say_that_it_capped_a_reply() {
    let kernel = builder().build();
    assert_eq!(command(&kernel, BIND, Family::Ipv4).header.flags.0, CAPPED);
    kernel.load_ip_queue(Family::Ipv4);
    assert_eq!(command(&kernel, BIND, Family::Ipv4).header.flags.0, 0);
}
