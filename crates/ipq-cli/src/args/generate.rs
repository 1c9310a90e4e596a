//! The arguments of `ipq-cli completions` and `ipq-cli man`.

use std::path::PathBuf;

use clap_complete::Shell;

/// Print what a shell needs to complete the commands and options of this program.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = COMPLETIONS_AFTER_HELP)]
pub struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

const COMPLETIONS_AFTER_HELP: &str = "\
Examples:
  ipq-cli completions bash > ~/.local/share/bash-completion/completions/ipq-cli
  ipq-cli completions zsh > ~/.zfunc/_ipq-cli
  ipq-cli completions fish > ~/.config/fish/completions/ipq-cli.fish";

/// Print the manual page of this program, or write the pages of all commands.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = MAN_AFTER_HELP)]
pub struct ManArgs {
    /// Write a page for the program and one for each command into this folder, which is made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

const MAN_AFTER_HELP: &str = "\
Examples:
  ipq-cli man | man -l -
  ipq-cli man --dir /usr/local/share/man/man1";
