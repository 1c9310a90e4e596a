//! `cargo xtask install`: the program with what belongs to it, built and put in its place.

use std::path::Path;
use std::process::Command;

use crate::place::{Args, Place};
use crate::tool::{Outcome, run as call};

/// Completions, by the shell, where each looks for them below `share`.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "bash-completion/completions/ipq-cli"),
    ("fish", "fish/vendor_completions.d/ipq-cli.fish"),
    ("zsh", "zsh/site-functions/_ipq-cli"),
];

/// What `ipq-cli run` puts into programs.
const PRELOADED: &str = "libipq_preload.so";

/// Builds and installs.
pub(crate) fn run(args: &Args) -> Outcome {
    let place = args.place()?;
    let built = args.build("--package ipq-cli --package ipq-preload")?;
    let program = built.join("ipq-cli");
    place.copy_program(&program, "bin/ipq-cli")?;
    place.copy(&built.join(PRELOADED), Path::new("lib/ipq").join(PRELOADED))?;
    let mut pages = Command::new(&program);
    pages.args(["man", "--dir"]).arg(place.directory("share/man/man1")?);
    call(pages)?;
    for (shell, name) in COMPLETIONS {
        complete(&program, shell, &place, &Path::new("share").join(name))?;
    }
    println!("installed ipq-cli in {}", place.root.display());
    Ok(())
}

fn complete(program: &Path, shell: &str, place: &Place, name: &Path) -> Outcome {
    let output = Command::new(program).args(["completions", shell]).output();
    let output = output.map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    if !output.status.success() {
        return Err(format!("ipq-cli completions {shell}: {}", output.status));
    }
    place.write(name, &output.stdout)
}
