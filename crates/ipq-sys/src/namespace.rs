//! Whose the network is: [`network_is_ours`].

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;

use crate::syscall;

/// Whether capabilities of this process count in its network namespace: whether that belongs to the user namespace of
/// the process, or to one below it. Inside `unshare -Ur` without `-n` it does not.
///
/// # Errors
///
/// If it cannot be told: there is no `/proc`, or Linux is older than 4.9.
#[doc(alias = "NS_GET_USERNS")]
pub fn network_is_ours() -> io::Result<bool> {
    let network = File::open("/proc/self/ns/net")?;
    match syscall::owning_user_namespace(network.as_fd()) {
        Ok(_) => Ok(true),
        // The owner is above, and not for us to see.
        Err(Errno::EPERM) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Names the test that a child runs.
    const INSIDE: &str = "IPQ_SYS_TEST_INSIDE";

    #[test]
    fn a_network_belongs_to_the_user_namespace_it_was_made_in() {
        let test = "namespace::tests::a_network_belongs_to_the_user_namespace_it_was_made_in";
        if let Ok(expected) = std::env::var(INSIDE) {
            assert_eq!(network_is_ours().unwrap().to_string(), expected);
            return;
        }
        for (arguments, expected) in [(&["-Urn"][..], "true"), (&["-Ur"], "false")] {
            let mut command = Command::new("unshare");
            command.args(arguments);
            if !command.arg("true").status().is_ok_and(|status| status.success()) {
                eprintln!("skipped: {test}: unshare {} does not work here", arguments[0]);
                continue;
            }
            let inside = Command::new("unshare")
                .args(arguments)
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", test, "--nocapture"])
                .env(INSIDE, expected)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&inside.stdout);
            assert!(inside.status.success() && said.contains(" 1 passed"), "{inside:?}");
        }
    }
}
