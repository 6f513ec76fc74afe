//! The audit of a service that runs elsewhere, record by record as it sends them: newest first.

use form_urlencoded::Serializer;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::audit::Record;
use crate::audit::query::AuditFilter;
use crate::cli::Failure;
use crate::cli::service::{Service, ServiceAnswer};

/// Said where the service's store gets no records.
pub(in crate::cli) const NOT_RECORDING: &str =
    "the audit.target of this service does not name the store, so records of now are not in it";

/// Records on their way.
pub(in crate::cli) struct ServedRecords {
    answer: ServiceAnswer,
    /// Lines that are not records.
    pub(in crate::cli) foreign: usize,
}

impl ServedRecords {
    /// Asks a service, which must let the key have its audit.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(in crate::cli) async fn ask(service: &Service, filter: &AuditFilter) -> Result<Self, Failure> {
        let time = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
        let asked = [
            ("caller", filter.caller.clone()),
            ("conversation", filter.conversation.map(|id| id.to_string())),
            ("participant", filter.participant.map(|id| id.to_string())),
            ("outcome", filter.outcome.clone()),
            ("since", filter.since.map(time)),
            ("until", filter.until.map(time)),
        ];
        let asked = asked.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let query = Serializer::new(String::new()).extend_pairs(asked).finish();
        let answer = service.list(&format!("/audit?{query}")).await?;
        if answer.status != 200 {
            return Err(Failure::failed(answer.reply().await?.problem()));
        }
        Ok(Self { answer, foreign: 0 })
    }

    /// Whether the service's store gets its records. Where it does not, to find none does not mean that nothing happened.
    pub(in crate::cli) fn recording(&self) -> bool {
        self.answer.header("x-hangup-recording") != "false"
    }

    /// The next record.
    ///
    /// # Errors
    /// The answer breaks off.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Record>, Failure> {
        while let Some(line) = self.answer.line().await? {
            match serde_json::from_slice(&line) {
                Ok(record) => return Ok(Some(record)),
                Err(_) if line.trim_ascii().is_empty() => {}
                Err(_) => self.foreign += 1,
            }
        }
        Ok(None)
    }
}
