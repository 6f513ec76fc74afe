//! `hangup disconnect CONVERSATION [PARTICIPANT]`: shows who is there, asks whom, disconnects, waits, and says what became of it.

use clap::Args;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::service::{Service, ServiceReply, Which};
use super::text::{Tone, printable, toned};
use super::words::meaning;
use super::{Failure, ask, table};
use crate::config::Config;
use crate::ids::{ConversationId, ParticipantId};
use crate::outcome::Outcome;

/// Exit code where it is not known whether the participant is gone.
const NOT_KNOWN: u8 = 3;

/// What to tell about exit codes.
pub(super) const EXIT_CODES: &str = "Exit codes: 0 the participant is gone (or the dry run succeeded) · 1 nobody was disconnected · \
     2 unusable arguments or configuration · 3 not known: the disconnect was accepted, but the participant was still there when the wait ended";

#[derive(Debug, Args)]
pub(super) struct DisconnectArguments {
    /// The conversation
    #[arg(value_name = "CONVERSATION")]
    conversation: ConversationId,
    /// The participant to disconnect; without it, you are asked
    #[arg(value_name = "PARTICIPANT")]
    participant: Option<ParticipantId>,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// The reason, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Read and report without disconnecting anyone
    #[arg(long)]
    dry_run: bool,
    /// Seconds to wait for the participant to be seen gone
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=60))]
    wait: u8,
    /// Print only the service's answer, as one line of JSON, for scripts
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// A participant, as the service lists it.
#[derive(Debug, Deserialize)]
struct ListedParticipant {
    id: String,
    name: Option<String>,
    purpose: Option<String>,
    state: Option<String>,
    #[serde(default)]
    media: Vec<String>,
    #[serde(rename = "endTime")]
    end_time: Option<String>,
}

impl ListedParticipant {
    fn is_live(&self) -> bool {
        self.end_time.is_none() && !matches!(self.state.as_deref(), Some("disconnected" | "terminated"))
    }

    /// Short, for a question.
    fn described(&self) -> String {
        let words = [self.name.as_deref(), self.purpose.as_deref(), self.state.as_deref()];
        let words: Vec<_> = words.into_iter().flatten().collect();
        let words = if words.is_empty() { "a participant without a name".to_owned() } else { words.join(", ") };
        format!("{} ({})", printable(&words), self.id)
    }
}

/// Carries the command out.
pub(super) async fn run(
    arguments: DisconnectArguments,
    config: impl FnOnce() -> Result<Config, Failure>,
) -> Result<(), Failure> {
    let service = Service::open(&arguments.which, config).await?;
    let result = carry_out(&service, &arguments).await;
    service.close().await;
    result
}

async fn carry_out(service: &Service, arguments: &DisconnectArguments) -> Result<(), Failure> {
    let cid = arguments.conversation;
    let people = match list(service, cid).await? {
        Ok(people) => {
            if !arguments.json {
                println!("Who is in conversation {cid}:\n\n{}", shown(&people));
            }
            people
        }
        // A key, or our own client, may disconnect and not read; and some upstreams have nothing to be read.
        Err(reply) if matches!(reply.status, 403 | 502) && arguments.participant.is_some() => {
            if !arguments.json {
                println!("Who is in conversation {cid} cannot be read: {}\n", printable(&reply.problem()));
            }
            Vec::new()
        }
        Err(reply) => return Err(refused(&reply)),
    };
    let target = match arguments.participant {
        Some(participant) => participant,
        None => asked(&people, arguments.json)?,
    };
    if !arguments.yes && !arguments.dry_run {
        let who = people.iter().find(|person| ParticipantId::parse(&person.id) == Some(target));
        confirmed(&who.map_or_else(|| target.to_string(), ListedParticipant::described), arguments.json)?;
    }
    let query = if arguments.dry_run { "?dryRun=true" } else { "" };
    let path = format!("/conversations/{cid}/participants/{target}/disconnect{query}");
    let wait = (arguments.wait > 0 && !arguments.dry_run).then(|| format!("wait={}", arguments.wait));
    let body = arguments.reason.as_ref().map(|reason| json!({"reason": reason}));
    let reply = service.ask(Method::POST, &path, wait.as_deref(), body.as_ref()).await?;
    if arguments.json {
        println!("{}", reply.body);
    } else if reply.is_good() {
        explain(&reply);
        if !arguments.dry_run
            && let Ok(people) = list(service, cid).await?
        {
            println!("\nWho is there now:\n\n{}", shown(&people));
        }
    }
    verdict(&reply, arguments)
}

/// Those who are in the conversation, or what the service said instead.
async fn list(service: &Service, cid: ConversationId) -> Result<Result<Vec<ListedParticipant>, ServiceReply>, Failure> {
    let reply = service.ask(Method::GET, &format!("/conversations/{cid}/participants"), None, None).await?;
    let people = reply.body.get("participants").cloned().and_then(|people| serde_json::from_value(people).ok());
    Ok(match people {
        Some(people) if reply.is_good() => Ok(people),
        _ => Err(reply),
    })
}

fn shown(people: &[ListedParticipant]) -> String {
    let rows: Vec<_> = people
        .iter()
        .enumerate()
        .map(|(n, person)| {
            let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let number = if person.is_live() { (n + 1).to_string() } else { "-".to_owned() };
            let media = person.media.join(",");
            vec![number, word(&person.state), word(&person.purpose), word(&person.name), media, person.id.clone()]
        })
        .collect();
    table::render(&["NO", "STATE", "PURPOSE", "NAME", "MEDIA", "PARTICIPANT"], &rows)
}

/// Asks whom to disconnect, at a terminal.
fn asked(people: &[ListedParticipant], json: bool) -> Result<ParticipantId, Failure> {
    if !people.iter().any(ListedParticipant::is_live) {
        return Err(Failure::failed("there is nobody left to disconnect"));
    }
    if json || !ask::is_possible() {
        return Err(Failure::unusable("name the PARTICIPANT: there is no terminal to ask whom"));
    }
    chosen(people, &ask::ask("Whom? Number, or nothing to leave: ")?)
}

/// The participant of the number that was typed.
fn chosen(people: &[ListedParticipant], typed: &str) -> Result<ParticipantId, Failure> {
    let number = typed.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    let person = number.and_then(|number| people.get(number)).filter(|person| person.is_live());
    let chosen = person.and_then(|person| ParticipantId::parse(&person.id));
    chosen.ok_or_else(|| Failure::failed("nobody was disconnected: this is not the number of a live participant"))
}

/// Asks whether the user is sure, at a terminal.
fn confirmed(who: &str, json: bool) -> Result<(), Failure> {
    if json || !ask::is_possible() {
        return Err(Failure::unusable("add --yes: there is no terminal to ask whether you are sure"));
    }
    ask::confirm(&format!("Disconnect {who}?"))
}

/// The outcome in words, the verdict first.
fn explain(reply: &ServiceReply) {
    let outcome = reply.text("outcome");
    let verified = reply.body.get("verified").and_then(Value::as_bool).unwrap_or_default();
    let (tone, verdict) = match gone(reply) {
        Some(true) => (Tone::Good, "Gone"),
        Some(false) => (Tone::Doubtful, "Still there"),
        None => (Tone::Doubtful, "Not known"),
    };
    println!("{}: {}.", toned(tone, verdict), meaning(outcome, verified));
    let attempts = reply.body.get("attempts").and_then(Value::as_u64).unwrap_or_default();
    let operation = Some(reply.text("operation")).filter(|text| !text.is_empty()).unwrap_or("none");
    println!("  outcome {outcome} · verified {verified} · operation {operation} · attempts {attempts}");
    println!(
        "  request id {} · ININ-Correlation-Id {}",
        printable(reply.text("requestId")),
        Some(printable(reply.text("correlationId"))).filter(|text| !text.is_empty()).unwrap_or("-".into())
    );
}

/// Whether the participant is gone. An older service has no `gone`; then the outcome decides.
fn gone(reply: &ServiceReply) -> Option<bool> {
    match reply.body.get("gone") {
        Some(gone) => gone.as_bool(),
        None => Outcome::ALL.into_iter().find(|outcome| outcome.name() == reply.text("outcome"))?.gone(),
    }
}

/// The exit code.
fn verdict(reply: &ServiceReply, arguments: &DisconnectArguments) -> Result<(), Failure> {
    if !reply.is_good() {
        return Err(refused(reply));
    }
    if gone(reply) == Some(true) || arguments.dry_run {
        return Ok(());
    }
    if reply.text("outcome") == Outcome::WouldDisconnect.name() {
        return Err(Failure::failed("nobody was disconnected: the service is in observe mode, or the key is"));
    }
    let text = "accepted, and not seen gone; look again with `hangup explain`, or wait longer with --wait";
    Err(Failure { code: NOT_KNOWN, text: text.to_owned() })
}

fn refused(reply: &ServiceReply) -> Failure {
    let mut text = reply.problem();
    if let Some(message) = reply.body.pointer("/upstream/message").and_then(Value::as_str) {
        text = format!("{text}\n  Genesys Cloud says: {}", printable(message));
    }
    let unknown = reply.text("effect") == "unknown";
    if unknown {
        text.push_str("\n  the participant may have been disconnected nevertheless");
    }
    Failure { code: if unknown { NOT_KNOWN } else { 1 }, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people() -> Vec<ListedParticipant> {
        let ids = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"];
        serde_json::from_value(json!([
            {"id": ids[0], "name": "Cy\u{1b}[31m", "purpose": "customer", "state": "connected", "media": ["call"]},
            {"id": ids[1], "name": null, "purpose": "agent", "state": "disconnected", "media": [], "endTime": "x"},
        ]))
        .unwrap()
    }

    #[test]
    fn a_number_chooses_a_participant_who_is_there_and_nothing_else_does() {
        let people = people();
        let chosen = |typed: &str| chosen(&people, typed).map(|id| id.to_string()).ok();
        assert_eq!(chosen("1").as_deref(), Some(people[0].id.as_str()));
        for typed in ["", "0", "2", "3", "-1", "y"] {
            assert_eq!(chosen(typed), None, "{typed:?}");
        }
    }

    #[test]
    fn a_name_does_not_steer_the_terminal() {
        let people = people();
        assert!(!shown(&people).contains('\u{1b}') && !people[0].described().contains('\u{1b}'));
    }
}
