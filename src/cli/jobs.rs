//! `hangup jobs`: lists and shows the jobs of a running service, and starts, pauses, resumes and cancels them.

use std::path::PathBuf;

use http::Method;
use serde_json::Value;

use super::healthcheck::main_url;
use super::service::Service;
use super::status::word;
use super::text::{Tone, toned};
use super::{Failure, table};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct JobsArguments {
    #[command(subcommand)]
    action: Option<JobAction>,
    /// Address of the service; if not given, the one that runs on this machine with this configuration
    #[arg(long, value_name = "URL", global = true)]
    server: Option<String>,
    /// A file with your caller key
    #[arg(long, value_name = "FILE", global = true)]
    key_file: Option<PathBuf>,
    /// Print the service's answer as one line of JSON, for scripts
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum JobAction {
    /// List the newest jobs that you may see (the default)
    List,
    /// Show the progress of a job
    Show {
        /// The job's id
        id: String,
    },
    /// Start a job that is held or scheduled
    Start {
        /// The job's id
        id: String,
    },
    /// Pause a job: no more of its items are started
    Pause {
        /// The job's id
        id: String,
    },
    /// Resume a paused job
    Resume {
        /// The job's id
        id: String,
    },
    /// Cancel the items of a job that have not been started
    Cancel {
        /// The job's id
        id: String,
    },
}

/// Asks and prints.
pub(super) async fn run(
    arguments: JobsArguments,
    config: impl FnOnce() -> Result<Config, Failure>,
) -> Result<(), Failure> {
    let base = match &arguments.server {
        Some(server) => server.clone(),
        None => main_url(&config()?),
    };
    let service = Service::remote(&base, arguments.key_file.as_deref())?;
    let (method, path) = match arguments.action.unwrap_or(JobAction::List) {
        JobAction::List => (Method::GET, "/jobs".to_owned()),
        JobAction::Show { id } => (Method::GET, format!("/jobs/{id}")),
        JobAction::Start { id } => (Method::POST, format!("/jobs/{id}/start")),
        JobAction::Pause { id } => (Method::POST, format!("/jobs/{id}/pause")),
        JobAction::Resume { id } => (Method::POST, format!("/jobs/{id}/resume")),
        JobAction::Cancel { id } => (Method::POST, format!("/jobs/{id}/cancel")),
    };
    let reply = service.ask(method, &path, None, None).await?;
    if !reply.is_good() {
        return Err(Failure::failed(format!("{base}: {}", reply.problem())));
    }
    if arguments.json {
        println!("{}", reply.body);
    } else {
        print!("{}", shown(&reply.body));
    }
    Ok(())
}

/// A list of jobs, or one job.
fn shown(body: &Value) -> String {
    let cell = |job: &Value, member: &str| word(job.get(member).unwrap_or(&Value::Null));
    if let Some(jobs) = body.get("jobs").and_then(Value::as_array) {
        if jobs.is_empty() {
            return "No jobs that you may see\n".to_owned();
        }
        let row = |job: &Value| ["state", "id", "total", "created", "name"].map(|member| cell(job, member)).to_vec();
        let rows: Vec<_> = jobs.iter().map(row).collect();
        return table::render(&["STATE", "ID", "ITEMS", "MADE", "NAME"], &rows);
    }
    let tone = match body.get("state").and_then(Value::as_str) {
        Some("done") => Tone::Good,
        Some("paused" | "cancelled") => Tone::Bad,
        _ => Tone::Doubtful,
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for member in [
        "id",
        "name",
        "createdBy",
        "total",
        "pending",
        "ratePerMinute",
        "etaSeconds",
        "pausedBecause",
        "created",
        "ended",
    ] {
        rows.push(vec![member.to_owned(), cell(body, member)]);
    }
    for (outcome, number) in body.get("counts").and_then(Value::as_object).into_iter().flatten() {
        rows.push(vec![outcome.clone(), word(number)]);
    }
    format!("{}\n\n{}", toned(tone, &cell(body, "state")), table::render(&["WHAT", "NOW"], &rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_has_a_line_for_each_job_and_one_job_its_counts() {
        let list =
            shown(&json!({"jobs": [{"id": "7d9f3a52-3c1b-4e55-9a0e-6a4b1f0c2d3e", "state": "running", "total": 3,
            "created": "2026-11-25T06:00:00Z", "name": "mon\nday"}]}));
        assert!(list.contains("7d9f3a52-3c1b-4e55-9a0e-6a4b1f0c2d3e") && list.lines().count() == 2, "{list}");
        let one = shown(&json!({"state": "paused", "counts": {"upstream_forbidden": 20}, "pausedBecause": "why"}));
        assert!(one.starts_with("paused") && one.contains("upstream_forbidden  20") && one.contains("why"), "{one}");
        assert_eq!(shown(&json!({"jobs": []})), "No jobs that you may see\n");
    }
}
