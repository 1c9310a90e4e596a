//! Where an installation goes: [`Place`].

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::tool::{Outcome, cargo, root, run};

/// Where to install.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where it is to live: DIR/bin, DIR/lib, DIR/include and DIR/share.
    #[arg(long, value_name = "DIR")]
    pub(crate) prefix: PathBuf,
    /// Put everything below this directory instead, for a package to be made of it.
    #[arg(long, value_name = "DIR")]
    destdir: Option<PathBuf>,
    /// The profile of cargo to build with.
    #[arg(long, value_name = "NAME", default_value = "release")]
    profile: String,
}

impl Args {
    /// What programs are to be measured with.
    pub(crate) fn release(prefix: PathBuf) -> Self {
        Self { prefix, destdir: None, profile: "release".to_owned() }
    }

    /// The place that they say.
    pub(crate) fn place(&self) -> Result<Place, String> {
        let inside = self.prefix.strip_prefix("/");
        let inside =
            inside.map_err(|_| format!("--prefix {}: must begin with /", self.prefix.display()))?;
        let root = self.destdir.as_ref().map(|destdir| destdir.join(inside));
        Ok(Place { root: root.unwrap_or_else(|| self.prefix.clone()) })
    }

    /// Has cargo build what `line` says; returns the directory that it is in.
    pub(crate) fn build(&self, line: &str) -> Result<PathBuf, String> {
        let mut build = cargo("build --quiet --locked");
        build.args(line.split_whitespace()).args(["--profile", &self.profile]);
        run(build)?;
        let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let directory = if self.profile == "dev" { "debug" } else { &self.profile };
        Ok(root().join(target).join(directory))
    }
}

/// Where things are put.
pub(crate) struct Place {
    pub(crate) root: PathBuf,
}

impl Place {
    /// A directory, made if it is not there.
    pub(crate) fn directory(&self, name: impl AsRef<Path>) -> Result<PathBuf, String> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).map_err(|error| at(&path, &error))?;
        Ok(path)
    }

    pub(crate) fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Outcome {
        self.put(name.as_ref(), |fresh| fs::write(fresh, bytes))
    }

    pub(crate) fn copy(&self, from: &Path, to: impl AsRef<Path>) -> Outcome {
        let bytes = fs::read(from).map_err(|error| at(from, &error))?;
        self.write(to, &bytes)
    }

    /// A copy that can be run.
    pub(crate) fn copy_program(&self, from: &Path, to: impl AsRef<Path>) -> Outcome {
        let bytes = fs::read(from).map_err(|error| at(from, &error))?;
        self.put(to.as_ref(), |fresh| {
            fs::write(fresh, &bytes)?;
            fs::set_permissions(fresh, fs::Permissions::from_mode(0o755))
        })
    }

    /// A symbolic link of this name.
    pub(crate) fn link(&self, to: &Path, name: &Path) -> Outcome {
        let path = self.root.join(name);
        let _ = fs::remove_file(&path);
        symlink(to, &path).map_err(|error| at(&path, &error))
    }

    /// Has `fill` write a file, and gives it its name when it is whole: programs that run with the present one keep it.
    fn put(&self, name: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> Outcome {
        let directory = self.directory(name.parent().unwrap_or_else(|| Path::new("")))?;
        let path = directory.join(name.file_name().unwrap_or_default());
        let fresh =
            directory.join(format!(".{}.new", name.file_name().unwrap_or_default().display()));
        let written = fill(&fresh).and_then(|()| fs::rename(&fresh, &path));
        written.map_err(|error| at(&path, &error))
    }
}

/// What went wrong, and where.
pub(crate) fn at(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
