//! The members of the API's answers that the console shows. `openapi.yaml` says what each means.

use serde::Deserialize;

/// A problem (RFC 9457).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Problem {
    pub(super) code: String,
    pub(super) title: String,
    pub(super) detail: String,
    pub(super) request_id: String,
    pub(super) effect: String,
    pub(super) upstream: Option<UpstreamDetail>,
}

/// What Genesys Cloud said.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UpstreamDetail {
    pub(super) status: u16,
    pub(super) message: Option<String>,
    pub(super) correlation_id: Option<String>,
}

impl Problem {
    /// A problem that the console found itself; nothing was done.
    pub(super) fn of_ours(detail: &str) -> Self {
        Self { title: "That did not work".to_owned(), detail: detail.to_owned(), ..Self::default() }
    }
}

/// A page of search results.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    pub(super) conversations: Vec<Hit>,
    pub(super) cursor: Option<String>,
}

/// A conversation that was found.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hit {
    pub(super) id: String,
    pub(super) media: Option<String>,
    pub(super) direction: Option<String>,
    pub(super) start_time: String,
    pub(super) queue_name: Option<String>,
    pub(super) address_from: Option<String>,
    pub(super) address_to: Option<String>,
    pub(super) participants: usize,
    pub(super) agent: bool,
    pub(super) agent_name: Option<String>,
}

/// The participants of a conversation.
#[derive(Debug, Deserialize)]
pub(super) struct ParticipantList {
    pub(super) state: String,
    pub(super) participants: Vec<Participant>,
    pub(super) hidden: usize,
    pub(super) truncated: bool,
}

/// One participant.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Participant {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) purpose: Option<String>,
    pub(super) state: Option<String>,
    pub(super) media: Vec<String>,
    pub(super) queue_id: Option<String>,
    pub(super) address: Option<String>,
    pub(super) start_time: Option<String>,
    pub(super) connected_time: Option<String>,
    pub(super) end_time: Option<String>,
}

impl Participant {
    /// Whether it is still there. Lists show those that are not as `disconnected` or `terminated`.
    pub(super) fn is_live(&self) -> bool {
        self.end_time.is_none() && !matches!(self.state.as_deref(), Some("disconnected" | "terminated"))
    }

    /// Its name, or its purpose and the beginning of its id.
    pub(super) fn label(&self) -> String {
        let named = self.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        named.map_or_else(
            || format!("{} {}", self.purpose.as_deref().unwrap_or("participant"), self.id.get(..8).unwrap_or(&self.id)),
            str::to_owned,
        )
    }

    /// Whether it is an agent or another user of the org.
    pub(super) fn is_agent(&self) -> bool {
        matches!(self.purpose.as_deref(), Some("agent" | "user"))
    }

    /// Whether it is a person, and not a queue, flow or recording.
    pub(super) fn is_person(&self) -> bool {
        self.is_agent() || matches!(self.purpose.as_deref(), Some("customer" | "external"))
    }
}

/// The result of a disconnect or a teardown.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settled {
    pub(super) outcome: String,
    pub(super) verified: bool,
    pub(super) gone: Option<bool>,
    pub(super) request_id: String,
    pub(super) correlation_id: Option<String>,
}

/// A page of audit records.
#[derive(Debug, Deserialize)]
pub(super) struct Records {
    pub(super) records: Vec<Record>,
    pub(super) cursor: Option<String>,
}

/// One audit record.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(super) struct Record {
    pub(super) time: String,
    pub(super) event: String,
    pub(super) caller: Option<String>,
    pub(super) actor: Option<String>,
    pub(super) job: Option<String>,
    pub(super) participant_id: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) operation: Option<String>,
    pub(super) outcome: String,
    pub(super) code: Option<String>,
    pub(super) verified: bool,
    pub(super) effect: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) correlation_id: Option<String>,
    pub(super) suppressed: u64,
    pub(super) upstream_status: Option<u16>,
    pub(super) upstream_code: Option<String>,
    pub(super) attempts: Option<u32>,
}

/// A page of jobs.
#[derive(Debug, Deserialize)]
pub(super) struct Jobs {
    pub(super) jobs: Vec<Job>,
    pub(super) cursor: Option<String>,
}

/// A job. Lists leave out its progress.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) state: String,
    pub(super) created_by: String,
    pub(super) total: i64,
    pub(super) pending: i64,
    pub(super) counts: std::collections::BTreeMap<String, i64>,
    pub(super) rate_per_minute: i64,
    pub(super) eta_seconds: Option<i64>,
    pub(super) paused_because: Option<String>,
    pub(super) dry_run: bool,
    pub(super) needs_approval: bool,
    pub(super) created: String,
    pub(super) not_before: Option<String>,
    pub(super) ended: Option<String>,
}

/// A page of a job's items.
#[derive(Debug, Deserialize)]
pub(super) struct Items {
    pub(super) items: Vec<Item>,
    pub(super) cursor: Option<String>,
}

/// One item of a job.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    pub(super) conversation_id: String,
    pub(super) participant_id: Option<String>,
    pub(super) state: String,
    pub(super) outcome: Option<String>,
    pub(super) code: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) time: Option<String>,
}
