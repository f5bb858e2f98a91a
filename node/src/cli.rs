//! The command line: parses arguments, dispatches, and turns errors into exit codes.
//!
//! Exit codes: 0 done, 1 the work failed (a model is refused, rows differ), 2 wrong use.

use std::fmt;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use serde_json::Value;

use crate::{
    demo, dev, doctor, genesis, infer, keys, model,
    network::{init, localnet},
    node, receipt, replay,
};

/// On-chain inference that every validator recomputes.
#[derive(Parser)]
#[command(name = "assay", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check, pack, run, measure and publish models.
    #[command(subcommand)]
    Model(model::Command),
    /// Ask a node's model, without a transaction.
    #[command(after_help = "Example: assay infer volatility --input rows.csv --text")]
    Infer(infer::Args),
    /// Show it all: four validators, a model, a loan, a proof, a lie.
    #[command(after_help = "Example: assay demo --once")]
    Demo(demo::Options),
    /// Run a chain for development, with anvil's methods.
    #[command(after_help = "Example: assay dev --model credit.assay --block-time 2")]
    Dev(Box<dev::Options>),
    /// Run a node of a network; import, serve and export chains.
    #[command(subcommand)]
    Node(node::Command),
    /// Run a network on this machine, a process for each validator.
    #[command(after_help = "Example: assay localnet --validators 4")]
    Localnet(localnet::Options),
    /// Make the folder of a new node: keys and a configuration.
    #[command(after_help = "Example: assay init alpha --name alpha")]
    Init(init::Options),
    /// Check whether this machine is fit for a node.
    #[command(after_help = "Example: assay doctor --validator --config alpha/config.toml")]
    Doctor(doctor::Options),
    /// Fetch the proof of an inference from a node.
    #[command(after_help = "Example: assay receipt 0x8f1c... --out receipt.json")]
    Receipt(receipt::Fetch),
    /// Check such a proof: signatures, bytes, with the model the bits.
    #[command(
        after_help = "Example: assay verify receipt.json --genesis genesis.json --model volatility.assay"
    )]
    Verify(receipt::Verify),
    /// Execute a block or transaction again, compare its inferences.
    #[command(after_help = "Example: assay replay 12 --datadir node-0/data")]
    Replay(replay::Options),
    /// Make and show validators' keys.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Write the genesis of a network.
    #[command(
        after_help = "Example: assay genesis --chain-id 7171 --validator a.json --validator b.json --out genesis.json"
    )]
    Genesis(genesis::Options),
    /// Write the completions of a shell to standard output.
    #[command(after_help = "Example: assay completions bash > /etc/bash_completion.d/assay")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Who looks for which command; a test holds that every command is in it.
const READERS: &[(&str, &[&str])] = &[
    ("", &["demo"]),
    ("Contract authors", &["dev", "infer"]),
    ("Risk teams", &["model"]),
    (
        "Validators",
        &["init", "doctor", "node", "localnet", "keys", "genesis"],
    ),
    ("Auditors", &["receipt", "verify", "replay"]),
    ("", &["completions", "help"]),
];

/// Makes the command line, its commands grouped by who looks for them.
fn command() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    let mut text = String::from("{about}\n\n{usage-heading} {usage}\n\n");
    for (reader, names) in READERS {
        match *reader {
            "" => {}
            reader => text.push_str(&format!("{reader}:\n")),
        }
        for name in *names {
            let about = command
                .find_subcommand(name)
                .and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!("  {name:<12} {about}\n"));
        }
    }
    text.push_str("\n`assay COMMAND --help` has options and an example; `-V` is the version.");
    Cli::command().help_template(text)
}

/// Prints what was done: as JSON for programs, as text for people.
pub(crate) fn say(as_json: bool, value: &Value, text: impl fmt::Display) {
    match as_json {
        true => println!("{value}"),
        false => println!("{text}"),
    }
}

/// Says what went wrong and what to do about it: one line each.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// Reports work that failed.
    pub(crate) fn failed(what: impl fmt::Display) -> Failure {
        Failure {
            what: what.to_string(),
            hint: None,
            code: 1,
        }
    }

    /// Reports wrong use of the command.
    pub(crate) fn usage(what: impl fmt::Display) -> Failure {
        Failure {
            what: what.to_string(),
            hint: None,
            code: 2,
        }
    }

    /// Adds what to do next, where nothing better is known.
    pub(crate) fn or_hint(self, hint: impl fmt::Display) -> Failure {
        if self.hint.is_some() {
            self
        } else {
            self.hint(hint)
        }
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Failure {
        self.hint = Some(hint.to_string());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Ends the process without a word when whoever reads its output went away, as `| head` does.
fn end_with_the_reader() {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>();
        if said.is_some_and(|said| said.starts_with("failed printing to stdout")) {
            std::process::exit(0);
        }
        otherwise(panic);
    }));
}

/// Runs the command line of this process.
pub(crate) fn run() -> ExitCode {
    end_with_the_reader();
    let matches = command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let done = match cli.command {
        Command::Model(command) => model::run(command),
        Command::Infer(args) => infer::run(&args),
        Command::Demo(options) => demo::run(&options),
        Command::Dev(options) => dev::run(&options),
        Command::Node(command) => node::run(command),
        Command::Init(options) => init::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Localnet(options) => localnet::run(&options),
        Command::Receipt(args) => receipt::fetch(&args),
        Command::Verify(args) => receipt::verify(&args),
        Command::Replay(options) => replay::run(&options),
        Command::Keys(command) => keys::run(command),
        Command::Genesis(options) => genesis::run(&options),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "assay", &mut script);
            print!("{}", String::from_utf8_lossy(&script));
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.what);
            if let Some(hint) = failure.hint {
                eprintln!("  try: {hint}");
            }
            ExitCode::from(failure.code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists the commands that do something, with their names.
    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        for one in command.get_subcommands() {
            let path = format!("{path} {}", one.get_name());
            match one.has_subcommands() {
                true => leaves(one, &path, found),
                false => found.push((path, one.clone())),
            }
        }
    }

    #[test]
    fn first_help_names_every_command_and_fits_a_screen() {
        let text = command().render_help().to_string();
        let mut listed: Vec<&str> = READERS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        listed.retain(|name| *name != "help");
        listed.sort_unstable();
        let cli = Cli::command();
        let mut commands: Vec<&str> = cli.get_subcommands().map(clap::Command::get_name).collect();
        commands.sort_unstable();
        assert_eq!(listed, commands);
        assert!(text.lines().count() <= 26, "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }

    #[test]
    fn every_command_has_an_example() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "assay", &mut found);
        for (path, command) in found {
            let after = command.get_after_help().map(ToString::to_string);
            let example = after.unwrap_or_default();
            assert!(
                example.contains(&format!("Example: {path}")),
                "{path}: {example:?}"
            );
        }
    }
}
