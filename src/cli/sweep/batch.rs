//! The jobs of a sweep: one, or several where it has more items than a job takes or where rows are to be treated differently.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use super::row::{RowAction, SweepRow};
use crate::cli::Failure;
use crate::cli::service::{Service, ServiceReply};

/// Times that a job is sent until it counts as not queued. The same key makes it the same job.
const SENDS: usize = 3;

/// What all jobs of a sweep have in common.
#[derive(Debug, Default)]
pub(super) struct BatchOrder {
    /// What operators see in a list of jobs.
    pub(super) name: String,
    pub(super) reason: Option<String>,
    pub(super) dry_run: bool,
    /// What makes a row without a participant be left alone.
    pub(super) skip: Skip,
    /// A row that names a participant is left alone where an agent is live, too.
    pub(super) skip_named: bool,
    /// Items of one job.
    pub(super) per_job: usize,
}

/// What a read just before each disconnect must not see.
#[derive(Debug, Default)]
pub(super) struct Skip {
    pub(super) agents: bool,
    pub(super) younger_than: Option<String>,
    pub(super) left_queue: Option<String>,
}

impl Skip {
    fn json(&self) -> Value {
        json!({ "agent": self.agents, "youngerThan": self.younger_than, "leftQueue": self.left_queue })
    }
}

/// The jobs of a sweep, with the rows that each has, in the order of its items.
#[derive(Debug, Default)]
pub(super) struct SweepBatch {
    pub(super) jobs: Vec<(String, Vec<usize>)>,
}

impl SweepBatch {
    /// Queues the rows. Nothing is done with them until [`Batch::start`].
    ///
    /// # Errors
    /// A refusal; what was queued already is cancelled.
    pub(super) async fn queue(service: &Service, rows: &mut [SweepRow], order: &BatchOrder) -> Result<Self, Failure> {
        let mut batch = Self::default();
        let (named, others): (Vec<usize>, Vec<usize>) =
            (0..rows.len()).partition(|n| rows.get(*n).is_some_and(|row| row.action == RowAction::Participant));
        let parts: Vec<(bool, &[usize])> = [(false, &others), (true, &named)]
            .into_iter()
            .flat_map(|(named, all)| all.chunks(order.per_job.max(1)).map(move |some| (named, some)))
            .collect();
        for (number, (named, part)) in parts.iter().enumerate() {
            let suffix = if parts.len() > 1 { format!(" ({} of {})", number + 1, parts.len()) } else { String::new() };
            let own = Skip { agents: order.skip_named, ..Skip::default() };
            let skip = if *named { &own } else { &order.skip };
            let lines: String =
                part.iter().filter_map(|n| rows.get(*n)).map(|row| format!("{}\n", item(row))).collect();
            match send(service, order, &suffix, skip, lines).await {
                Ok(id) => {
                    for n in *part {
                        rows.get_mut(*n).into_iter().for_each(|row| row.set("job", id.as_str()));
                    }
                    batch.jobs.push((id, part.to_vec()));
                }
                Err(failure) => {
                    batch.cancel(service).await;
                    return Err(failure);
                }
            }
        }
        Ok(batch)
    }

    /// The jobs of rows that were queued before, from their column `job`, and `id` among them.
    pub(super) fn of_rows(rows: &[SweepRow], id: &str) -> Self {
        let mut jobs: BTreeMap<&str, Vec<usize>> = BTreeMap::from([(id, Vec::new())]);
        for (n, row) in rows.iter().enumerate() {
            if !row.get("job").is_empty() {
                jobs.entry(row.get("job")).or_default().push(n);
            }
        }
        Self { jobs: jobs.into_iter().map(|(id, rows)| (id.to_owned(), rows)).collect() }
    }

    /// The id of the first job: that of the sweep.
    pub(super) fn id(&self) -> &str {
        self.jobs.first().map_or("", |(id, _)| id)
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.jobs.iter().map(|(id, _)| id.clone()).collect()
    }

    /// Cancels what has not started.
    pub(super) async fn cancel(&self, service: &Service) {
        for (id, _) in &self.jobs {
            // What was never started does nothing if this fails.
            let _ = control(service, id, "cancel").await;
        }
    }
}

/// Starts a held job, or goes on with a paused one; done and running ones are left as they are.
///
/// # Errors
/// The service's refusal.
pub(super) async fn go(service: &Service, id: &str) -> Result<ServiceReply, Failure> {
    let job = service.ask(Method::GET, &format!("/jobs/{id}"), None, None).await?;
    match job.text("state") {
        "held" => control(service, id, "start").await,
        "paused" => control(service, id, "resume").await,
        _ => Ok(job),
    }
}

/// Asks for a change of a job's state.
pub(super) async fn control(service: &Service, id: &str, verb: &str) -> Result<ServiceReply, Failure> {
    service.ask(Method::POST, &format!("/jobs/{id}/{verb}"), None, None).await
}

fn item(row: &SweepRow) -> Value {
    let conversation = row.conversation.to_string();
    match (row.action, row.participant) {
        (_, Some(participant)) => json!({ "conversationId": conversation, "participantId": participant.to_string() }),
        (RowAction::Teardown, None) => json!({ "conversationId": conversation, "all": true }),
        // Eight is what goes without the permission `teardown`.
        (_, None) => {
            json!({ "conversationId": conversation, "selector": { "purpose": ["customer", "external"], "max": 8 } })
        }
    }
}

async fn send(
    service: &Service,
    order: &BatchOrder,
    suffix: &str,
    skip: &Skip,
    lines: String,
) -> Result<String, Failure> {
    let most = 200 - suffix.chars().count();
    let name: String = order.name.chars().filter(|c| !c.is_control()).take(most).collect();
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("name", &format!("{name}{suffix}")).append_pair("hold", "true");
    query.append_pair("skipIf", &skip.json().to_string());
    if order.dry_run {
        query.append_pair("dryRun", "true");
    }
    if let Some(reason) = &order.reason {
        query.append_pair("reason", reason);
    }
    let path = format!("/jobs?{}", query.finish());
    let key = uuid::Uuid::new_v4().to_string();
    let mut last = None;
    for _ in 0..SENDS {
        match service.send_lines(&path, &key, lines.clone()).await {
            Ok(reply) if reply.is_good() && !reply.text("jobId").is_empty() => {
                return Ok(reply.text("jobId").to_owned());
            }
            Ok(reply) if reply.body.get("retryable").and_then(Value::as_bool) == Some(true) => {
                last = Some(Failure::failed(reply.problem()));
            }
            Ok(reply) => return Err(Failure::failed(format!("{}; nobody was disconnected", reply.problem()))),
            Err(failure) => last = Some(failure),
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    let text = last.map(|failure| failure.text).unwrap_or_default();
    Err(Failure::failed(format!("{text}; nobody was disconnected")))
}
