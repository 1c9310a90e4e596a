//! `ipq-cli passer`, `dump`, `drop`, `record` and `replay`: commands that give verdicts by rule and show packets.

use std::process::ExitCode;

use ipq::{CopyMode, TransportName, Verdict};
use ipq_sim::Scenario;

use crate::application::Application;
use crate::args::{
    DropArgs, DumpArgs, PasserArgs, QueueArgs, RecordArgs, ReplayArgs, RuleArgs, refuse_overwriting,
};
use crate::engine::Plan;
use crate::filter::Filter;
use crate::show::{self, Counts, Details, Format, Job, Shows};

/// Runs `passer`.
pub(crate) fn passer(args: &PasserArgs) -> ExitCode {
    let rule = &args.rule;
    let parsed = Plan::new(&args.queue).and_then(|plan| {
        args.check(&plan.transport)?;
        let mode = args.copy.mode(&args.queue);
        let plan = Plan { mode, stops_exactly: rule.count.is_some(), ..plan };
        Ok((plan, job(rule)))
    });
    let details = Details { verdicts: true, ..Details::default() };
    show::main("passer", parsed, Format::new(rule.json, details))
}

/// Runs `dump`.
pub(crate) fn dump(args: &DumpArgs) -> ExitCode {
    let parsed = accepting(&args.queue, &args.expression, args.count).and_then(|(plan, job)| {
        refuse_overwriting(&plan.transport, "--write", args.write.as_deref())?;
        Ok((plan, Job { shows: Shows::Matching, record: args.write.clone(), ..job }))
    });
    let details = Details { verbose: args.verbose, hex: args.hex, verdicts: false };
    show::main("dump", parsed, Format::new(args.json, details))
}

/// Runs `drop`.
pub(crate) fn drop(args: &DropArgs) -> ExitCode {
    let parsed = accepting(&args.queue, &args.expression, args.count).and_then(|(plan, job)| {
        refuse_overwriting(&plan.transport, "--log", args.log.as_deref())?;
        let shows = if args.quiet { Shows::Nothing } else { Shows::Matching };
        Ok((plan, Job { verdict: Verdict::Drop, shows, log: args.log.clone(), ..job }))
    });
    let details = Details { verdicts: true, ..Details::default() };
    show::main("drop", parsed, Format::new(args.json, details))
}

/// Runs `record`.
pub(crate) fn record(args: &RecordArgs) -> ExitCode {
    let parsed = accepting(&args.queue, &args.expression, args.count).and_then(|(plan, job)| {
        refuse_overwriting(&plan.transport, "the recording", Some(&args.file))?;
        refuse_overwriting(&plan.transport, "--log", args.log.as_deref())?;
        let (record, log) = (Some(args.file.clone()), args.log.clone());
        Ok((plan, Job { shows: Shows::Nothing, shows_progress: true, record, log, ..job }))
    });
    show::main("record", parsed, Format::new(args.json, Details::default()))
}

/// Runs `replay`.
pub(crate) fn replay(args: &ReplayArgs) -> ExitCode {
    let format = Format::new(args.rule.json, Details { verdicts: true, ..Details::default() });
    let checked = args.rule.check(&TransportName::Sim(args.file.clone()));
    let application = match (&checked, &args.application) {
        (Ok(()), Some(path)) => match Scenario::open(path) {
            Ok(scenario) => Some(Application::new(scenario.application(), scenario.seed())),
            Err(error) => return crate::ended(Err(error.into())),
        },
        _ => None,
    };
    show::main("replay", checked.map(|()| replaying(args, application)), format)
}

/// The plan and the job of `replay`, where the rule decides, or an application.
fn replaying(args: &ReplayArgs, application: Option<Application>) -> (Plan, Job) {
    let rule = &args.rule;
    let plan = Plan {
        transport: TransportName::Sim(args.file.clone()),
        options: args.family.into(),
        mode: CopyMode::Packet { range: 0 },
        timeout: None,
        waits_again: false,
        stops_exactly: rule.count.is_some(),
        settles_rest: false,
        rule: None,
    };
    (plan, Job { shows_progress: true, application, ..job(rule) })
}

/// The job of a command that gives verdicts by rule.
fn job(rule: &RuleArgs) -> Job {
    Job {
        verdict: rule.verdict.into(),
        filter: rule.filter.clone(),
        application: None,
        shows: if rule.quiet { Shows::Nothing } else { Shows::All },
        shows_progress: false,
        count: rule.count,
        counts: Counts::Read,
        write: rule.write.clone(),
        record: None,
        log: rule.log.clone(),
    }
}

/// The plan and the job of a command that accepts every packet, and shows those that match a filter expression.
fn accepting(
    queue: &QueueArgs,
    expression: &[String],
    count: Option<u64>,
) -> Result<(Plan, Job), String> {
    let plan = Plan { stops_exactly: count.is_some(), settles_rest: true, ..Plan::new(queue)? };
    let filter = match expression {
        [] => None,
        words => Some(words.join(" ").parse::<Filter>().map_err(|error| error.to_string())?),
    };
    let job = Job {
        verdict: Verdict::Accept,
        filter,
        application: None,
        shows: Shows::Matching,
        shows_progress: false,
        count,
        counts: Counts::Matching,
        write: None,
        record: None,
        log: None,
    };
    Ok((plan, job))
}
