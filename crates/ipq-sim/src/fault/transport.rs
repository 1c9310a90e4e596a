//! A transport whose messages meet faults: [`Faulty`].

use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::sync::MutexGuard;

use ipq_proto::DataModel;
use ipq_proto::ip_queue::Timestamp;
use ipq_sys::{
    Clock, Deadline, DeviceInfo, Error, KernelStatus, Operation, Protocol, Received, Stepped,
    Transport,
};

use super::control::State;
use super::damage::Language;
use super::schedule::End;
use super::track::hand_over;
use super::{Direction, FaultPlan, Faults};

/// The longest message that is received whole, in bytes: more than any kernel sends.
const LONGEST_MESSAGE: usize = 1 << 20;

/// A [`Transport`] that does to the messages of another one what a [`FaultPlan`] says.
///
/// While messages are delayed, a wait ends in time for the next of them, and goes on. Simulated time runs as it would:
/// what is delayed goes at its time, and a kernel that has nothing left to do is run until then.
///
/// The [descriptor](Transport::descriptor) of a real transport does not become readable by what is kept back here.
/// [`wait_any`](ipq_sys::wait_any) and a session look at [`due`](Transport::due), and so are in time for what is delayed;
/// a program that polls by itself has to ask it as well. A message that is released or waits for the next one comes when
/// the transport is next asked.
#[derive(Debug)]
pub struct Faulty<T> {
    inner: T,
    faults: Faults,
    /// What is received, before the faults.
    inbox: Vec<u8>,
    /// The parts of a request, put together.
    outbox: Vec<u8>,
}

impl<T: Transport> Faulty<T> {
    /// Lets the messages of `inner` meet the faults of a plan.
    pub fn new(inner: T, plan: &FaultPlan) -> Self {
        let faults = Faults::new(Language::of(&inner), plan);
        Self { inner, faults, inbox: vec![0; LONGEST_MESSAGE], outbox: Vec::new() }
    }

    /// The test's hold on it.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// The transport inside.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.faults.lock()
    }

    /// That it has not died.
    fn check_alive(&self, operation: Operation) -> Result<(), Error> {
        self.state().dead.map_or(Ok(()), |errno| Err(self.error(operation, errno)))
    }

    fn error(&self, operation: Operation, errno: ipq_proto::Errno) -> Error {
        Error { operation, protocol: self.inner.protocol(), errno }
    }

    /// Sends the kept requests that go now; gives what came of the first, if there was one.
    fn send_kept(&mut self) -> Option<Result<(), Error>> {
        let mut first = None;
        loop {
            let now = self.inner.now();
            let kept = self.state().track(Direction::ToKernel).take(now);
            let Some(kept) = kept else { return first };
            let sent = self.inner.send(&[IoSlice::new(&kept.bytes)]);
            self.count_sent(sent);
            first.get_or_insert(sent);
        }
    }

    fn count_sent(&self, sent: Result<(), Error>) {
        let mut state = self.state();
        let traffic = state.track(Direction::ToKernel).traffic_mut();
        match sent {
            Ok(()) => traffic.passed += 1,
            Err(_) => traffic.failed += 1,
        }
    }

    /// Lets the request in the outbox meet the faults, and sends what is left of it.
    fn send_treated(&mut self) -> Result<(), Error> {
        let now = self.inner.now();
        let mut state = self.faults.lock();
        let len = self.outbox.len();
        let (message, treatment) =
            state.treat(Direction::ToKernel, now, None, (&mut self.outbox, len));
        match treatment.end {
            End::GoesOn => state.place(&message, &treatment),
            End::Lost => return Ok(()),
            End::Refused(errno) | End::Dies(errno) => {
                drop(state);
                return Err(self.error(Operation::Send, errno));
            }
        }
        drop(state);
        // What is kept back counts as sent: whoever sent it cannot be told later.
        self.send_kept().unwrap_or(Ok(()))
    }

    /// Lets a message in the inbox meet the faults, and puts what is left of it into `buffer`, unless something else comes
    /// first.
    fn take_in(
        &mut self,
        len: usize,
        datagram_len: usize,
        deadline: Deadline,
        buffer: &mut [u8],
    ) -> Result<Option<Received>, Error> {
        let now = self.inner.now();
        let mut state = self.faults.lock();
        let message = (&mut self.inbox[..len], datagram_len);
        let (message, treatment) = state.treat(Direction::ToProgram, now, Some(deadline), message);
        let has_company = state.is_readable(now);
        if let End::Dies(errno) = treatment.end {
            drop(state);
            return Err(self.error(Operation::Receive, errno));
        }
        let track = state.track(Direction::ToProgram);
        if treatment.is_none() && track.is_clear() && !has_company {
            track.traffic_mut().passed += 1;
            let bytes = &message.bytes[..message.len];
            return Ok(Some(hand_over(bytes, message.datagram_len, buffer)));
        }
        if treatment.end == End::GoesOn {
            state.place(&message, &treatment);
        }
        Ok(state.hand_out(now, buffer))
    }

    /// Nothing came until the time that was `waited` for: whether the wait until `deadline` goes on, since something that
    /// was kept back goes now.
    fn goes_on(&mut self, nothing: Received, waited: Deadline, deadline: Deadline) -> bool {
        let now = self.inner.now();
        let mut state = self.state();
        if deadline == Deadline::Immediate {
            return false;
        }
        waited != deadline && nothing == Received::TimedOut
            || state.due().is_some_and(|due| due <= now)
            || state.give_up_swapping()
            || (nothing == Received::Ended && state.pass_delayed())
    }
}

impl<T: Transport> Transport for Faulty<T> {
    fn send(&mut self, parts: &[IoSlice<'_>]) -> Result<(), Error> {
        self.check_alive(Operation::Send)?;
        self.send_kept();
        if self.state().is_idle(Direction::ToKernel) {
            self.state().track(Direction::ToKernel).count();
            let sent = self.inner.send(parts);
            self.count_sent(sent);
            return sent;
        }
        self.outbox.clear();
        for part in parts {
            self.outbox.extend_from_slice(part);
        }
        self.send_treated()
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<Received, Error> {
        loop {
            self.check_alive(Operation::Receive)?;
            self.send_kept();
            let now = self.inner.now();
            if let Some(received) = self.state().hand_out(now, buffer) {
                return Ok(received);
            }
            let wait = deadline.at_latest(self.state().due());
            let (len, datagram_len) = match self.inner.receive(&mut self.inbox, wait)? {
                Received::Datagram { len } => (len, len),
                Received::Truncated { len, datagram_len } => (len, datagram_len),
                nothing @ (Received::TimedOut | Received::Ended) => {
                    if self.goes_on(nothing, wait, deadline) {
                        continue;
                    }
                    return Ok(nothing);
                }
                other => return Ok(other),
            };
            if let Some(received) = self.take_in(len, datagram_len, deadline, buffer)? {
                return Ok(received);
            }
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inner.descriptor()
    }

    fn step(&mut self, deadline: Deadline) -> Result<Stepped, Error> {
        self.check_alive(Operation::Wait)?;
        if self.inner.descriptor().is_some() {
            return self.inner.step(deadline);
        }
        let was_sent = self.send_kept().is_some();
        let now = self.inner.now();
        if was_sent || self.state().is_readable(now) {
            return Ok(Stepped::Progressed);
        }
        let wait = deadline.at_latest(self.state().due());
        let stepped = self.inner.step(wait)?;
        let nothing = match stepped {
            Stepped::Progressed => return Ok(Stepped::Progressed),
            Stepped::TimedOut => Received::TimedOut,
            Stepped::Ended => Received::Ended,
        };
        Ok(if self.goes_on(nothing, wait, deadline) { Stepped::Progressed } else { stepped })
    }

    fn due(&self) -> Option<Clock> {
        let kept = self.state().due();
        kept.into_iter().chain(self.inner.due()).min()
    }

    fn upcoming(&self) -> Option<Clock> {
        let kept = self.state().due();
        kept.into_iter().chain(self.inner.upcoming()).min()
    }

    fn device(&self, index: u32) -> Option<DeviceInfo> {
        self.inner.device(index)
    }

    fn kernel_status(&self) -> KernelStatus {
        self.inner.kernel_status()
    }

    fn set_receive_buffer(&mut self, bytes: usize) -> Result<(), Error> {
        self.inner.set_receive_buffer(bytes)
    }

    fn report_overruns(&mut self, report: bool) -> Result<(), Error> {
        self.inner.report_overruns(report)?;
        self.state().reports_overruns = report;
        Ok(())
    }

    fn protocol(&self) -> Protocol {
        self.inner.protocol()
    }

    fn port_id(&self) -> u32 {
        self.inner.port_id()
    }

    fn data_model(&self) -> DataModel {
        self.inner.data_model()
    }

    fn now(&self) -> Clock {
        self.inner.now()
    }

    fn wall_clock(&self) -> Timestamp {
        self.inner.wall_clock()
    }
}
