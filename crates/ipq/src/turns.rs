//! Threads that read from one simulated kernel, of which it waits for all: [`Turns`].
//!
//! A simulated kernel goes on only when somebody asks for more, and has nothing left when nothing is under way. But what a
//! thread is still at, a verdict say, may give another one something to do. So none of them may take an early end for the
//! end, nor may one that has nothing to do let time pass for one that is busy.

use std::sync::PoisonError;

use crate::sync::{Condvar, Mutex, MutexGuard};

/// What several threads agree on.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The threads that take part, by the numbers of their queues.
    members: Vec<usize>,
    /// Those of them that have found nothing to do in this round.
    idle: Vec<usize>,
    /// A round ends with something to do for anybody, or with the end.
    round: u64,
    /// The last round that was the end.
    last: Option<u64>,
}

/// A thread that takes part, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'t> {
    turns: &'t Turns,
    queue: usize,
    /// The round in which it looks for something to do.
    round: u64,
}

/// What there is for a thread that had nothing to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// Perhaps something: it is to look again.
    Look,
    /// Nothing any more, for none of them.
    End,
}

impl Turns {
    /// Takes part from now on, with this queue. All must do so before one of them begins to look, or that one takes itself for
    /// the only one.
    pub(crate) fn join(&self, queue: usize) -> Turn<'_> {
        let mut state = self.lock();
        state.members.push(queue);
        Turn { turns: self, queue, round: state.round }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // It changes in single steps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the next round.
    fn advance(&self, state: &mut State) {
        state.round += 1;
        state.idle.clear();
        self.changed.notify_all();
    }
}

impl Turn<'_> {
    /// Says that this thread has nothing to do. Once none has, the last has the kernel go on, with `go_on`, until there is
    /// something for one of their queues or nothing left; the others wait for that.
    ///
    /// # Errors
    ///
    /// Those of `go_on`; the others look again.
    pub(crate) fn wait<E>(
        &mut self,
        go_on: impl FnOnce(&[usize]) -> Result<Next, E>,
    ) -> Result<Next, E> {
        let turns = self.turns;
        let mut state = turns.lock();
        let mut went_on = Ok(Next::Look);
        if state.round == self.round {
            state.idle.push(self.queue);
            if state.idle.len() == state.members.len() {
                went_on = go_on(&state.members);
                if let Ok(Next::End) = went_on {
                    state.last = Some(state.round);
                }
                turns.advance(&mut state);
            }
        }
        while state.round == self.round {
            state = turns.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let was_last = state.last == Some(self.round);
        self.round = state.round;
        went_on.map(|_| if was_last { Next::End } else { Next::Look })
    }

    /// Says that this thread has something to do; those that have not look again if, by what it did before, one of their queues
    /// `is_ready`.
    pub(crate) fn go_ahead(&self, is_ready: impl FnOnce(&[usize]) -> bool) {
        let mut state = self.turns.lock();
        if !state.idle.is_empty() && is_ready(&state.idle) {
            self.turns.advance(&mut state);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        let position = state.members.iter().position(|&queue| queue == self.queue);
        position.map(|position| state.members.swap_remove(position));
        // Those that wait may have waited for this one.
        self.turns.advance(&mut state);
    }
}

/// Every order in which threads can go on: `cargo xtask threads`.
#[cfg(all(test, ipq_loom))]
mod models {
    use core::convert::Infallible;

    use loom::sync::{Arc, Mutex};
    use loom::thread;

    use super::{Next, Turn, Turns};

    /// A kernel whose packets pass two queues, one after the other.
    #[derive(Default)]
    struct Kernel {
        to_come: usize,
        /// How many packets wait in each.
        queued: [usize; 2],
        delivered: usize,
    }

    impl Kernel {
        /// Accepts a packet of a queue, if there is one.
        fn accept(&mut self, queue: usize) -> bool {
            if self.queued[queue] == 0 {
                return false;
            }
            self.queued[queue] -= 1;
            match queue {
                0 => self.queued[1] += 1,
                _ => self.delivered += 1,
            }
            true
        }

        fn is_ready(&self, queues: &[usize]) -> bool {
            queues.iter().any(|&queue| self.queued[queue] > 0)
        }

        fn go_on(&mut self, queues: &[usize]) -> Next {
            while !self.is_ready(queues) {
                if self.to_come == 0 {
                    return Next::End;
                }
                self.to_come -= 1;
                self.queued[0] += 1;
            }
            Next::Look
        }
    }

    /// Accepts so many packets of a queue at most, until the end.
    fn work(kernel: &Mutex<Kernel>, queue: usize, mut turn: Turn<'_>, most: usize) {
        let mut accepted = 0;
        while accepted < most {
            if kernel.lock().unwrap().accept(queue) {
                accepted += 1;
                turn.go_ahead(|queues| kernel.lock().unwrap().is_ready(queues));
                continue;
            }
            let go_on = |queues: &_| Ok::<_, Infallible>(kernel.lock().unwrap().go_on(queues));
            let Ok(next) = turn.wait(go_on);
            if next == Next::End {
                return;
            }
        }
    }

    /// Two threads with a queue each, of which the first one takes so many packets at most; what is left of them.
    fn model(packets: usize, most: usize, check: impl Fn(&Kernel) + Sync + Send + 'static) {
        // Three times a thread may be made to wait where it could go on; all orders take minutes.
        let mut orders = loom::model::Builder::new();
        orders.preemption_bound = Some(3);
        orders.check(move || {
            let kernel = Arc::new(Mutex::new(Kernel { to_come: packets, ..Kernel::default() }));
            let turns: &'static Turns = Box::leak(Box::default());
            let [mine, others] = [0, 1].map(|queue| turns.join(queue));
            let shared = Arc::clone(&kernel);
            let other = thread::spawn(move || work(&shared, 1, others, usize::MAX));
            work(&kernel, 0, mine, most);
            other.join().unwrap();
            check(&kernel.lock().unwrap());
        });
    }

    #[test]
    fn nobody_ends_before_the_end() {
        model(1, usize::MAX, |kernel| assert_eq!((kernel.delivered, kernel.queued), (1, [0, 0])));
    }

    #[test]
    fn whoever_leaves_is_not_waited_for() {
        // The rest of the packets wait for somebody who is gone.
        model(2, 1, |kernel| assert_eq!((kernel.delivered, kernel.queued), (1, [1, 0])));
    }
}
