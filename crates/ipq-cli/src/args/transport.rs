//! Which kernel to talk to, for every command that talks to one: [`transport`].

use ipq::TransportName;

/// The transport: the one `given`, else that of `$IPQ_TRANSPORT`, which a program that runs with the rights of another
/// user does not trust, else `auto`.
pub(crate) fn transport(given: Option<&TransportName>) -> Result<TransportName, String> {
    const VARIABLE: &str = "IPQ_TRANSPORT";
    if let Some(name) = given {
        return Ok(name.clone());
    }
    let own_rights = nix::unistd::getuid() == nix::unistd::geteuid()
        && nix::unistd::getgid() == nix::unistd::getegid();
    match std::env::var_os(VARIABLE).filter(|value| own_rights && !value.is_empty()) {
        Some(value) => {
            let name = value.to_str().ok_or_else(|| format!("{VARIABLE} is no UTF-8"))?;
            name.parse().map_err(|error| format!("{VARIABLE}: {error}"))
        }
        None => Ok(TransportName::Auto),
    }
}
