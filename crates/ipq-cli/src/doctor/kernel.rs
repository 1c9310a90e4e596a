//! What the kernel was built with and what is loaded: [`Kernel`].

use std::collections::{BTreeMap, BTreeSet};

use super::machine::Machine;

/// A part of the kernel that may be missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) module: &'static str,
    /// The option that it is built with, without `CONFIG_`.
    pub(super) option: &'static str,
}

impl Part {
    const fn new(module: &'static str, option: &'static str) -> Self {
        Self { module, option }
    }

    pub(super) const NFQUEUE: Self = Self::new("nfnetlink_queue", "NETFILTER_NETLINK_QUEUE");
    pub(super) const IP_QUEUE: Self = Self::new("ip_queue", "IP_NF_QUEUE");
    pub(super) const TARGET: Self = Self::new("xt_NFQUEUE", "NETFILTER_XT_TARGET_NFQUEUE");
    pub(super) const IP_TABLES: Self = Self::new("ip_tables", "IP_NF_IPTABLES");
    pub(super) const IP6_TABLES: Self = Self::new("ip6_tables", "IP6_NF_IPTABLES");
    pub(super) const NF_TABLES: Self = Self::new("nf_tables", "NF_TABLES");
    pub(super) const NFT_COMPAT: Self = Self::new("nft_compat", "NFT_COMPAT");
    pub(super) const NFT_QUEUE: Self = Self::new("nft_queue", "NFT_QUEUE");
}

/// How a part of the kernel is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Presence {
    BuiltIn,
    Loaded,
    /// It is a module, which is loaded when it is needed.
    Loadable,
    Absent,
    Unknown,
}

impl Presence {
    /// Whether it can be used, as far as it is known.
    pub(super) const fn is_possible(self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// Whether it is there already.
    pub(super) const fn is_here(self) -> bool {
        matches!(self, Self::BuiltIn | Self::Loaded)
    }
}

/// A kernel, as far as files tell.
#[derive(Debug)]
pub(super) struct Kernel {
    /// `6.18.44-generic`.
    pub(super) release: String,
    /// The file with its configuration, and what that says of each option: `y`, `m` or `n`.
    config: Option<(String, BTreeMap<String, char>)>,
    /// Modules that are loaded, and built-in ones as far as they show in `/sys/module`.
    here: BTreeSet<String>,
    built_in: BTreeSet<String>,
    /// Modules on the disk.
    loadable: BTreeSet<String>,
    /// Whether it is known which modules there are on the disk.
    knows_modules: bool,
}

impl Kernel {
    pub(super) fn of(machine: &Machine<'_>) -> Self {
        let release = machine.text("proc/sys/kernel/osrelease").unwrap_or_default();
        let release = release.trim().to_owned();
        let modules = machine.text("proc/modules").unwrap_or_default();
        let mut here = machine.names("sys/module");
        here.extend(modules.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned));
        let folder = format!("lib/modules/{release}");
        let files = |list: &str| machine.text(&format!("{folder}/{list}")).ok();
        let (built_in, loadable) = (files("modules.builtin"), files("modules.dep"));
        Self {
            config: config(machine, &release),
            here,
            knows_modules: built_in.is_some() && loadable.is_some(),
            built_in: built_in.map(|list| modules_of(&list)).unwrap_or_default(),
            loadable: loadable.map(|list| modules_of(&list)).unwrap_or_default(),
            release,
        }
    }

    /// How a part is there.
    pub(super) fn presence(&self, part: Part) -> Presence {
        let module = part.module;
        let option = self.config.as_ref().map(|(_, config)| config.get(part.option).copied());
        if option == Some(Some('y')) || self.built_in.contains(module) {
            Presence::BuiltIn
        } else if self.here.contains(module) {
            Presence::Loaded
        } else if self.loadable.contains(module) {
            Presence::Loadable
        } else if self.knows_modules || matches!(option, Some(None | Some('n'))) {
            Presence::Absent
        } else if option == Some(Some('m')) {
            // Built as a module, and nobody knows whether it is installed.
            Presence::Loadable
        } else {
            Presence::Unknown
        }
    }

    /// How to get a part that is absent.
    pub(super) fn remedy(&self, part: Part) -> String {
        let Part { module, option } = part;
        match &self.config {
            Some((file, config)) if config.get(option) == Some(&'m') => format!(
                "install the module {module} of Linux {}, as /{file} says CONFIG_{option}=m",
                self.release
            ),
            Some((file, _)) => {
                format!("use a kernel that is built with CONFIG_{option}: /{file} does not have it")
            }
            None => {
                format!("install the module {module} of Linux {} (CONFIG_{option})", self.release)
            }
        }
    }

    /// Whether it is at least this version of Linux; `None` if it does not say which it is.
    pub(super) fn is_at_least(&self, version: (u32, u32, u32)) -> Option<bool> {
        let mut numbers = self.release.split(|byte: char| !byte.is_ascii_digit());
        let mut next = || numbers.next()?.parse::<u32>().ok();
        let (major, minor) = (next()?, next()?);
        Some((major, minor, next().unwrap_or(0)) >= version)
    }
}

/// The kernel's configuration, from where it is kept.
fn config(machine: &Machine<'_>, release: &str) -> Option<(String, BTreeMap<String, char>)> {
    let of = |path: String, text: String| {
        let setting = |line: &str| {
            let (option, value) = line.strip_prefix("CONFIG_")?.split_once('=')?;
            Some((option.to_owned(), value.chars().next()?))
        };
        (path, text.lines().filter_map(setting).collect())
    };
    let compressed = "proc/config.gz";
    if let Ok(text) = machine.compressed_text(compressed) {
        return Some(of(compressed.to_owned(), text));
    }
    let plain = [format!("boot/config-{release}"), format!("lib/modules/{release}/config")];
    plain.into_iter().find_map(|path| machine.text(&path).ok().map(|text| of(path, text)))
}

/// The names of modules in `modules.dep` or `modules.builtin`: `kernel/net/netfilter/nft_queue.ko.xz: …`.
fn modules_of(list: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let path = line.split(':').next()?;
        let (name, _) = path.rsplit('/').next()?.split_once(".ko")?;
        Some(name.replace('-', "_"))
    };
    list.lines().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_alike_however_their_files_are_called() {
        let names = modules_of(
            "kernel/net/netfilter/nft_queue.ko.xz: kernel/net/netfilter/nf_tables.ko.xz\n\
             kernel/net/netfilter/xt_NFQUEUE.ko:\nkernel/lib/crc-t10dif.ko.zst:\nnonsense\n\n",
        );
        assert_eq!(
            names.into_iter().collect::<Vec<_>>(),
            ["crc_t10dif", "nft_queue", "xt_NFQUEUE"]
        );
    }
}
