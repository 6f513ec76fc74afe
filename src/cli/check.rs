//! `hangup check`: is everything right before it has to be? Changes nothing anywhere.

mod files;
mod network;
mod permissions;
mod report;

use serde_json::json;

use super::Failure;
use super::config::redacted;
use super::live::{Upstream, participants};
use crate::config::Config;
use crate::disconnect::look::Read;
use crate::genesys::error::CallError;
use crate::ids::ConversationId;
use crate::server::tls::install_crypto_provider;
use report::{Item, Report};

/// Checks configuration, files, hosts, login and permissions, and reads a conversation if one is named.
pub(super) async fn run(config: Config, conversation: Option<ConversationId>, json: bool) -> Result<(), Failure> {
    let shown = redacted(&config);
    if !json {
        println!("{}", as_toml(&shown)?);
        println!(
            "# genesys.client_secret: {}",
            if config.genesys.client_secret.is_some() { "set, not shown" } else { "not set" }
        );
        println!("# sandbox.client_secret: set, not shown\n");
    }
    let mut report = Report::default();
    install_crypto_provider();
    let usable = config.check_serve();
    match &usable {
        Ok(()) => report.add(Item::ok("configuration", "valid")),
        Err(error) => report.add(Item::fail(
            "configuration",
            error.to_string(),
            "set what is named; config/default.toml lists all",
        )),
    }
    files::check(&config, &mut report);
    let mut shown_conversation = None;
    if usable.is_ok() {
        shown_conversation = upstream(&config, conversation, &mut report).await;
    }
    if json {
        let document = json!({
            "ok": !report.failed(), "version": env!("CARGO_PKG_VERSION"), "checks": report.items(),
            "configuration": shown, "conversation": shown_conversation.as_ref().map(|shown| &shown.json),
        });
        println!("{document}");
    } else {
        println!("{}", report.table());
        if let Some(shown) = shown_conversation {
            println!("{}", shown.text);
        }
    }
    match usable {
        Err(error) => Err(Failure::unusable(error)),
        Ok(()) if report.failed() => Err(Failure::failed(report.summary())),
        Ok(()) => Ok(()),
    }
}

/// All about the upstream, in the order in which one thing needs the other.
async fn upstream(config: &Config, conversation: Option<ConversationId>, report: &mut Report) -> Option<Shown> {
    if !network::check(config, report).await {
        for name in ["login", "permission to view", "permission to disconnect"] {
            report.add(Item::skipped(name, "its host does not answer"));
        }
        return None;
    }
    let upstream = match Upstream::start(config) {
        Ok(upstream) => upstream,
        Err(error) => {
            report.add(Item::fail("login", error, "correct the setting that is named"));
            return None;
        }
    };
    if let Err(error) = upstream.log_in().await {
        report.add(Item::fail("login", error.to_string(), login_remedy(&error)));
        for name in ["permission to view", "permission to disconnect"] {
            report.add(Item::skipped(name, "there is no token"));
        }
        return None;
    }
    report.add(Item::ok("login", "a token was granted"));
    permissions::check(config, &upstream, report).await;
    match conversation {
        Some(cid) => show(&upstream, cid, report).await,
        None => None,
    }
}

fn login_remedy(error: &CallError) -> &'static str {
    use crate::genesys::token::LoginFailure::{Invalid, Rejected, Secret, Throttled, Unavailable};
    match error {
        CallError::NoToken { failure, .. } => match failure {
            Rejected(_) => {
                "check client id, secret and region; the client must be of the kind Client Credentials, and active"
            }
            Throttled(_) => "wait; somebody logs in too often with this client",
            Unavailable(_) => {
                "check the network, genesys.region and genesys.proxy, and the status page of Genesys Cloud"
            }
            Invalid(_) => "check genesys.login_url; something else answers there",
            Secret(_) => "check genesys.client_secret_file and its permissions",
        },
        _ => "check the network, and try again",
    }
}

/// A conversation, for people and for programs.
struct Shown {
    text: String,
    json: serde_json::Value,
}

/// Who could be dropped from a live conversation.
async fn show(upstream: &Upstream, cid: ConversationId, report: &mut Report) -> Option<Shown> {
    const NAME: &str = "conversation";
    let seen = match upstream.read(cid).await {
        Ok(seen) => seen,
        Err(problem) => {
            report.add(Item::fail(NAME, problem.code.title(), &problem.detail));
            return None;
        }
    };
    let conversation = match seen.read {
        Read::Found(conversation) => conversation,
        Read::NotFound => {
            let text = format!("{cid} is not known");
            report.add(Item::fail(NAME, text, "it ended some time ago, or belongs to another region or org"));
            return None;
        }
        Read::Hidden(problem) => {
            report.add(Item::fail(NAME, problem.code.title(), &problem.detail));
            return None;
        }
    };
    let state = if conversation.ended() { "ended" } else { "active" };
    report.add(Item::ok(NAME, format!("{cid} is {state}")));
    let people: Vec<_> = conversation
        .participants
        .iter()
        .map(|p| {
            let droppable = p.is_live() && !conversation.ended();
            json!({"id": p.id, "purpose": p.purpose, "name": p.name, "state": p.state(), "droppable": droppable})
        })
        .collect();
    let text = format!("conversation {cid}: {state}\n\n{}", participants(&conversation, None));
    Some(Shown { text, json: json!({"id": cid.to_string(), "state": state, "participants": people}) })
}

/// As the configuration file is written; what is not set is left out.
fn as_toml(shown: &serde_json::Value) -> Result<String, Failure> {
    fn without_null(value: &serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Object(members) => members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), without_null(value)))
                .collect(),
            other => other.clone(),
        }
    }
    toml::to_string(&without_null(shown))
        .map_err(|e| Failure::failed(format!("the configuration cannot be shown: {e}")))
}
