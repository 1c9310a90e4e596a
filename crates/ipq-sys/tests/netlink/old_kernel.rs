//! Kernels without recvmmsg(2) (before Linux 2.6.33) or sendmmsg(2) (before 3.0), played by strace(1).

use ipq_sys::{Batch, Deadline, Received, Transport};

use crate::support::{assert_works, inside, open, outcomes, send_pings};

/// Moves datagrams where the two calls fail with `errno`, and asserts that they were tried just once.
fn check(errno: &str, calls: &str, tries: usize, test: &str) {
    let injection = format!("inject={calls}:error={errno}");
    let wrapper = ["strace", "-f", "-qq", "-e", "trace=recvmmsg,sendmmsg", "-e", &injection];
    let traced = inside(&wrapper, test, || {
        let mut socket = open();
        let mut batch = Batch::new(40, 64);
        socket.receive_many(&mut batch, Deadline::Immediate).unwrap();
        assert_eq!(outcomes(&batch), [(Received::TimedOut, None)]);
        for _ in 0..3 {
            send_pings(&mut socket, 1, 50);
            let mut sequences = Vec::new();
            while sequences.len() < 50 {
                socket.receive_many(&mut batch, Deadline::Never).unwrap();
                sequences
                    .extend(outcomes(&batch).into_iter().map(|(_, sequence)| sequence.unwrap()));
            }
            assert!(sequences.into_iter().eq(1..=50));
            assert_works(&mut socket);
        }
    });
    if let Some(trace) = traced {
        assert_eq!(trace.matches("(INJECTED)").count(), tries, "{trace}");
    }
}

#[test]
fn moves_datagrams_one_by_one() {
    check("ENOSYS", "recvmmsg,sendmmsg", 2, "old_kernel::moves_datagrams_one_by_one");
}

#[test]
fn moves_datagrams_one_by_one_where_socketcall_refuses() {
    let test = "old_kernel::moves_datagrams_one_by_one_where_socketcall_refuses";
    check("EINVAL", "recvmmsg,sendmmsg", 2, test);
}

#[test]
fn sends_one_by_one_and_receives_many() {
    check("ENOSYS", "sendmmsg", 1, "old_kernel::sends_one_by_one_and_receives_many");
}
