//! Other hosts: network namespaces at the far end of a veth pair.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use ipq_proto::Family;
use nix::sched::{CloneFlags, setns};

use crate::namespace::{Skipped, tool};

/// A network namespace, kept by a process that waits for the end of its input.
#[derive(Debug)]
pub struct Host {
    keeper: Child,
    namespace: Arc<File>,
}

/// The name of a host's device at its own end.
pub const FAR: &str = "eth0";

/// The device that leads to host `number`.
pub fn device(number: usize) -> String {
    format!("to{number}")
}

/// An address on the link to host `number`.
///
/// # Panics
///
/// If there are more hosts than addresses: 256.
pub fn address(number: usize, family: Family, is_far: bool) -> IpAddr {
    let (link, end) = (u8::try_from(number).unwrap(), if is_far { 2 } else { 1 });
    match family {
        Family::Ipv4 => Ipv4Addr::new(10, 0, link, end).into(),
        Family::Ipv6 => Ipv6Addr::new(0xfd00, 0, 0, link.into(), 0, 0, 0, end.into()).into(),
    }
}

impl Host {
    /// Adds host `number` and the link to it.
    ///
    /// # Errors
    ///
    /// If the machine does not allow it.
    ///
    /// # Panics
    ///
    /// If the program that keeps the namespace says nothing.
    pub fn add(number: usize) -> Result<Self, Skipped> {
        // It says a line once it is where it should be.
        let mut keeper = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo; cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Skipped(format!("unshare: {error}")))?;
        let mut line = [0];
        let said = std::io::Read::read_exact(keeper.stdout.as_mut().unwrap(), &mut line);
        said.map_err(|_| Skipped("unshare --net: not inside a user namespace".to_owned()))?;
        let namespace = File::open(format!("/proc/{}/ns/net", keeper.id())).unwrap();
        let host = Self { keeper, namespace: Arc::new(namespace) };

        let (near, pid) = (device(number), host.keeper.id().to_string());
        tool("ip", &["link", "add", &near, "type", "veth", "peer", "name", FAR, "netns", &pid])?;
        for (device, is_far) in [(near.as_str(), false), (FAR, true)] {
            let set_up = || {
                let _ = fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
                for family in Family::ALL {
                    let bits = if family == Family::Ipv4 { 24 } else { 64 };
                    let address = format!("{}/{bits}", address(number, family, is_far));
                    let flag: &[&str] = if family == Family::Ipv4 { &[] } else { &["nodad"] };
                    tool("ip", &[&["addr", "add", &address, "dev", device], flag].concat())?;
                }
                tool("ip", &["link", "set", "lo", "up"])?;
                tool("ip", &["link", "set", device, "up"])
            };
            if is_far { host.enter(set_up)? } else { set_up()? }
        }
        host.enter(|| {
            for (family, option) in [(Family::Ipv4, "-4"), (Family::Ipv6, "-6")] {
                let gateway = address(number, family, false).to_string();
                tool("ip", &[option, "route", "add", "default", "via", &gateway])?;
            }
            Ok(())
        })?;
        Ok(host)
    }

    /// Runs `body` on this host.
    ///
    /// # Panics
    ///
    /// If `body` does, or the namespace cannot be entered.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let namespace = &self.namespace;
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                go_to(namespace);
                body()
            });
            there.join().unwrap()
        })
    }

    /// What [`go_to`] takes.
    pub fn namespace(&self) -> Arc<File> {
        Arc::clone(&self.namespace)
    }
}

/// Moves the calling thread to another host.
///
/// # Panics
///
/// If it cannot be entered.
pub fn go_to(namespace: &Arc<File>) {
    setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
