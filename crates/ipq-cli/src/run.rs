//! `ipq-cli run`: an unmodified program, whose queue sockets are carried.

mod child;
mod host;
mod library;
mod program;
mod served;
mod trouble;

use std::collections::BTreeMap;
use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;

use ipq::TransportName;
use ipq_sim::Simulation;

use crate::args::RunArgs;
use crate::{complain, wrong_usage};
use child::{Call, Signals, end_like, is_by_request, is_success};
use library::Library;
use program::Program;
use served::{Served, make_trace};
use trouble::Trouble;

/// What the dynamic linker reads in the environment.
const PRELOAD: &str = "LD_PRELOAD";

/// What the library reads there.
const SERVER: &str = "IPQ_PRELOAD_SERVER";
const PROTOCOLS: &str = "IPQ_PRELOAD_PROTOCOLS";
const TRACE: &str = "IPQ_PRELOAD_TRACE";

/// Runs the command: its exit status is the program's.
pub(crate) fn main(args: &RunArgs) -> ExitCode {
    let transport = match args.transport() {
        Ok(transport) => transport,
        Err(problem) => return wrong_usage("run", &problem),
    };
    if args.check
        && !matches!(&transport, TransportName::Sim(path) if Simulation::is_scenario(path))
    {
        return wrong_usage(
            "run",
            "--check is about a scenario: the transport is to be sim:FILE.toml",
        );
    }
    run(args, &transport).unwrap_or_else(|trouble| {
        complain(&trouble);
        ExitCode::from(trouble.status())
    })
}

fn run(args: &RunArgs, transport: &TransportName) -> Result<ExitCode, Trouble> {
    let name = args.command.first().ok_or(Trouble::NoProgram)?;
    let signals = Signals::take().map_err(|errno| Trouble::Signals(errno.into()))?;
    let program = Program::find(name)?;
    let library = Library::find()?;
    program.can_be_preloaded(&library)?;
    let served = Served::start(transport)?;
    let trace = args.trace.as_deref().map(make_trace).transpose()?;

    let call = call(&program, &args.command, environment(&served, &library, trace))?;
    let end = if args.stop_at_end { served.end()? } else { None };
    let ended = signals.run(&call, end);
    let (status, was_asked) =
        ended.map_err(|errno| Trouble::Start(program.path.clone(), errno.into()))?;
    let all_hold = served.stop(args.check)?;
    if was_asked && is_by_request(status) || is_success(status) {
        return Ok(if all_hold { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    Ok(end_like(status))
}

/// The environment of the program: ours, and what makes the library do its work.
fn environment(
    served: &Served,
    library: &Library,
    trace: Option<PathBuf>,
) -> BTreeMap<OsString, OsString> {
    let mut environment: BTreeMap<_, _> = env::vars_os().collect();
    for variable in [SERVER, PROTOCOLS, TRACE] {
        // One that this program itself may have been started with.
        environment.remove(OsStr::new(variable));
    }
    let Some((path, protocols)) = served.server() else { return environment };
    let numbers: Vec<_> = protocols.iter().map(|protocol| protocol.number().to_string()).collect();
    environment.insert(PRELOAD.into(), preloaded(library));
    environment.insert(SERVER.into(), path.into());
    environment.insert(PROTOCOLS.into(), numbers.join(",").into());
    if let Some(trace) = trace {
        environment.insert(TRACE.into(), trace.into());
    }
    environment
}

/// What starts the program, which may look at the name that it is called by.
fn call(
    program: &Program,
    command: &[OsString],
    environment: BTreeMap<OsString, OsString>,
) -> Result<Call, Trouble> {
    let text = |text: Vec<u8>| CString::new(text).map_err(|_| Trouble::Nul);
    let assigned = environment
        .into_iter()
        .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    Ok(Call {
        path: text(program.path.as_os_str().as_bytes().to_vec())?,
        arguments: command
            .iter()
            .map(|word| text(word.as_bytes().to_vec()))
            .collect::<Result<_, _>>()?,
        environment: assigned.map(text).collect::<Result<_, _>>()?,
    })
}

/// What is preloaded: our library, and behind it what was to be preloaded anyway.
fn preloaded(library: &Library) -> OsString {
    let mut list = library.path.clone().into_os_string();
    if let Some(others) = env::var_os(PRELOAD).filter(|others| !others.is_empty()) {
        list.push(":");
        list.push(others);
    }
    list
}
