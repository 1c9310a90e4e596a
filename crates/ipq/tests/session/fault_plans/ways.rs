//! The ways in which a program works with a session: [`Way`].

use ipq::{DefaultVerdict, Error, Event, Packet, PacketId, Queue, SharedQueue, Snapshot, Verdict};
use ipq_sys::Batch;

use super::is_dropped;

/// How often what is temporary is tried again.
const PATIENCE: usize = 1000;

/// How a program works.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// `Queue::run`.
    Run,
    /// `Queue::read` and `Queue::verdict`.
    OneByOne,
    /// `Queue::read_batch` and `Queue::verdicts`.
    Batches,
    /// `SharedQueue::next` and `QueuedPacket::settle`.
    Shared,
    /// `SharedQueue::decide`.
    SharedBatches,
    /// `AsyncQueue::next` and `QueuedPacket::settle`.
    #[cfg(feature = "tokio")]
    Asynchronous,
}

impl Way {
    pub(super) const ALL: &[Self] = &[
        Self::Run,
        Self::OneByOne,
        Self::Batches,
        Self::Shared,
        Self::SharedBatches,
        #[cfg(feature = "tokio")]
        Self::Asynchronous,
    ];

    /// Whether each verdict is a message of its own, so that it is known which ones were sent.
    pub(super) fn sends_one_by_one(self) -> bool {
        !matches!(self, Self::Run | Self::Batches | Self::SharedBatches)
    }
}

/// The verdicts that a program gave.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given {
    pub(super) accepted: u64,
    pub(super) dropped: u64,
    /// Whether some call failed, after which it is not known what became of its verdicts.
    pub(super) is_unsure: bool,
    /// Whether it read all there was.
    pub(super) ended: bool,
}

impl Given {
    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Drop => self.dropped += 1,
            _ => self.accepted += 1,
        }
    }
}

/// What a program decides. Of a packet whose bytes were lost or damaged it knows nothing.
fn decide(packet: &Packet<'_>) -> Verdict {
    let number = packet.payload().last_chunk().map_or(1, |bytes| u64::from_be_bytes(*bytes));
    if is_dropped(number) { Verdict::Drop } else { Verdict::Accept }
}

/// Lets a program work to the end, has `check` look at the session, and ends it.
pub(super) fn work(way: Way, queue: Queue, check: impl FnOnce(&Snapshot, Given)) {
    let mut given = Given::default();
    match way {
        Way::Run | Way::OneByOne | Way::Batches => {
            let mut queue = queue;
            given.ended = match way {
                Way::Run => run(&mut queue, &mut given),
                Way::OneByOne => one_by_one(&mut queue, &mut given),
                _ => batches(&mut queue, &mut given),
            };
            check(&queue.snapshot(), given);
        }
        Way::Shared | Way::SharedBatches => {
            let queue = SharedQueue::new(queue, DefaultVerdict::Drop).unwrap();
            given.ended = match way {
                Way::Shared => shared(&queue, &mut given),
                _ => shared_batches(&queue, &mut given),
            };
            check(&queue.snapshot(), given);
            let _ = queue.close();
        }
        #[cfg(feature = "tokio")]
        Way::Asynchronous => {
            let builder = &mut tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let queue = SharedQueue::new(queue, DefaultVerdict::Drop).unwrap();
                given.ended = asynchronous(&queue, &mut given).await;
                check(&queue.snapshot(), given);
                let _ = queue.close();
            });
        }
    }
}

fn run(queue: &mut Queue, given: &mut Given) -> bool {
    repeat(given, |given| {
        queue.run(|packet| {
            let verdict = decide(&packet);
            given.count(verdict);
            verdict
        })
    })
}

/// Serves the queue until it ends, again after each temporary error; says whether it came to its end.
fn repeat(given: &mut Given, mut serve: impl FnMut(&mut Given) -> Result<(), Error>) -> bool {
    for _ in 0..PATIENCE {
        match serve(given) {
            Ok(()) => return true,
            Err(error) => {
                given.is_unsure = true;
                if !error.is_temporary() {
                    return false;
                }
            }
        }
    }
    false
}

/// Sends a verdict, again if need be; says whether the session is still of use.
fn insist(
    mut send: impl FnMut() -> Result<(), Error>,
    verdict: Verdict,
    given: &mut Given,
) -> bool {
    for _ in 0..PATIENCE {
        match send() {
            Ok(()) => {
                given.count(verdict);
                return true;
            }
            Err(error) if error.is_temporary() => (),
            Err(_) => return false,
        }
    }
    true
}

fn one_by_one(queue: &mut Queue, given: &mut Given) -> bool {
    let mut buffer = vec![0; queue.buffer_len()];
    loop {
        let (id, verdict) = match queue.read(&mut buffer, None) {
            Ok(Some(Event::Packet(packet) | Event::Truncated { packet: Some(packet), .. })) => {
                (packet.id(), decide(&packet))
            }
            Ok(None) => return true,
            Ok(Some(_)) | Err(Error::Message(_)) => continue,
            Err(error) if error.is_temporary() => continue,
            Err(_) => return false,
        };
        if !insist(|| queue.verdict(id, verdict), verdict, given) {
            return false;
        }
    }
}

fn batches(queue: &mut Queue, given: &mut Given) -> bool {
    let mut batch = Batch::new(7, queue.buffer_len());
    loop {
        let mut decisions: Vec<(PacketId, Verdict)> = Vec::new();
        let events = queue.read_batch(&mut batch, None, |event| {
            if let Ok(Event::Packet(packet) | Event::Truncated { packet: Some(packet), .. }) = event
            {
                decisions.push((packet.id(), decide(&packet)));
            }
        });
        match events {
            Ok(0) => return true,
            Ok(_) => (),
            Err(error) if error.is_temporary() => continue,
            Err(_) => return false,
        }
        // The other way round than they came.
        decisions.reverse();
        match queue.verdicts(&decisions) {
            Ok(()) => decisions.iter().for_each(|&(_, verdict)| given.count(verdict)),
            Err(error) => {
                given.is_unsure = true;
                if !error.is_temporary() {
                    return false;
                }
            }
        }
    }
}

/// Settles a packet, again if need be; says whether the session is still of use.
fn settle(packet: ipq::QueuedPacket, given: &mut Given) -> bool {
    let verdict = decide(&packet.packet());
    let mut packet = packet;
    for _ in 0..PATIENCE {
        match packet.settle(verdict) {
            Ok(()) => {
                given.count(verdict);
                return true;
            }
            Err(unsettled) if unsettled.error().is_temporary() => packet = unsettled.into_packet(),
            Err(_) => return false,
        }
    }
    true
}

fn shared(queue: &SharedQueue, given: &mut Given) -> bool {
    loop {
        match queue.next(None) {
            Ok(Some(packet)) => {
                if !settle(packet, given) {
                    return false;
                }
            }
            Ok(None) => return true,
            Err(error) if error.is_temporary() => (),
            Err(_) => return false,
        }
    }
}

fn shared_batches(queue: &SharedQueue, given: &mut Given) -> bool {
    repeat(given, |given| {
        queue.decide(|packet| {
            let verdict = decide(packet);
            given.count(verdict);
            verdict
        })
    })
}

#[cfg(feature = "tokio")]
async fn asynchronous(queue: &SharedQueue, given: &mut Given) -> bool {
    let mut stream = ipq::AsyncQueue::new(queue.clone()).unwrap();
    loop {
        match stream.next().await {
            Some(Ok(packet)) => {
                if !settle(packet, given) {
                    return false;
                }
            }
            None => return true,
            Some(Err(error)) if error.is_temporary() => (),
            Some(Err(_)) => return false,
        }
    }
}
