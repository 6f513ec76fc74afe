//! `hangup check`: finds what is wrong before the service is needed. Changes nothing, unless it is asked for a proof.

mod between;
mod files;
mod network;
mod permissions;
mod prove;
mod redact;
mod report;

use serde_json::json;

use super::config::redacted;
use super::live::{LiveUpstream, participants};
use super::text::printable_lines;
use super::{Failure, ask};
use crate::config::Config;
use crate::crypto_provider;
use crate::disconnect::look::Read;
use crate::genesys::error::CallError;
use crate::ids::ConversationId;
use prove::Proof;
use report::{CheckLine, Report};

/// What is asked of a check.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArguments {
    /// Read this live conversation and show who could be disconnected
    #[arg(long, value_name = "ID")]
    conversation: Option<ConversationId>,
    /// Disconnect people in this conversation, which you made for this, and report what this org really does
    #[arg(long, value_name = "ID", conflicts_with = "conversation")]
    prove: Option<ConversationId>,
    /// Do not ask before --prove disconnects anybody
    #[arg(long, requires = "prove")]
    yes: bool,
    /// Print one JSON document, for scripts
    #[arg(long)]
    json: bool,
}

/// Checks configuration, files, hosts, login and permissions, and reads a conversation or proves in it if one is named.
pub(super) async fn run(config: Config, arguments: CheckArguments) -> Result<(), Failure> {
    if let Some(cid) = arguments.prove
        && !arguments.yes
        && !arguments.json
        && ask::is_possible()
    {
        ask::confirm(&format!("This disconnects people in conversation {cid}. Was it made for this?"))?;
    }
    let shown = redacted(&config);
    let mut report = Report::default();
    crypto_provider::install();
    let usable = config.check_serve();
    match &usable {
        Ok(()) => report.add(CheckLine::ok("configuration", "valid")),
        Err(error) => report.add(CheckLine::fail(
            "configuration",
            error.to_string(),
            "set what is named; `hangup config` explains every key",
        )),
    }
    files::check(&config, &mut report);
    let mut named = CheckedConversation::default();
    if usable.is_ok() {
        named = upstream(&config, &arguments, &mut report).await;
    }
    if arguments.json {
        let document = json!({
            "ok": !report.failed(), "version": env!("CARGO_PKG_VERSION"), "checks": report.items(),
            "configuration": shown, "conversation": named.conversation.as_ref().map(|shown| &shown.json),
            "proof": named.proof,
        });
        println!("{document}");
    } else {
        println!("{}\n\n{}", report.verdict(), report.table());
        if let Some(conversation) = named.conversation {
            println!("{}", conversation.text);
        }
        if let Some(proof) = named.proof {
            println!("{}", proof.text());
        }
        println!("# The configuration in force (`hangup config --effective` shows where each value comes from)\n");
        println!("{}", printable_lines(&as_toml(&shown)?));
        let secret = if config.genesys.client_secret.is_some() { "set, not shown" } else { "not set" };
        println!("# genesys.client_secret: {secret}\n# sandbox.client_secret: set, not shown");
    }
    match usable {
        Err(error) => Err(Failure::unusable(error)),
        Ok(()) if report.failed() => Err(Failure::failed(report.summary())),
        Ok(()) => Ok(()),
    }
}

/// What was found out about the conversation that was named.
#[derive(Default)]
struct CheckedConversation {
    conversation: Option<ShownConversation>,
    proof: Option<Proof>,
}

/// All about the upstream, in the order in which one thing needs the other.
async fn upstream(config: &Config, arguments: &CheckArguments, report: &mut Report) -> CheckedConversation {
    if !network::check(config, report).await {
        // A secret that is missing here is worth knowing even where no login can be tried.
        let secret = config.genesys.client_secret_file.as_ref();
        let missing = secret.and_then(|path| crate::files::read("genesys.client_secret_file", path).err());
        report.add(match missing {
            Some(error) => CheckLine::fail("login", error, "put the secret of the OAuth client into this file"),
            None => CheckLine::skipped("login", "its host does not answer"),
        });
        for name in ["permission to view", "permission to disconnect"] {
            report.add(CheckLine::skipped(name, "its host does not answer"));
        }
        return CheckedConversation::default();
    }
    let upstream = match LiveUpstream::start(config) {
        Ok(upstream) => upstream,
        Err(error) => {
            report.add(CheckLine::fail("login", error, "correct the setting that is named"));
            return CheckedConversation::default();
        }
    };
    if let Err(error) = upstream.log_in().await {
        report.add(CheckLine::fail("login", error.to_string(), login_remedy(&error)));
        for name in ["permission to view", "permission to disconnect"] {
            report.add(CheckLine::skipped(name, "there is no token"));
        }
        return CheckedConversation::default();
    }
    report.add(CheckLine::ok("login", "a token was granted"));
    permissions::check(config, &upstream, report).await;
    match (arguments.conversation, arguments.prove) {
        (Some(cid), _) => CheckedConversation { conversation: show(&upstream, cid, report).await, proof: None },
        (None, Some(cid)) => CheckedConversation { conversation: None, proof: proven(&upstream, cid, report).await },
        (None, None) => CheckedConversation::default(),
    }
}

/// What a proof came to.
async fn proven(upstream: &LiveUpstream, cid: ConversationId, report: &mut Report) -> Option<Proof> {
    const NAME: &str = "proof";
    match prove::run(upstream, cid).await {
        Ok(proof) => {
            let remedy = "look at what was answered, and at the permissions and divisions of the OAuth client's role";
            report.add(if proof.worked() {
                CheckLine::ok(NAME, proof.verdict())
            } else {
                CheckLine::fail(NAME, proof.verdict(), remedy)
            });
            Some(proof)
        }
        Err(why) => {
            report.add(CheckLine::fail(
                NAME,
                why,
                "name a live conversation that was made for this, with few participants",
            ));
            None
        }
    }
}

fn login_remedy(error: &CallError) -> &'static str {
    use crate::genesys::token::LoginFailure::{Invalid, Rejected, Secret, Throttled, Unavailable};
    match error {
        CallError::NoToken { failure, .. } => match failure {
            Rejected(_) => {
                "check client id, secret and region; the client must be of the kind Client Credentials, and active; if it has an IP \
                 allow-list, this machine's public address must be on it"
            }
            Throttled(_) => "wait; other programs log in too often with this client",
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
struct ShownConversation {
    text: String,
    json: serde_json::Value,
}

/// Who could be disconnected from a live conversation.
async fn show(upstream: &LiveUpstream, cid: ConversationId, report: &mut Report) -> Option<ShownConversation> {
    const NAME: &str = "conversation";
    let seen = match upstream.read(cid).await {
        Ok(seen) => seen,
        Err(problem) => {
            report.add(CheckLine::fail(NAME, problem.code.title(), &problem.detail));
            return None;
        }
    };
    let conversation = match seen.read {
        Read::Found(conversation) => conversation,
        Read::NotFound => {
            let text = format!("{cid} is not known");
            report.add(CheckLine::fail(NAME, text, "it ended some time ago, or belongs to another region or org"));
            return None;
        }
        Read::Hidden(problem) | Read::Foreign(problem) => {
            report.add(CheckLine::fail(NAME, problem.code.title(), &problem.detail));
            return None;
        }
    };
    let state = if conversation.ended() { "ended" } else { "active" };
    report.add(CheckLine::ok(NAME, format!("{cid} is {state}")));
    let people: Vec<_> = conversation
        .participants
        .iter()
        .map(|p| {
            let droppable = p.is_live() && !conversation.ended();
            json!({"id": p.id, "purpose": p.purpose, "name": p.name, "state": p.state(), "droppable": droppable})
        })
        .collect();
    let text = format!("conversation {cid}: {state}\n\n{}", participants(&conversation, None));
    Some(ShownConversation { text, json: json!({"id": cid.to_string(), "state": state, "participants": people}) })
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
