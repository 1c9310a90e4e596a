//! The packages of the workspace, as cargo has them: [`packages`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::tool::{cargo, output};

/// A package of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its features, and what each of them brings along.
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) targets: Vec<Target>,
    /// The registries it may go to; `None` is any.
    publish: Option<Vec<String>>,
}

/// A library, a program, a test.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

fn metadata() -> Result<Metadata, String> {
    let said = output(cargo("metadata --no-deps --format-version 1 --locked"))?;
    serde_json::from_str(&said).map_err(|error| format!("cargo metadata: {error}"))
}

/// All of them, sorted by name.
pub(crate) fn packages() -> Result<Vec<Package>, String> {
    let mut packages = metadata()?.packages;
    packages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(packages)
}

/// Where cargo builds.
pub(crate) fn target_directory() -> Result<PathBuf, String> {
    metadata().map(|metadata| metadata.target_directory)
}

impl Package {
    /// Whether it is for others than this project.
    pub(crate) fn is_published(&self) -> bool {
        self.publish.is_none()
    }

    /// Whether there is a program in it.
    pub(crate) fn is_program(&self) -> bool {
        self.targets.iter().any(|target| target.is("bin"))
    }

    /// Its library, if Rust programs can have it.
    pub(crate) fn library(&self) -> Option<&Target> {
        self.targets.iter().find(|target| target.is("lib"))
    }
}

impl Target {
    fn is(&self, kind: &str) -> bool {
        self.kind.iter().any(|its| its == kind)
    }
}
