//! Counters in the text format of [Prometheus](https://prometheus.io/docs/instrumenting/exposition_formats/).

use core::fmt::{self, Write};

use ipq_proto::Family;
use ipq_sys::KernelStatus;

use crate::Statistics;

/// What a session has counted, and what the kernel says of queues, in version 0.0.4 of the format: one HELP, one TYPE and
/// its samples for each metric, and nothing for a metric without samples.
///
/// Each sample gets these labels, whose values may be any text; what cannot be in a label's name becomes `_`.
///
/// ```
/// let kernel = ipq_sim::Kernel::builder().build();
/// kernel.load_ip_queue(ipq::Family::Ipv4);
/// let text = ipq::prometheus::text(None, &kernel.status(), &[("host", "gate")]);
/// assert!(text.contains("ipq_kernel_queue_dropped_total{host=\"gate\",queue=\"ip_queue\"} 0\n"));
/// ```
pub fn text(
    statistics: Option<&Statistics>,
    kernel: &KernelStatus,
    labels: &[(&str, &str)],
) -> String {
    let mut out = String::new();
    let written = write(&mut out, statistics, kernel, labels);
    debug_assert!(written.is_ok(), "a string takes all that is written to it");
    out
}

/// What a kernel's queue says of itself.
struct Sample {
    queue: String,
    numbers: [u64; METRICS.len()],
}

/// A metric of a kernel's queue: its name, type and explanation.
type Metric = (&'static str, &'static str, &'static str);

const METRICS: [Metric; 3] = [
    ("ipq_kernel_queue_length", "gauge", "Packets that wait for a verdict."),
    (
        "ipq_kernel_queue_dropped_total",
        "counter",
        "Packets that the kernel dropped because the queue was full.",
    ),
    (
        "ipq_kernel_user_dropped_total",
        "counter",
        "Packets that the kernel dropped because the receive buffer of the queue's program was full.",
    ),
];

const MAX_LENGTH: Metric =
    ("ipq_kernel_queue_max_length", "gauge", "How many packets may wait for a verdict.");

fn write(
    out: &mut String,
    statistics: Option<&Statistics>,
    kernel: &KernelStatus,
    labels: &[(&str, &str)],
) -> fmt::Result {
    for (name, help, value) in statistics.iter().flat_map(|statistics| statistics.iter()) {
        let name = format!("ipq_{name}_total");
        write_head(out, (&name, "counter", help))?;
        write_sample(out, &name, labels, None, value)?;
    }
    let samples = samples(kernel);
    for (index, metric) in METRICS.into_iter().enumerate().filter(|_| !samples.is_empty()) {
        write_head(out, metric)?;
        for sample in &samples {
            write_sample(out, metric.0, labels, Some(&sample.queue), sample.numbers[index])?;
        }
    }
    if !kernel.ip_queues.is_empty() {
        write_head(out, MAX_LENGTH)?;
    }
    for queue in &kernel.ip_queues {
        let max_length = queue.queue_max_length.into();
        write_sample(out, MAX_LENGTH.0, labels, Some(ip_queue(queue.family)), max_length)?;
    }
    Ok(())
}

fn samples(kernel: &KernelStatus) -> Vec<Sample> {
    let ip_queues = kernel.ip_queues.iter().map(|queue| Sample {
        queue: ip_queue(queue.family).to_owned(),
        numbers: [queue.queue_length, queue.queue_dropped.into(), queue.netlink_dropped.into()],
    });
    let nfqueues = kernel.nfqueues.iter().map(|queue| Sample {
        queue: format!("nfqueue:{}", queue.queue),
        numbers: [queue.queue_length, queue.queue_dropped.into(), queue.user_dropped.into()],
    });
    ip_queues.chain(nfqueues).collect()
}

const fn ip_queue(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ip_queue",
        Family::Ipv6 => "ip6_queue",
    }
}

fn write_head(out: &mut String, (name, kind, help): (&str, &str, &str)) -> fmt::Result {
    let help = help.replace('\\', r"\\").replace('\n', r"\n");
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn write_sample(
    out: &mut String,
    name: &str,
    labels: &[(&str, &str)],
    queue: Option<&str>,
    value: u64,
) -> fmt::Result {
    out.push_str(name);
    let queue = queue.map(|queue| ("queue", queue));
    let mut separator = '{';
    for (label, text) in labels.iter().copied().chain(queue) {
        let text = text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
        write!(out, "{separator}{}=\"{text}\"", LabelName(label))?;
        separator = ',';
    }
    if separator == ',' {
        out.push('}');
    }
    writeln!(out, " {value}")
}

/// A label's name, made of letters, digits and `_`, the first no digit.
struct LabelName<'n>(&'n str);

impl fmt::Display for LabelName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() || self.0.starts_with(|first: char| first.is_ascii_digit()) {
            f.write_char('_')?;
        }
        let legal = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        self.0.chars().try_for_each(|letter| f.write_char(if legal(letter) { letter } else { '_' }))
    }
}
