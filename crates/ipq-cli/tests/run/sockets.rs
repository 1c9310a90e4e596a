//! What is no business of the queues: a netlink socket behaves as a real one does.

use std::process::Command;

use crate::common::{Run, inside};

use super::support::{Compiled, captured};

#[test]
fn netlink_sockets_behave_as_those_of_the_real_kernel() {
    const TEST: &str = "run::sockets::netlink_sockets_behave_as_those_of_the_real_kernel";
    inside(TEST, || {
        let Some(program) = Compiled::of(TEST, "socket", &[]) else { return };
        let real = Run::of(&mut Command::new(&program.path)).was_silent();
        let carried = program.over(&captured(), &[]).was_silent();
        assert!(real.stdout.lines().count() > 100, "{}", real.stdout);
        for (real, carried) in real.stdout.lines().zip(carried.stdout.lines()) {
            assert_eq!(real, carried);
        }
        assert_eq!(real.stdout, carried.stdout);
    });
}
