//! Workers: one thread for each queue.

use ipq::{
    CopyMode, DefaultVerdict, Error, Families, Family, Hook, Options, Queue, QueuedPacket, Verdict,
    Workers,
};
use ipq_proto::Errno;
use ipq_sim::{Device, Kernel, Match, Target};

use crate::common::{WHOLE, datagram, failed, packet, replay, silent, udp};

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
    assert_eq!((workers.statistics().accepted, kernel.totals().delivered), (50, 50));
    assert!(used(&workers) > 1, "the kernel balances");
    let snapshot = workers.close().unwrap();
    assert_eq!((snapshot.kernel.nfqueues.len(), snapshot.statistics.packets), (4, 50));
    assert_eq!(kernel.status().nfqueues, []);
}

#[test]
fn verdicts_in_batches_do_the_same() {
    let (workers, kernel) = busy();
    workers
        .decide(
            |packet| if packet.payload()[15] % 2 == 0 { Verdict::Accept } else { Verdict::Drop },
        )
        .unwrap();
    kernel.run();
    assert_eq!((kernel.totals().delivered, kernel.totals().dropped), (25, 25));
    assert!(used(&workers) > 1);
}

/// Workers of two queues that each packet passes, one after the other, with room for one packet in each.
fn in_a_row() -> (Workers, Kernel) {
    let kernel = Kernel::builder().device(Device::ethernet("eth0")).build();
    let target = |number| Target::Nfqueue { first: number, last: number, bypass: false };
    kernel.rule(Hook::PreRouting, Match::any(), target(4));
    kernel.rule(Hook::LocalIn, Match::any(), target(5));
    let one = Options { max_length: Some(1), ..Options::default() };
    let open = |number| Queue::with_nfqueue(kernel.nfqueue_socket(), number..=number, one);
    let queues = [5, 4].into_iter().map(open).collect::<Result<_, _>>().unwrap();
    let workers = Workers::new(queues, DefaultVerdict::Drop).unwrap();
    workers.set_mode(WHOLE).unwrap();
    replay(&kernel, Family::Ipv4, &(0..PACKETS).collect::<Vec<_>>());
    (workers, kernel)
}

const PACKETS: u64 = 100;

#[test]
fn nobody_ends_while_another_makes_packets_for_it_and_no_time_passes_for_one_that_is_busy() {
    for is_in_batches in [false, true] {
        let (workers, kernel) = in_a_row();
        if is_in_batches {
            workers.decide(|_| Verdict::Accept).unwrap();
        } else {
            workers.run(QueuedPacket::accept).unwrap();
        }
        let totals = kernel.totals();
        assert_eq!((totals.delivered, totals.dropped, totals.queued), (PACKETS, 0, 0));
        assert_eq!(workers.statistics().accepted, 2 * PACKETS);
        // There is no end for those who come back either.
        replay(&kernel, Family::Ipv4, &[0]);
        workers.run(QueuedPacket::accept).unwrap();
        assert_eq!(kernel.totals().delivered, PACKETS + 1);
    }
}

#[test]
fn one_that_waits_is_stopped_with_one_that_is_busy() {
    let (workers, kernel) = in_a_row();
    workers
        .run(|packet| {
            workers.stop();
            packet.accept()
        })
        .unwrap();
    assert_eq!(workers.statistics().packets, 1);
    assert_eq!(kernel.totals().delivered, 0);
}

#[test]
fn one_that_is_stopped_alone_is_not_waited_for() {
    let (workers, kernel) = in_a_row();
    workers.stoppers()[0].stop();
    workers.run(QueuedPacket::accept).unwrap();
    assert_eq!(workers.statistics().accepted, PACKETS);
    let totals = kernel.totals();
    assert_eq!((totals.delivered, totals.dropped, totals.queued), (0, PACKETS - 1, 1));
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
