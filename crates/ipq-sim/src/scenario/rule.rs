//! The rules of a scenario: [`RuleTable`], and which packets match: [`ConditionTable`].

use core::fmt;
use core::ops::RangeInclusive;

use ipnet::IpNet;
use ipq_proto::{Family, Hook};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::rule::{Match, Protocol, Table, Target};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleTable {
    #[serde(deserialize_with = "hook")]
    pub(super) hook: Hook,
    #[serde(default)]
    table: TableName,
    #[serde(default, rename = "match")]
    pub(super) condition: ConditionTable,
    #[serde(deserialize_with = "target")]
    pub(super) target: Target,
}

/// Which packets match: those that meet all of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ConditionTable {
    #[serde(default, deserialize_with = "family")]
    family: Option<Family>,
    #[serde(default, deserialize_with = "protocol")]
    protocol: Option<Protocol>,
    source: Option<IpNet>,
    destination: Option<IpNet>,
    source_port: Option<Numbers>,
    destination_port: Option<Numbers>,
    pub(super) input: Option<Spanned<String>>,
    pub(super) output: Option<Spanned<String>>,
    pub(super) mark: Option<Spanned<u32>>,
    pub(super) not_mark: Option<Spanned<u32>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TableName {
    Raw,
    Mangle,
    #[default]
    Filter,
}

/// One number or several: `3` or `"0-3"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "NumbersText")]
pub(super) struct Numbers(pub(super) RangeInclusive<u16>);

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a number up to 65535, or \"A-B\"")]
enum NumbersText {
    One(u16),
    Several(String),
}

/// The fields of all targets that are tables.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetTable {
    nfqueue: Option<Numbers>,
    bypass: Option<bool>,
    mark: Option<u32>,
}

impl RuleTable {
    pub(super) fn table(&self) -> Table {
        match self.table {
            TableName::Raw => Table::Raw,
            TableName::Mangle => Table::Mangle,
            TableName::Filter => Table::Filter,
        }
    }
}

impl ConditionTable {
    pub(super) fn condition(&self) -> Match {
        let name = |name: &Option<Spanned<String>>| name.as_ref().map(|name| name.as_ref().clone());
        let number = |number: &Option<Spanned<u32>>| number.as_ref().map(|number| *number.as_ref());
        let ports = |ports: &Option<Numbers>| ports.clone().map(|Numbers(ports)| ports);
        let condition = self.protocol.map_or_else(Match::any, Match::protocol);
        let condition = apply(condition, self.family, Match::family);
        let condition = apply(condition, self.source, Match::source);
        let condition = apply(condition, self.destination, Match::destination);
        let condition = apply(condition, ports(&self.source_port), Match::source_ports);
        let condition = apply(condition, ports(&self.destination_port), Match::destination_ports);
        let input = |condition: Match, name: String| condition.input_device(&name);
        let output = |condition: Match, name: String| condition.output_device(&name);
        let condition = apply(condition, name(&self.input), input);
        let condition = apply(condition, name(&self.output), output);
        let condition = apply(condition, number(&self.mark), Match::mark);
        apply(condition, number(&self.not_mark), Match::not_mark)
    }
}

/// Adds a condition, if the file has it.
fn apply<T>(condition: Match, value: Option<T>, add: impl FnOnce(Match, T) -> Match) -> Match {
    match value {
        Some(value) => add(condition, value),
        None => condition,
    }
}

impl TryFrom<NumbersText> for Numbers {
    type Error = String;

    fn try_from(text: NumbersText) -> Result<Self, String> {
        match text {
            NumbersText::One(number) => Ok(Self(number..=number)),
            NumbersText::Several(text) => {
                let numbers = numbers(&text).filter(|numbers| !numbers.is_empty());
                numbers.map(Self).ok_or_else(|| {
                    format!("{text:?} are no numbers: A-B, up to 65535, and B not before A")
                })
            }
        }
    }
}

/// `A-B`, or one number; empty if B is before A.
pub(super) fn numbers(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

fn hook<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hook, D::Error> {
    let name = String::deserialize(deserializer)?;
    let hook = Hook::ALL.into_iter().find(|hook| hook.name() == Some(name.as_str()));
    hook.ok_or_else(|| {
        let names = Hook::ALL.map(|hook| hook.to_string()).join(", ");
        D::Error::custom(format_args!("{name:?} is no hook: {names}"))
    })
}

/// A family, where it may be left out.
pub(super) fn family<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Family>, D::Error> {
    crate::family_text::deserialize(deserializer).map(Some)
}

fn protocol<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Protocol>, D::Error> {
    struct Name;

    impl Visitor<'_> for Name {
        type Value = Protocol;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a protocol: icmp, icmpv6, tcp, udp or a number up to 255")
        }

        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Protocol, E> {
            let unexpected = serde::de::Unexpected::Signed(number);
            u8::try_from(number).map(Protocol).map_err(|_| E::invalid_value(unexpected, &self))
        }

        fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Protocol, E> {
            match name {
                "icmp" => Ok(Protocol::ICMP),
                "icmpv6" => Ok(Protocol::ICMPV6),
                "tcp" => Ok(Protocol::TCP),
                "udp" => Ok(Protocol::UDP),
                _ => Err(E::invalid_value(serde::de::Unexpected::Str(name), &self)),
            }
        }
    }

    deserializer.deserialize_any(Name).map(Some)
}

/// A name, or a table for what has a number.
fn target<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Target, D::Error> {
    struct NameOrTable;

    impl<'de> Visitor<'de> for NameOrTable {
        type Value = Target;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a target: accept, drop, queue, { nfqueue = N } or { mark = N }")
        }

        fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Target, E> {
            match name {
                "accept" => Ok(Target::Accept),
                "drop" => Ok(Target::Drop),
                "queue" => Ok(Target::Queue),
                _ => Err(E::invalid_value(serde::de::Unexpected::Str(name), &self)),
            }
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Target, A::Error> {
            match TargetTable::deserialize(MapAccessDeserializer::new(map))? {
                TargetTable { nfqueue: Some(Numbers(numbers)), bypass, mark: None } => {
                    let (first, last) = numbers.into_inner();
                    Ok(Target::Nfqueue { first, last, bypass: bypass.unwrap_or(false) })
                }
                TargetTable { nfqueue: None, bypass: None, mark: Some(mark) } => {
                    Ok(Target::Mark(mark))
                }
                _ => Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self)),
            }
        }
    }

    deserializer.deserialize_any(NameOrTable)
}
