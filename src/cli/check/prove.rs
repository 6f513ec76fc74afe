//! `hangup check --prove ID`: what this org really does. Disconnects in a conversation that was made for it, one step after the
//! other, and reports what was answered. The report has no ids, names or addresses in it, so that it can be shared.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::super::live::LiveUpstream;
use super::super::table;
use super::redact::redacted;
use crate::conversation::{Conversation, Participant};
use crate::disconnect::look::Read;
use crate::genesys::answer::Answer;
use crate::genesys::context::Context;
use crate::genesys::request::{Call, Rank};
use crate::ids::{ConversationId, ParticipantId};
use crate::medium::Medium;
use crate::problem::Problem;

/// A conversation made for this has no more live participants than this.
const MOST_LIVE: usize = 8;
/// Longest wait for a participant to be gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(250);
/// The media whose PATCH is published.
const PUBLISHED: [Medium; 5] =
    [Medium::Calls, Medium::Callbacks, Medium::Cobrowsesessions, Medium::Emails, Medium::Messages];

/// One thing that was tried.
#[derive(Debug, Serialize)]
struct ProofStep {
    tried: String,
    answered: String,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Proof {
    /// `participant_state`, `participant_disconnect`, or nothing.
    operation: Option<&'static str>,
    /// The verdict in words.
    verdict: String,
    steps: Vec<ProofStep>,
}

impl Proof {
    pub(super) fn worked(&self) -> bool {
        self.operation.is_some()
    }

    pub(super) fn verdict(&self) -> &str {
        &self.verdict
    }

    pub(super) fn text(&self) -> String {
        let rows: Vec<_> = self.steps.iter().map(|step| vec![step.tried.clone(), step.answered.clone()]).collect();
        let note = "This has no ids, names or addresses in it: you can share it.";
        format!("What this org does: {}\n\n{}\n{note}\n", self.verdict, table::render(&["TRIED", "ANSWERED"], &rows))
    }
}

/// The conversation, and what has been tried in it.
struct Trial<'a> {
    upstream: &'a LiveUpstream,
    cid: ConversationId,
    steps: Vec<ProofStep>,
}

/// Tries everything.
///
/// # Errors
/// In words: the conversation cannot be read, is over, or does not look as if it were made for this.
pub(super) async fn run(upstream: &LiveUpstream, cid: ConversationId) -> Result<Proof, String> {
    let mut trial = Trial { upstream, cid, steps: Vec::new() };
    let before = trial.seen().await?;
    let live: Vec<&Participant> = before.participants.iter().filter(|p| p.is_live()).collect();
    if before.ended() || live.is_empty() {
        return Err("the conversation is over; make a call to a test number, and name its live conversation".to_owned());
    }
    if live.len() > MOST_LIVE {
        return Err(format!("{} participants are live: this conversation was not made for a proof", live.len()));
    }
    let rank = |p: &&&Participant| match p.purpose.as_deref() {
        Some("customer" | "external") => 0,
        Some("agent" | "user") => 1,
        _ => 2,
    };
    let target = live.iter().min_by_key(rank).and_then(|p| Some((*p, ParticipantId::parse(&p.id)?)));
    let Some((target, pid)) = target else { return Err("its participants have no ids of the usual form".to_owned()) };
    trial.unknown_ids().await;
    let found = trial.disconnect(target, pid).await;
    if found.is_some() {
        trial
            .send("PATCH the same participant again, who is gone", |context| {
                Call::patch(context, None, cid, pid, Call::DISCONNECTED)
            })
            .await;
        trial.wrap_up(&before, pid).await;
        trial.afterwards(&live, pid).await;
    }
    let verdict = match &found {
        Some((operation, form, took)) => {
            format!("{form} works ({operation}); gone after {:.1} s", took.as_secs_f64())
        }
        None => "nothing that was tried disconnected the participant".to_owned(),
    };
    Ok(Proof { operation: found.map(|(operation, ..)| operation), verdict, steps: trial.steps })
}

impl Trial<'_> {
    async fn seen(&self) -> Result<Conversation, String> {
        let seen = self.upstream.read(self.cid).await.map_err(|problem| problem.detail)?;
        match seen.read {
            Read::Found(conversation) => Ok(conversation),
            Read::NotFound => Err("Genesys Cloud does not know the conversation".to_owned()),
            Read::Hidden(problem) | Read::Foreign(problem) => Err(problem.detail),
        }
    }

    /// Sends one call, and notes what was answered. Gives whether it was taken.
    async fn send(&mut self, tried: &str, call: impl FnOnce(&Arc<Context>) -> Call) -> bool {
        let answer = self.upstream.client.call(call(&self.upstream.context())).await;
        let (answered, taken) = match &answer {
            Ok(answer) => (form(answer), answer.status.is_success()),
            Err(error) => (redacted(&Problem::from(error.clone()).detail), false),
        };
        self.steps.push(ProofStep { tried: tried.to_owned(), answered });
        taken
    }

    /// The forms of 404: what this org says of ids that it does not know.
    async fn unknown_ids(&mut self) {
        let (cid, nobody) = (self.cid, ParticipantId::from(Uuid::new_v4()));
        let nowhere = ConversationId::from(Uuid::new_v4());
        self.send("GET a conversation that does not exist", |c| Call::read(c, Rank::Lookup, None, nowhere)).await;
        self.send("PATCH in a conversation that does not exist", |c| {
            Call::patch(c, None, nowhere, nobody, Call::DISCONNECTED)
        })
        .await;
        self.send("PATCH a participant who is not in it", |c| Call::patch(c, None, cid, nobody, Call::DISCONNECTED))
            .await;
    }

    /// Every way in the order in which hangup tries them: the operation, its form, and the time until gone.
    async fn disconnect(
        &mut self,
        target: &Participant,
        pid: ParticipantId,
    ) -> Option<(&'static str, &'static str, Duration)> {
        let cid = self.cid;
        let started = Instant::now();
        let tried = format!("PATCH a live participant ({})", target.purpose.as_deref().unwrap_or("no purpose"));
        if self.send(&redacted(&tried), |c| Call::patch(c, None, cid, pid, Call::DISCONNECTED)).await
            && self.gone(pid).await
        {
            return Some(("participant_state", "the PATCH of the participant", started.elapsed()));
        }
        let media = target.live_media();
        for medium in media.into_iter().filter(|medium| PUBLISHED.contains(medium)) {
            let started = Instant::now();
            let tried = format!("PATCH the participant's {}", medium.singular());
            if self.send(&tried, |c| Call::patch(c, Some(medium), cid, pid, Call::DISCONNECTED)).await
                && self.gone(pid).await
            {
                return Some(("participant_state", "the PATCH of the participant's medium", started.elapsed()));
            }
        }
        let started = Instant::now();
        let body = Bytes::from_static(br#"{"cause":"user_request","reason":"user_request"}"#);
        let taken = self.send("POST …/disconnect, which is not published", |c| Call::post(c, cid, pid, body)).await;
        (taken && self.gone(pid).await).then(|| ("participant_disconnect", "the POST …/disconnect", started.elapsed()))
    }

    /// Looks until the participant is gone, and notes how long that took.
    async fn gone(&mut self, pid: ParticipantId) -> bool {
        let started = Instant::now();
        let mut answered = format!("still there after {} s", PATIENCE.as_secs());
        let mut gone = false;
        while started.elapsed() < PATIENCE {
            if let Ok(seen) = self.seen().await
                && (seen.ended() || seen.participant(pid).is_none_or(|p| !p.is_live()))
            {
                answered = format!("gone after {:.1} s", started.elapsed().as_secs_f64());
                gone = true;
                break;
            }
            sleep(INTERVAL).await;
        }
        self.steps.push(ProofStep { tried: "read until the participant is gone".to_owned(), answered });
        gone
    }

    /// Whether an agent who is still there owes a wrap-up, and whether it can be skipped.
    async fn wrap_up(&mut self, before: &Conversation, gone: ParticipantId) {
        let cid = self.cid;
        let agents = before.participants.iter().filter(|p| p.is_live() && p.purpose.as_deref() == Some("agent"));
        let Some(pid) = agents.filter_map(|p| ParticipantId::parse(&p.id)).find(|pid| *pid != gone) else {
            let answered = "no live agent was left to try it with".to_owned();
            self.steps.push(ProofStep { tried: "wrap-up".to_owned(), answered });
            return;
        };
        let body = Bytes::from_static(br#"{"state":"disconnected","wrapupSkipped":true}"#);
        let tried = "PATCH a live agent, wrapupSkipped";
        if self.send(tried, |c| Call::patch(c, None, cid, pid, body)).await {
            self.gone(pid).await;
        }
    }

    /// Who else has left, and what the conversation looks like then.
    async fn afterwards(&mut self, before: &[&Participant], pid: ParticipantId) {
        let answered = match self.seen().await {
            Ok(seen) => {
                let left = before.iter().filter_map(|p| ParticipantId::parse(&p.id)).filter(|id| *id != pid);
                let (mut there, mut others) = (0, 0);
                for id in left {
                    others += 1;
                    there += usize::from(!seen.ended() && seen.participant(id).is_some_and(Participant::is_live));
                }
                let state = if seen.ended() { "ended" } else { "active" };
                format!("{state}; {there} of {others} others are still there")
            }
            Err(why) => redacted(&why),
        };
        self.steps.push(ProofStep { tried: "read the conversation afterwards".to_owned(), answered });
    }
}

/// Status, code and words of an answer, and whose they are.
fn form(answer: &Answer) -> String {
    let status = answer.status.as_u16();
    if answer.status.is_success() {
        return format!("{status}");
    }
    let error = answer.error();
    let whose = if answer.is_own_refusal() { "" } else { " (not Genesys Cloud's own)" };
    let code = error.code.as_deref().unwrap_or("no code");
    let message = error.message.map(|message| format!(": {message}")).unwrap_or_default();
    redacted(&format!("{status} {code}{whose}{message}"))
}
