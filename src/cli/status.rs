//! `hangup status`: the running service at a glance, printed from its `GET /status`.

use std::path::PathBuf;

use http::Method;
use serde_json::Value;

use super::healthcheck::{Question, url};
use super::service::{Service, ServiceReply};
use super::text::{Tone, printable, toned};
use super::{Failure, table};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct StatusArguments {
    /// Address of the service; if not given, the one that runs on this machine with this configuration
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// A file with a key that has the permission "operate"
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Print the service's answer as one line of JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// Asks and prints. Fails when the service is not ready.
pub(super) async fn run(
    arguments: StatusArguments,
    config: impl FnOnce() -> Result<Config, Failure>,
) -> Result<(), Failure> {
    let base = match &arguments.server {
        Some(server) => server.clone(),
        None => url(&config()?, Question::Ready)?.0,
    };
    let service = Service::remote(&base, arguments.key_file.as_deref())?;
    let reply = service.ask(Method::GET, "/status", None, None).await?;
    if !reply.is_good() {
        return Err(Failure::failed(format!("{base}: {}", reply.problem())));
    }
    if arguments.json {
        println!("{}", reply.body);
    } else {
        print!("{}", shown(&reply));
    }
    if reply.body.get("ready").and_then(Value::as_bool) == Some(true) {
        return Ok(());
    }
    Err(Failure::failed("the service is not ready"))
}

fn shown(reply: &ServiceReply) -> String {
    let body = &reply.body;
    let at = |path: &str| body.pointer(path).unwrap_or(&Value::Null);
    let value = |path: &str| word(at(path));
    let mut text = match at("/ready") {
        Value::Bool(true) => format!("{}: it disconnects people as asked\n", toned(Tone::Good, "Ready")),
        _ => format!("{}: {}\n", toned(Tone::Bad, "Not ready"), printable(&list(at("/reasons")))),
    };
    if at("/mode") == "observe" {
        text.push_str(&format!("{}: it reads, and disconnects nobody\n", toned(Tone::Doubtful, "Observe mode")));
    }
    let token = match at("/token") {
        Value::Null => "none yet".to_owned(),
        _ if at("/token/usable") == false => "not usable".to_owned(),
        _ => format!("usable for {} s more", value("/token/expiresInSeconds")),
    };
    let window = match at("/window/allowed") {
        Value::Null => "not known yet".to_owned(),
        _ => format!(
            "{} of {} left, resets in {} s{}, {} waiting",
            value("/window/remaining"),
            value("/window/allowed"),
            value("/window/resetSeconds"),
            if at("/window/closed") == true { ", closed" } else { "" },
            value("/window/waiting")
        ),
    };
    let rows = [
        ("version", value("/version")),
        ("instance", value("/instance")),
        ("started", format!("{} ({} s ago)", value("/started"), value("/uptimeSeconds"))),
        ("mode", value("/mode")),
        ("token", token),
        ("rate limit", window),
        ("operation", value("/operation")),
        ("in flight", format!("{} of {}", value("/inFlight/now"), value("/inFlight/limit"))),
        ("connections", value("/connections")),
        ("audit", format!("{} written, {} failures", value("/audit/written"), value("/audit/failures"))),
        ("store", format!("{}, {}", value("/store/kind"), if at("/store/up") == true { "up" } else { "out of reach" })),
        (
            "jobs",
            format!(
                "{} running, {} waiting, {} paused; {} items queued, {} under way",
                value("/jobs/running"),
                value("/jobs/waiting"),
                value("/jobs/paused"),
                value("/jobs/itemsQueued"),
                value("/jobs/itemsLeased")
            ),
        ),
        ("keys", value("/keysTotal")),
    ];
    let rows: Vec<_> = rows.map(|(name, value)| vec![name.to_owned(), value]).into();
    text.push_str(&format!("\n{}", table::render(&["WHAT", "NOW"], &rows)));
    text.push_str(&members(
        "Last errors",
        at("/lastErrors"),
        &["time", "code", "route", "upstreamStatus", "requestId"],
    ));
    text.push_str(&members("Keys", at("/keys"), &["name", "mode", "rate", "expires", "lastUsed", "permissions"]));
    text
}

/// A list of objects as a table of these members.
fn members(title: &str, list: &Value, names: &[&str]) -> String {
    let head: Vec<String> = names.iter().map(|name| name.to_uppercase()).collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let row = |object: &Value| names.iter().map(|name| word(&object[*name])).collect::<Vec<_>>();
    let rows: Vec<_> = list.as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() { String::new() } else { format!("\n{title}:\n\n{}", table::render(&head, &rows)) }
}

fn list(texts: &Value) -> String {
    texts.as_array().into_iter().flatten().map(word).collect::<Vec<_>>().join("; ")
}

pub(super) fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(_) => list(value).replace("; ", ", "),
        other => other.to_string(),
    }
}
