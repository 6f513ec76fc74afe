//! `hangup sweep`: finds conversations or takes a list, shows what would be done, asks, and clears them by a job.

mod arguments;
mod batch;
mod fate;
mod find;
mod follow;
mod input;
mod preview;
mod report;
mod row;
mod summary;
mod zone;

use std::path::Path;

use http::Method;
use serde_json::Value;

use super::healthcheck::main_url;
use super::service::Service;
use super::{Failure, ask};
use crate::config::Config;
use arguments::SweepTeardown;
pub(super) use arguments::{EXIT_CODES, SweepArguments, USAGE};
use batch::{BatchOrder, Skip, SweepBatch};
use preview::Preview;
use row::{RowAction, SweepRow};
use zone::Zone;

/// Carries the command out.
pub(super) async fn run(
    arguments: SweepArguments,
    config: impl FnOnce() -> Result<Config, Failure>,
) -> Result<(), Failure> {
    let zone = Zone::named(arguments.time_zone.as_deref())?;
    // A wrong list is reported before the user is asked anything.
    let list = arguments.file.as_deref().map(input::read).transpose()?;
    if list.is_none() && arguments.resume.is_none() && !arguments.filters.are_given() {
        return Err(Failure::unusable(
            "name a list with --file, or at least one filter, such as --queue Support; see --help",
        ));
    }
    if arguments.teardown == SweepTeardown::Unconfirmed && list.is_none() && arguments.resume.is_none() {
        let text = "--teardown unconfirmed ends what stayed after an earlier run: give its list with --file";
        return Err(Failure::unusable(text));
    }
    let base = match &arguments.server {
        Some(server) => server.clone(),
        None => main_url(&config()?),
    };
    let service = Service::remote(&base, arguments.key_file.as_deref())?;
    if arguments.server.is_none() {
        let hint = "start it with `hangup serve`, or name one that runs with --server URL";
        let probe = service.ask(Method::GET, "/livez", None, None).await;
        probe.map_err(|failure| Failure { text: format!("{}; {hint}", failure.text), ..failure })?;
    }
    let sweep = Sweep { arguments, zone, service };
    match &sweep.arguments.resume {
        Some(id) => sweep.resume(id).await,
        None => sweep.begin(list).await,
    }
}

struct Sweep {
    arguments: SweepArguments,
    zone: Zone,
    service: Service,
}

impl Sweep {
    /// From the search or the list to the end.
    async fn begin(&self, list: Option<input::InputRows>) -> Result<(), Failure> {
        let mut preview = Preview {
            skips_agents: !self.arguments.include_agents,
            dry_run: self.arguments.dry_run,
            ..Preview::default()
        };
        let mut order = self.order(list.is_some());
        let mut rows = match list {
            Some(list) => self.listed(list, &mut preview),
            None => self.found(&mut preview, &mut order).await?,
        };
        rows.sort_by_key(|row| row.start);
        let most = self.arguments.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        if rows.len() > most {
            preview
                .excluded
                .push((rows.len() - most, format!("more than --limit {most}, which takes those that began first")));
            rows.truncate(most);
        }
        // Known once the service has asked Genesys Cloud for something.
        preview.rate = self.rate().await;
        println!("{}", preview.text(&rows, &self.zone));
        if rows.is_empty() {
            println!("There is nothing to do.");
            return Ok(());
        }
        if self.arguments.preview {
            return Ok(());
        }
        self.confirm(rows.len())?;
        self.carry_out(rows, &order).await
    }

    fn order(&self, listed: bool) -> BatchOrder {
        let arguments = &self.arguments;
        let what = match &arguments.file {
            Some(file) if listed => file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            _ => arguments.filters.described(),
        };
        BatchOrder {
            name: format!("sweep {what}"),
            reason: arguments.reason.clone(),
            dry_run: arguments.dry_run,
            skip: Skip {
                agents: !arguments.include_agents,
                younger_than: arguments.filters.older_than.clone(),
                left_queue: None,
            },
            skip_named: arguments.skip_agents,
            per_job: usize::try_from(arguments.per_job).unwrap_or(usize::MAX),
        }
    }

    /// The rows of a list, and what is to be done with each.
    fn listed(&self, list: input::InputRows, preview: &mut Preview) -> Vec<SweepRow> {
        preview.found = list.rows.len() + list.repeated;
        if list.repeated > 0 {
            preview.excluded.push((list.repeated, "named more than once".to_owned()));
        }
        let mut rows = list.rows;
        for row in &mut rows {
            let stayed = !matches!(row.get("outcome"), "" | "skipped" | "cancelled" | "would_disconnect");
            row.action = match (row.participant, self.arguments.teardown) {
                (Some(_), _) => RowAction::Participant,
                (None, SweepTeardown::Always) => RowAction::Teardown,
                (None, SweepTeardown::Unconfirmed) if stayed => RowAction::Teardown,
                (None, _) => RowAction::Customers,
            };
            // Of an earlier run.
            for column in ["outcome", "code", "correlationId", "time", "actor", "job", "detail"] {
                row.set(column, "");
            }
        }
        rows
    }

    /// The conversations that the filters mean.
    async fn found(&self, preview: &mut Preview, order: &mut BatchOrder) -> Result<Vec<SweepRow>, Failure> {
        let found = find::all(&self.service, &self.arguments.filters, |number| {
            if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
                eprint!("\r  {number} found so far …\r");
            }
        });
        let mut found = found.await?;
        preview.with_agent = found.with_agent;
        let excluded: usize = found.excluded.values().sum();
        preview.found = found.rows.len() + excluded;
        for (why, count) in found.excluded.into_iter().filter(|(_, count)| *count > 0) {
            let words = match why.as_str() {
                "hidden" => "your key may not touch anybody in them",
                "state" => "not in the state that --state asks for",
                "agent" => "an agent or user is in them, as analytics sees it (--agent none)",
                "scheduled" => "callbacks that are scheduled for later; --include-scheduled takes them in",
                other => other,
            };
            preview.excluded.push((count, words.to_owned()));
        }
        if self.arguments.filters.state.as_deref() == Some("waiting")
            && let (1, Some(Some(queue))) = (found.queues.len(), found.queues.first())
        {
            order.skip.left_queue = Some(queue.clone());
        }
        if self.arguments.teardown == SweepTeardown::Always {
            found.rows.iter_mut().for_each(|row| row.action = RowAction::Teardown);
        }
        Ok(found.rows)
    }

    /// Calls a minute that the upstream allows, if the key may ask for it.
    async fn rate(&self) -> Option<u64> {
        let reply = self.service.ask(Method::GET, "/status", None, None).await.ok()?;
        reply.body.pointer("/window/allowed").and_then(Value::as_u64)
    }

    /// Goes on only after the number was typed.
    fn confirm(&self, number: usize) -> Result<(), Failure> {
        if self.arguments.yes || self.arguments.dry_run {
            return Ok(());
        }
        if !ask::is_possible() {
            return Err(Failure::unusable(
                "add --yes: there is no terminal to ask whether you are sure; nobody was disconnected",
            ));
        }
        if ask::ask(&format!("Type {number} to go on, or nothing to leave: "))? == number.to_string() {
            return Ok(());
        }
        Err(Failure::unusable("not confirmed; nobody was disconnected"))
    }

    async fn carry_out(&self, mut rows: Vec<SweepRow>, order: &BatchOrder) -> Result<(), Failure> {
        let path = self.arguments.report.as_deref();
        if let Some(path) = path.filter(|path| path.exists()) {
            let text = format!(
                "--report {}: it exists; name another file, or remove it; nobody was disconnected",
                path.display()
            );
            return Err(Failure::unusable(text));
        }
        let batch = SweepBatch::queue(&self.service, &mut rows, order).await?;
        let path = path.map_or_else(|| report::default_path(batch.id()), Path::to_owned);
        // Before anybody is disconnected: without it a resumed sweep would know less.
        if let Err(failure) = report::write(&path, rows.iter(), &self.zone) {
            batch.cancel(&self.service).await;
            return Err(Failure { text: format!("{}; nobody was disconnected", failure.text), ..failure });
        }
        self.see_through(&batch, rows, &path).await
    }

    /// Goes on with a sweep.
    async fn resume(&self, id: &str) -> Result<(), Failure> {
        let job = self.service.ask(Method::GET, &format!("/jobs/{id}"), None, None).await?;
        if !job.is_good() {
            return Err(Failure::failed(job.problem()));
        }
        let path = self.arguments.report.clone().unwrap_or_else(|| report::default_path(id));
        let rows = if path.exists() { input::read(&path)?.rows } else { Vec::new() };
        if !rows.is_empty() && !rows.iter().any(|row| row.get("job") == id) {
            return Err(Failure::unusable(format!(
                "{}: it is the report of another sweep; see --report",
                path.display()
            )));
        }
        let batch = SweepBatch::of_rows(&rows, id);
        self.see_through(&batch, rows, &path).await
    }

    /// Starts the jobs, follows them, and reports what became of the rows.
    async fn see_through(&self, batch: &SweepBatch, mut rows: Vec<SweepRow>, path: &Path) -> Result<(), Failure> {
        let ids = batch.ids();
        println!("Job {} · report {}", ids.join(", "), path.display());
        let mut interrupt = follow::Interrupt::listen();
        let mut end = self.start(&ids).await;
        if end.is_none() {
            end = Some(follow::follow(&self.service, &ids, self.arguments.patience, &mut interrupt).await);
        }
        let end = end.unwrap_or(follow::SweepEnd::Done);
        if let follow::SweepEnd::Lost(why) = end {
            return Err(summary::lost(batch.id(), &why));
        }
        fate::collect(&self.service, batch, &mut rows).await.map_err(|f| summary::lost(batch.id(), &f.text))?;
        let fates = match end {
            follow::SweepEnd::Done => fate::settle(&self.service, &mut rows).await,
            _ => fate::judged_all(&rows),
        };
        report::write(path, rows.iter(), &self.zone)?;
        summary::conclude(&summary::Ended { end, id: batch.id(), path, rows: &rows, fates: &fates, zone: &self.zone })
    }

    /// Starts or resumes the jobs; what it gives is why they do not run.
    async fn start(&self, ids: &[String]) -> Option<follow::SweepEnd> {
        for id in ids {
            match batch::go(&self.service, id).await {
                Ok(reply) if reply.is_good() => {}
                Ok(reply) => {
                    return Some(follow::SweepEnd::Stopped(format!("job {id} does not start: {}", reply.problem())));
                }
                Err(failure) => return Some(follow::SweepEnd::Lost(failure.text)),
            }
        }
        None
    }
}
