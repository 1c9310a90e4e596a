//! Families as files have them.

use serde::de::{Deserialize, Deserializer, Error};

use ipq_proto::Family;

/// `ipv4` or `ipv6`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Family, D::Error> {
    let name = String::deserialize(deserializer)?;
    match name.as_str() {
        "ipv4" => Ok(Family::Ipv4),
        "ipv6" => Ok(Family::Ipv6),
        _ => Err(D::Error::custom(format_args!("{name:?} is no family: ipv4 or ipv6"))),
    }
}
