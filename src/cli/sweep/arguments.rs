//! What `hangup sweep` takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::find::Filters;

/// How it is called, in short.
pub(crate) const USAGE: &str =
    "hangup sweep (--file FILE | FILTERS …) [OPTIONS]\n       hangup sweep --resume ID [OPTIONS]";

/// What to tell about exit codes.
pub(crate) const EXIT_CODES: &str = "Exit codes: 0 everything to be cleared is gone, or there was nothing to do · 1 failed, nobody was \
     disconnected · 2 unusable arguments, list or filters, or not confirmed · 3 some were left alone, everything else is gone · \
     4 some are still there, or Genesys Cloud does not know them · 5 not finished: paused, or held until another caller starts it · \
     6 not known to have finished: the service does not answer. After 5 and 6: --resume ID";

#[derive(Debug, Args)]
pub(crate) struct SweepArguments {
    /// A list to clear: CSV with a column conversationId (and participantId), or one id per line; "-" for stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["filters", "resume"])]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) filters: Filters,
    /// Leave conversations with a live agent or user alone, even if a row names the participant
    #[arg(long, conflicts_with = "include_agents")]
    pub(super) skip_agents: bool,
    /// Disconnect customers even if an agent or user is live
    #[arg(long)]
    pub(super) include_agents: bool,
    /// End whole conversations: never; unconfirmed (those that --file lists as staying after an earlier run); always
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = SweepTeardown::Never, hide_possible_values = true)]
    pub(super) teardown: SweepTeardown,
    /// Clear at most this many, oldest first
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "resume")]
    pub(super) limit: Option<u32>,
    /// Do not ask for confirmation
    #[arg(long)]
    pub(super) yes: bool,
    /// Show what would be done, and stop
    #[arg(long, conflicts_with_all = ["resume", "dry_run"])]
    pub(super) preview: bool,
    /// Run with live reads and report what would have been done, without disconnecting anyone
    #[arg(long, conflicts_with = "resume")]
    pub(super) dry_run: bool,
    /// Resume a sweep that was paused or interrupted: the id of its job
    #[arg(long, value_name = "ID", conflicts_with = "filters")]
    pub(super) resume: Option<String>,
    /// The reason, for the audit
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// Where to write the report [default: sweep-ID.csv in this folder]
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Time zone for output, such as Europe/Berlin [default: that of this machine]
    #[arg(long, value_name = "ZONE")]
    pub(super) time_zone: Option<String>,
    /// Address of the service; if not given, the one that runs on this machine with this configuration
    #[arg(long, value_name = "URL")]
    pub(super) server: Option<String>,
    /// A file with a key that has the permissions search, read, disconnect and bulk (and teardown)
    #[arg(long, value_name = "FILE")]
    pub(super) key_file: Option<PathBuf>,
    /// How long to wait for a service that does not answer, for example while it restarts
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = humantime::parse_duration)]
    pub(super) patience: Duration,
    /// Most conversations in one job; more of them make several jobs
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) per_job: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SweepTeardown {
    Never,
    Unconfirmed,
    Always,
}
