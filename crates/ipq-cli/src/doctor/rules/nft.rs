//! What `nft -j list ruleset` prints (libnftables-json(5)): [`rules`].

use core::ops::RangeInclusive;

use serde_json::Value;

use super::Rule;

/// The rules with a `queue` statement. Those of iptables-nft show their target without its queue, so iptables is asked
/// for them; where it is not there, `shows_targets` includes them.
pub(super) fn rules(text: &str, shows_targets: bool) -> Result<Vec<Rule>, String> {
    let listing: Value =
        serde_json::from_str(text).map_err(|error| format!("it printed no JSON: {error}"))?;
    let objects = listing["nftables"].as_array().ok_or("it printed no ruleset")?;
    Ok(objects.iter().filter_map(|object| rule(&object["rule"], shows_targets)).collect())
}

fn rule(rule: &Value, shows_targets: bool) -> Option<Rule> {
    let mut statements = rule["expr"].as_array()?.iter();
    let is_target = |statement: &Value| shows_targets && statement["xt"]["name"] == "NFQUEUE";
    let queue = statements.find_map(|statement| match statement.get("queue") {
        None if is_target(statement) => Some(&UNKNOWN),
        queue => queue,
    })?;
    let name = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
    let [family, table, chain] = ["family", "table", "chain"].map(name);
    let queues = if *queue == UNKNOWN { None } else { queues(&queue["num"]) };
    let bypass = match &queue["flags"] {
        Value::Array(flags) => flags.iter().any(|flag| flag == "bypass"),
        flag => flag == "bypass",
    };
    let number = match &queues {
        Some(queues) if queues.start() == queues.end() => queues.start().to_string(),
        Some(queues) => format!("{}-{}", queues.start(), queues.end()),
        None if *queue == UNKNOWN => "of iptables".to_owned(),
        None => "by packet".to_owned(),
    };
    let flag = if bypass { " bypass" } else { "" };
    let handle = rule["handle"].as_u64().unwrap_or_default();
    let text = format!("{family} {table} {chain}: queue {number}{flag} (handle {handle})");
    Some(Rule { program: "nft", family, table, chain, queues, bypass, text })
}

/// What is known of the queue that a target of iptables leads to.
const UNKNOWN: Value = Value::Bool(false);

/// A number, a range, or an expression that makes one of the packet. Without any it is queue 0.
fn queues(number: &Value) -> Option<RangeInclusive<u16>> {
    let single = |value: &Value| value.as_u64().and_then(|number| u16::try_from(number).ok());
    match number {
        Value::Null => Some(0..=0),
        Value::Object(object) => {
            let [first, last] = object.get("range")?.as_array()?.as_slice() else { return None };
            Some(single(first)?..=single(last)?)
        }
        number => single(number).map(|queue| queue..=queue),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(statement: &str, shows_targets: bool) -> String {
        let listing = format!(
            r#"{{"nftables": [{{"metainfo": {{}}}}, {{"rule": {{"family": "inet", "table": "t", "chain": "c",
            "handle": 4, "expr": [{{"counter": {{}}}}, {statement}]}}}}]}}"#
        );
        let texts = rules(&listing, shows_targets).unwrap().into_iter().map(|rule| rule.text);
        texts.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn queue_statements_are_read_in_all_their_forms() {
        let one = |statement| texts(statement, false);
        assert_eq!(one(r#"{"queue": {"num": 3}}"#), "inet t c: queue 3 (handle 4)");
        assert_eq!(one(r#"{"queue": null}"#), "inet t c: queue 0 (handle 4)");
        assert_eq!(
            one(r#"{"queue": {"num": {"range": [1, 3]}, "flags": ["fanout", "bypass"]}}"#),
            "inet t c: queue 1-3 bypass (handle 4)"
        );
        assert_eq!(
            one(r#"{"queue": {"num": {"jhash": {"mod": 4}}, "flags": "bypass"}}"#),
            "inet t c: queue by packet bypass (handle 4)"
        );
        let target = r#"{"xt": {"type": "target", "name": "NFQUEUE"}}"#;
        assert_eq!(one(target), "");
        assert_eq!(texts(target, true), "inet t c: queue of iptables (handle 4)");
    }

    #[test]
    fn what_is_no_listing_is_refused() {
        assert!(rules("", true).unwrap_err().starts_with("it printed no JSON: "));
        assert_eq!(rules("[]", true).unwrap_err(), "it printed no ruleset");
        assert_eq!(rules(r#"{"nftables": [1, {"rule": {"expr": 1}}]}"#, true), Ok(vec![]));
    }
}
