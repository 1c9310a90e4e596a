//! The crates with features of their own, with every set of them: beside others, a workspace builds them with whatever any
//! member wants.

use std::env;

use crate::packages::{Package, packages};
use crate::tool::{Outcome, cargo, run as call};

/// Has `task` of cargo, `check` or `clippy`, look at all of them. Warnings are errors.
pub(crate) fn run(task: &str) -> Outcome {
    for package in packages()? {
        for features in sets(&package).iter().filter(|_| !names(&package).is_empty()) {
            println!("{}: {}", package.name, if features.is_empty() { "none" } else { features });
            let mut check = cargo(task);
            check.args(["--quiet", "--locked", "--all-targets", "--no-default-features"]);
            check.args(["--package", &package.name, "--features", features]);
            let flags = env::var("RUSTFLAGS").unwrap_or_default();
            check.env("RUSTFLAGS", format!("{flags} -Dwarnings"));
            call(check).map_err(|error| format!("{} with {features:?}: {error}", package.name))?;
        }
    }
    Ok(())
}

/// The features that one can ask for.
fn names(package: &Package) -> Vec<&str> {
    package.features.keys().map(String::as_str).filter(|&name| name != "default").collect()
}

/// Every set of features, the empty one among them, as cargo takes it.
fn sets(package: &Package) -> Vec<String> {
    let names = names(package);
    let is_in = |set: u32, position: usize| set >> position & 1 == 1;
    let set = |set| {
        let chosen = names.iter().enumerate().filter(|(position, _)| is_in(set, *position));
        chosen.map(|(_, &name)| name).collect::<Vec<_>>().join(",")
    };
    (0..1 << names.len()).map(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(features: &str) -> Package {
        let text = format!(r#"{{"name": "a", "features": {features}, "targets": []}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn every_set_of_features_is_looked_at() {
        assert_eq!(sets(&package("{}")), [""]);
        let three = package(r#"{"default": ["x"], "x": [], "y": ["dep:y"], "z": []}"#);
        assert_eq!(sets(&three), ["", "x", "y", "x,y", "z", "x,z", "y,z", "x,y,z"]);
    }

    #[test]
    fn the_workspace_has_features_to_look_at() {
        let packages = packages().unwrap();
        let ipq = packages.iter().find(|package| package.name == "ipq").unwrap();
        assert!(names(ipq).contains(&"tokio"));
    }
}
