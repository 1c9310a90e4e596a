//! What this is measured on: [`describe`], [`Stolen`].

use std::fs;
use std::thread;

/// The machine in a line: processor, kernel, memory.
pub(crate) fn describe() -> String {
    let cpu = value("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    // Of the machine, and not of what this thread may use.
    let cpus = fs::read_to_string("/proc/cpuinfo")
        .map_or(0, |text| text.lines().filter(|line| line.starts_with("processor")).count())
        .max(thread::available_parallelism().map_or(1, usize::from));
    let is_virtual = value("/proc/cpuinfo", "flags")
        .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let machine = if is_virtual { ", virtual machine" } else { "" };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = value("/proc/meminfo", "MemTotal")
        .and_then(|size| size.strip_suffix(" kB")?.parse::<f64>().ok())
        .map_or_else(String::new, |kib| format!(", {:.0} GiB", kib / 1024.0 / 1024.0));
    format!("{cpu}, {cpus} processors{machine}{memory}, Linux {}", kernel.trim())
}

/// How much of its processors a virtual machine has not had, since it was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stolen {
    stolen: f64,
    total: f64,
}

impl Stolen {
    /// Until now, where the kernel tells.
    pub(crate) fn now() -> Option<Self> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let words = text.lines().next()?.split_whitespace().skip(1);
        // From user to steal. What guests had is part of the first two.
        let ticks: Vec<f64> = words.map_while(|word| word.parse().ok()).take(8).collect();
        Some(Self { stolen: *ticks.get(7)?, total: ticks.iter().sum() })
    }

    /// The share of the time since an earlier moment.
    pub(crate) fn since(self, earlier: Self) -> f64 {
        (self.stolen - earlier.stolen) / (self.total - earlier.total).max(1.0)
    }
}

/// What `file` has on the first line for `name`.
fn value(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    let (_, value) = line.split_once(':')?;
    Some(value.trim().to_owned())
}
