//! Any text as a scenario file.

use ipq::{Error, Event, Queue};
use ipq_sim::{Kernel, Scenario, Simulation, TraceEntry};
use ipq_sys::Stepped;

use crate::application::{self, Application};
use crate::sim;

/// How much happens in a kernel at most: traffic may go on for ever.
const STEPS: usize = 2000;

/// Of how many queues a scenario is run: each is claimed by requests of its own.
const MOST_QUEUES: usize = 8;

/// Reads `data` as a scenario, and runs one that makes sense for a while with its program, twice.
///
/// # Panics
///
/// If reading or running it does, if an error says nothing, or if the two runs differ.
pub fn scenarios(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let scenario = match Scenario::parse(text) {
        Ok(scenario) => scenario,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    // The files of this machine are none of the input's business.
    if text.contains("capture") || scenario.queues().is_some_and(|all| all.len() > MOST_QUEUES) {
        return;
    }
    let runs = [(); 2].map(|()| run(&scenario));
    assert_eq!(runs[0], runs[1], "the same seed, and another run");
}

/// Runs a scenario until nothing happens any more, or enough has; returns what happened.
fn run(scenario: &Scenario) -> Vec<TraceEntry> {
    let seed = scenario.seed();
    let builder = Kernel::builder().trace();
    let mut simulation = scenario.start(seed, builder).expect("it names no file");
    let kernel = simulation.kernel().clone();
    let mut program = Application::new(scenario.application(), seed);
    // Who has no queue has no work.
    let mut queue = sim::open(&mut simulation, scenario.application()).ok();
    for _ in 0..STEPS {
        if let Some(opened) = &mut queue
            && work(&mut program, opened).is_err()
        {
            queue = None;
        }
        if kernel.step() != Stepped::Progressed {
            break;
        }
    }
    look(&mut simulation, &program, queue.as_ref());
    kernel.take_trace()
}

/// Reads what is there, and decides on it.
fn work(program: &mut Application, queue: &mut Queue) -> Result<(), Error> {
    let mut buffer = vec![0; queue.buffer_len()];
    loop {
        let (id, decision) = match queue.try_read(&mut buffer) {
            Ok(Some(Event::Packet(packet) | Event::Truncated { packet: Some(packet), .. })) => {
                (packet.id(), program.decide(&packet))
            }
            Ok(Some(_)) | Err(Error::Message(_)) => continue,
            Ok(None) => return Ok(()),
            Err(error) => return Err(error),
        };
        match application::send(queue, id, &decision) {
            // The message of the packet was damaged: it has another queue, or another id.
            Err(Error::WrongQueue(_) | Error::Number(_)) => (),
            sent => sent?,
        }
    }
}

/// Looks at everything that can be asked at the end.
fn look(simulation: &mut Simulation, program: &Application, queue: Option<&Queue>) {
    let statistics = queue.map(Queue::statistics).unwrap_or_default();
    let findings = simulation.findings(&sim::numbers(&statistics, program, None));
    core::hint::black_box(format!("{findings:?} {:?}", simulation.kernel().status()));
}
