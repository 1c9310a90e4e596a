//! A rule of the firewall for as long as this program runs: [`Installed`].
//!
//! A small process of its own, the guard, takes the rule out when the pipe between the two is closed, which the kernel
//! does however this program ends.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

use ipq::{Families, Family, Queue, QueueName};

use crate::failure::Failure;

/// Rules that are in force, and the guards that take them out.
pub(crate) struct Installed(Vec<Guard>);

/// What is asked for: which packets go to the queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RuleRequest {
    /// `-t TABLE`, if it is said.
    table: Vec<String>,
    chain: String,
    matches: Vec<String>,
}

/// Where the packets go is for this program to say, and other commands of iptables are not undone at the end.
const FOREIGN: [&str; 12] =
    ["-j", "--jump", "-g", "--goto", "-A", "-I", "-D", "-R", "-F", "-X", "-P", "-N"];

impl RuleRequest {
    /// Reads `OUTPUT -p icmp`: a chain and what a packet must be like, as iptables has it, perhaps behind `-t TABLE`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let table = if words.first().is_some_and(|word| word == "-t" || word == "--table") {
            words.drain(..words.len().min(2)).collect()
        } else {
            Vec::new()
        };
        if let Some(word) = words.iter().find(|word| FOREIGN.contains(&word.as_str())) {
            return Err(format!(
                "--install wants a chain and what to match, for example 'OUTPUT -p icmp': {word} is not for it"
            ));
        }
        if words.first().is_none_or(|chain| chain.starts_with('-')) {
            return Err("--install wants a chain first, for example 'OUTPUT -p icmp'".to_owned());
        }
        let chain = words.remove(0);
        Ok(Self { table, chain, matches: words })
    }

    /// The arguments of iptables that put the rule in, or take it out.
    fn arguments(&self, command: &str, target: &[String]) -> Vec<String> {
        let mut arguments = self.table.clone();
        arguments.extend([command.to_owned(), self.chain.clone()]);
        arguments.extend(self.matches.iter().cloned());
        arguments.extend(target.iter().cloned());
        arguments
    }
}

/// Where a rule sends packets for these queues; with bypass, so that they pass when no program has the queue.
fn target(queues: &[QueueName]) -> Result<Vec<String>, Failure> {
    let numbers: Option<Vec<u16>> = queues
        .iter()
        .map(|queue| match queue {
            QueueName::Nfqueue(number) => Some(*number),
            QueueName::IpQueue(_) => None,
        })
        .collect();
    let words = match numbers.as_deref() {
        Some([only]) => vec!["--queue-num".to_owned(), only.to_string()],
        Some([first, .., last]) => vec!["--queue-balance".to_owned(), format!("{first}:{last}")],
        Some([]) | None => {
            return Err(Failure::Rule(
                "ip_queue drops everything when its program has gone, so no rule is put in for it"
                    .to_owned(),
            ));
        }
    };
    let mut target = vec!["-j".to_owned(), "NFQUEUE".to_owned()];
    target.extend(words);
    target.push("--queue-bypass".to_owned());
    Ok(target)
}

impl Installed {
    /// Puts the rule in, for each family where that can be done, in front of all others of its chain.
    pub(crate) fn new(
        request: &RuleRequest,
        queue: &Queue,
        families: Families,
    ) -> Result<Self, Failure> {
        let target = target(&queue.queues().collect::<Vec<_>>())?;
        let (mut guards, mut problems) = (Vec::new(), Vec::new());
        for family in families.iter() {
            match Guard::install(request, &target, family) {
                Ok(guard) => guards.push(guard),
                Err(problem) => problems.push(problem),
            }
        }
        if guards.is_empty() {
            return Err(Failure::Rule(problems.join("; ")));
        }
        for problem in problems {
            crate::complain(&format_args!("no rule for one of the families: {problem}"));
        }
        Ok(Self(guards))
    }

    /// Takes the rules out, and waits until they are.
    pub(crate) fn remove(self) {
        for guard in self.0 {
            guard.remove();
        }
    }
}

/// The process that takes a rule out.
struct Guard(Child);

/// Waits until the pipe is closed, and then does what its arguments say; a line on the pipe tells it to do nothing. The
/// signals that end a program at a terminal are not for it.
const GUARD: &str = r#"trap '' INT TERM HUP QUIT; read -r line && exit 0; exec "$@""#;

impl Guard {
    /// Puts a rule in with the first iptables that can. The guard is there first.
    fn install(request: &RuleRequest, target: &[String], family: Family) -> Result<Self, String> {
        let name = match family {
            Family::Ipv4 => "iptables",
            Family::Ipv6 => "ip6tables",
        };
        let mut problems = Vec::new();
        for kind in ["", "-nft", "-legacy"] {
            let program = format!("{name}{kind}");
            let guard = Self::start(&program, &request.arguments("-D", target))
                .map_err(|error| format!("sh: {error}"))?;
            let arguments = request.arguments("-I", target);
            match attempt(&program, &arguments) {
                Ok(()) => {
                    crate::complain(&format_args!(
                        "put in, until the end: {program} {}",
                        arguments.join(" ")
                    ));
                    return Ok(guard);
                }
                Err(problem) => {
                    guard.dismiss();
                    problems.push(problem);
                }
            }
        }
        problems.dedup();
        Err(problems.join("; "))
    }

    fn start(program: &str, arguments: &[String]) -> io::Result<Self> {
        Command::new("sh")
            .args(["-c", GUARD, "sh", program])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map(Self)
    }

    /// Has it take the rule out.
    fn remove(mut self) {
        drop(self.0.stdin.take());
        self.wait("taking the rule out");
    }

    /// Has it do nothing.
    fn dismiss(mut self) {
        if let Some(mut stdin) = self.0.stdin.take() {
            // If it has gone, it does nothing already.
            let _ = stdin.write_all(b"\n");
        }
        self.wait("ending the guard of a rule");
    }

    fn wait(&mut self, what: &str) {
        match self.0.wait() {
            Ok(status) if status.success() => (),
            Ok(status) => crate::complain(&format_args!("{what}: {status}")),
            Err(error) => crate::complain(&format_args!("{what}: {error}")),
        }
    }
}

/// Runs a program; if it fails, says how in one line.
fn attempt(program: &str, arguments: &[String]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(format!("{program}: {}", said.first().copied().unwrap_or("it failed and did not say why")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_chain_and_matches() {
        let request = RuleRequest::parse(" -t mangle  OUTPUT -p icmp ").unwrap();
        let target = target(&[QueueName::Nfqueue(3)]).unwrap();
        let put_in = "-t mangle -I OUTPUT -p icmp -j NFQUEUE --queue-num 3 --queue-bypass";
        assert_eq!(request.arguments("-I", &target).join(" "), put_in);
        let target = super::target(&[0, 1, 2].map(QueueName::Nfqueue)).unwrap();
        assert_eq!(target.join(" "), "-j NFQUEUE --queue-balance 0:2 --queue-bypass");
        super::target(&[QueueName::IpQueue(Family::Ipv4)]).unwrap_err();
        for wrong in
            ["", "-p icmp", "-t mangle", "OUTPUT -j DROP", "-F OUTPUT", "OUTPUT -p icmp -g x"]
        {
            assert!(RuleRequest::parse(wrong).unwrap_err().contains("'OUTPUT -p icmp'"), "{wrong}");
        }
    }
}
