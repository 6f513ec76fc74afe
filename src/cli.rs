//! The commands, from arguments to exit codes: 0 done, 1 failed, 2 unusable arguments or configuration.

// std's macros panic when the reader has left, as in `hangup audit | head`. These end the process quietly.
macro_rules! print {
    ($($text:tt)*) => { $crate::cli::out::show(format_args!($($text)*)) };
}
macro_rules! println {
    () => { $crate::cli::out::show(format_args!("\n")) };
    ($($text:tt)*) => { $crate::cli::out::show(format_args!("{}\n", format_args!($($text)*))) };
}
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::cli::out::remark(format_args!("{}\n", format_args!($($text)*))) };
}

mod ask;
mod audit;
mod check;
mod config;
mod demo;
mod disconnect;
mod explain;
mod failure;
mod healthcheck;
mod jobs;
mod key;
mod live;
mod out;
mod sandbox;
mod serve;
mod service;
mod status;
mod sweep;
mod table;
mod text;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::runtime::Builder;

use crate::config::{Config, Surface};
use crate::telemetry;
use failure::Failure;

/// Disconnects one participant from a Genesys Cloud conversation and reports what really happened.
#[derive(Debug, Parser)]
#[command(name = "hangup", version, about)]
struct Arguments {
    /// A TOML file whose values override the defaults; the environment (HANGUP__SECTION__KEY) overrides both
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve,
    /// Run the service and the sandbox together, with a live conference to try: nothing to configure
    Demo {
        /// Disconnect one participant, show the participants before and after, and exit
        #[arg(long)]
        once: bool,
        /// Which ways to disconnect the sandbox offers: published, unpublished or both
        #[arg(long, value_name = "SURFACE", value_parser = surface)]
        surface: Option<Surface>,
    },
    /// Run the sandbox alone: a stand-in for Genesys Cloud
    Sandbox,
    /// Check configuration, hosts, login and permissions without changing anything; --prove tries a disconnect
    Check(check::CheckArguments),
    /// Disconnect one participant: show who is there, ask which one, wait, and report the result
    #[command(after_help = disconnect::EXIT_CODES)]
    Disconnect(disconnect::DisconnectArguments),
    /// Show how the running service is doing: token, rate limit, operation, mode, last errors
    Status(status::StatusArguments),
    /// List, show, start, pause, resume and cancel the jobs of a running service
    Jobs(jobs::JobsArguments),
    /// Clear many conversations: find them or take a list, preview, ask, disconnect, report
    #[command(after_help = sweep::EXIT_CODES, override_usage = sweep::USAGE)]
    Sweep(Box<sweep::SweepArguments>),
    /// Print every setting with its default and explanation, as a file to start from
    Config {
        /// Print every value in force and where it was set; secrets are not shown
        #[arg(long)]
        effective: bool,
    },
    /// Print a completion script for bash, zsh, fish, elvish or powershell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Filter and print the audit from the store, or from a file and its rotated predecessors: oldest first, with --server newest first
    Audit(audit::AuditArguments),
    /// Show all about one conversation: audit records, a live read, and what a disconnect would do now
    Explain(explain::ExplainArguments),
    /// Ask whether the service on this machine is alive
    Healthcheck {
        /// Ask /readyz instead of /livez
        #[arg(long)]
        ready: bool,
        /// Ask the sandbox instead of the service
        #[arg(long, conflicts_with = "ready")]
        sandbox: bool,
    },
    /// Make keys for callers
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key and print the block for the keys file
    New {
        /// Name of the caller
        name: String,
    },
}

fn surface(text: &str) -> Result<Surface, String> {
    match text {
        "published" => Ok(Surface::Published),
        "unpublished" => Ok(Surface::Unpublished),
        "both" => Ok(Surface::Both),
        _ => Err("use published, unpublished or both".to_owned()),
    }
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("hangup: {}", text::printable_lines(&failure.text));
            ExitCode::from(failure.code)
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let load = || Config::load(arguments.config.as_deref()).map_err(Failure::unusable);
    match arguments.command {
        Command::Serve => {
            let config = load()?;
            let guard = telemetry::install(&config.telemetry).map_err(Failure::unusable)?;
            block_on(serve::run(config, arguments.config.clone(), &guard))
        }
        Command::Demo { once, surface } => {
            let (mut config, set) =
                Config::load_with_origins(arguments.config.as_deref()).map_err(Failure::unusable)?;
            config.sandbox.surface = surface.unwrap_or(config.sandbox.surface);
            block_on(demo::run(config, once, |key| set.contains_key(key)))
        }
        Command::Sandbox => {
            let config = load()?;
            let _guard = telemetry::install(&config.telemetry).map_err(Failure::unusable)?;
            block_on(sandbox::run(config))
        }
        Command::Check(arguments) => block_on(check::run(load()?, arguments)),
        Command::Status(which) => block_on(status::run(which, load)),
        Command::Jobs(what) => block_on(jobs::run(what, load)),
        Command::Sweep(what) => block_on(sweep::run(*what, load)),
        Command::Disconnect(of) => block_on(disconnect::run(of, load)),
        Command::Config { effective: false } => {
            config::defaults();
            Ok(())
        }
        Command::Config { effective: true } => config::effective(arguments.config.as_deref()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "hangup", &mut script);
            print!("{}", String::from_utf8_lossy(&script));
            Ok(())
        }
        Command::Audit(arguments) => block_on(audit::run(arguments, load)),
        Command::Explain(arguments) => block_on(explain::run(arguments, load)),
        Command::Healthcheck { ready, sandbox } => {
            let question = match (ready, sandbox) {
                (_, true) => healthcheck::Question::Sandbox,
                (true, _) => healthcheck::Question::Ready,
                (false, false) => healthcheck::Question::Lives,
            };
            block_on(healthcheck::run(load()?, question))
        }
        Command::Key { command: KeyCommand::New { name } } => key::new(&name),
    }
}

/// More workers gain nothing: one carries thousands of disconnects a second, and an org allows some five.
const MOST_WORKERS: usize = 4;

fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // With one core a second thread would only cost switches between the two.
    let mut builder = if cores == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(cores.min(MOST_WORKERS)).enable_all();
    let runtime = builder.build().map_err(|e| Failure::failed(format!("the runtime does not start: {e}")))?;
    runtime.block_on(command)
}
