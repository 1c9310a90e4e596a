//! Workers: one thread for each queue.

use ipq::{
    CopyMode, DefaultVerdict, Error, Families, Family, Hook, Queue, QueuedPacket, Verdict, Workers,
};
use ipq_proto::Errno;
use ipq_sim::{Kernel, Match, Target};

use crate::common::{WHOLE, datagram, failed, packet, silent, udp};

/// Workers for queues 4 to 7, and the kernel whose packets they are for: of fifty hosts, and one packet from each.
fn busy() -> (Workers, Kernel) {
    let kernel = Kernel::builder().build();
    let target = Target::Nfqueue { first: 4, last: 7, bypass: false };
    kernel.rule(Hook::LocalOut, Match::any(), target);
    let open =
        |number| Queue::with_nfqueue(kernel.nfqueue_socket(), number..=number, Families::Both);
    let queues = (4..=7).map(open).collect::<Result<_, _>>().unwrap();
    let workers = Workers::new(queues, DefaultVerdict::Drop).unwrap();
    workers.set_mode(WHOLE).unwrap();
    for host in 1..=50 {
        let mut packet = udp(Family::Ipv4, b"x");
        packet[15] = host;
        ipq::repair(&mut packet).unwrap();
        kernel.send(Family::Ipv4, &packet);
    }
    (workers, kernel)
}

fn used(workers: &Workers) -> usize {
    workers.queues().iter().filter(|queue| queue.statistics().packets > 0).count()
}

#[test]
fn every_queue_is_served_and_counted_together() {
    let (workers, kernel) = busy();
    workers.run(QueuedPacket::accept).unwrap();
    kernel.run();
    // A worker may have found nothing to do before another one has made the kernel run.
    workers.run(QueuedPacket::accept).unwrap();
    assert_eq!((workers.statistics().accepted, kernel.totals().delivered), (50, 50));
    assert!(used(&workers) > 1, "the kernel balances");
    let snapshot = workers.close().unwrap();
    assert_eq!((snapshot.kernel.nfqueues.len(), snapshot.statistics.packets), (4, 50));
    assert_eq!(kernel.status().nfqueues, []);
}

#[test]
fn verdicts_in_batches_do_the_same() {
    let (workers, kernel) = busy();
    kernel.run();
    workers
        .decide(
            |packet| if packet.payload()[15] % 2 == 0 { Verdict::Accept } else { Verdict::Drop },
        )
        .unwrap();
    kernel.run();
    assert_eq!((kernel.totals().delivered, kernel.totals().dropped), (25, 25));
    assert!(used(&workers) > 1);
}

/// Endless packets, but for one queue, which fails.
fn endless(broken: Option<Errno>) -> Workers {
    let script = |refrain| {
        let script = silent(ipq_sys::Protocol::Firewall);
        script.state().refrain = Some(refrain);
        Queue::with(script).unwrap()
    };
    let packets = || script(datagram(packet(1, b"x")));
    let last = broken.map_or_else(packets, |errno| script(failed(errno)));
    Workers::new(vec![packets(), packets(), last], DefaultVerdict::Drop).unwrap()
}

#[test]
fn an_error_in_one_stops_all() {
    let workers = endless(Some(Errno(9)));
    let error = workers.run(QueuedPacket::accept).unwrap_err();
    assert!(matches!(&error, Error::Transport(error) if error.errno == Errno(9)), "{error:?}");
    let workers = endless(Some(Errno(9)));
    workers.decide(|_| Verdict::Accept).unwrap_err();
    let workers = endless(None);
    let error = workers.run(|_| Err(Error::Closed)).unwrap_err();
    assert!(matches!(error, Error::Closed));
}

#[test]
fn a_panic_in_one_stops_all_and_goes_on() {
    let workers = endless(None);
    let run = || workers.run(|_| -> Result<(), Error> { panic!("on purpose") });
    std::panic::catch_unwind(core::panic::AssertUnwindSafe(run)).unwrap_err();
    assert!(workers.stoppers().iter().all(ipq::Stopper::is_stopped));
    assert!(workers.statistics().defaulted > 0, "the packet got the default");
}

#[test]
fn anybody_stops_them() {
    let workers = endless(None);
    std::thread::scope(|scope| {
        let working = scope.spawn(|| workers.run(QueuedPacket::accept));
        workers.stop();
        working.join().unwrap().unwrap();
    });
}

#[test]
fn a_name_of_one_queue_is_one_worker() {
    let name = "sim:no such file".parse().unwrap();
    let mode = CopyMode::Metadata;
    let error = Workers::open(name, mode, Family::Ipv4, DefaultVerdict::Drop).unwrap_err();
    assert!(!error.to_string().is_empty());
}
