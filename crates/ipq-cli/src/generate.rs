//! `ipq-cli completions` and `ipq-cli man`: made of the same definitions as the program itself.

use std::fs;
use std::io::{self, Write};

use clap::CommandFactory;

use crate::args::{Args, CompletionsArgs, ManArgs};
use crate::failure::Failure;

/// Runs `completions`.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<bool, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "ipq-cli", &mut script);
    io::stdout().write_all(&script)?;
    Ok(true)
}

/// Runs `man`.
pub(crate) fn man(args: &ManArgs) -> Result<bool, Failure> {
    let command = Args::command();
    if let Some(dir) = &args.dir {
        let failed = |error| Failure::writing(dir, error);
        fs::create_dir_all(dir).map_err(failed)?;
        clap_mangen::generate_to(command, dir).map_err(failed)?;
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        io::stdout().write_all(&page)?;
    }
    Ok(true)
}
