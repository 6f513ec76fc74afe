//! Searches live conversations through the upstream's analytics, newest first.
//!
//! Analytics lags behind and is sometimes wrong about who is in a conversation. So it only finds conversations; what is
//! done to them is decided by reading them.

mod analytics;
mod cursor;
mod filter;
mod found;
mod hit;
mod names;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use time::OffsetDateTime;

use crate::callers::Guards;
use crate::genesys::Client;
use crate::genesys::context::Context;
use crate::problem::{Code, Problem};
pub use cursor::Cursor;
pub use filter::{Filter, State};
pub use found::Found;
pub use hit::{Excluded, Hit};
use names::Names;

/// Searches conversations, and knows the names of queues and users. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Search {
    client: Client,
    names: Arc<Names>,
}

impl Search {
    /// Searches through `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, names: Arc::default() }
    }

    /// Names of these queues by id; none if they cannot be fetched, because names are only for display.
    pub async fn queue_names(&self, context: &Arc<Context>, ids: BTreeSet<String>) -> BTreeMap<String, String> {
        self.names.queues(&self.client, context, ids).await.unwrap_or_default()
    }

    /// Finds live conversations that match, newest first, at most `filter.limit` of them.
    ///
    /// # Errors
    /// A missing permission, by its name; a queue name that several queues have, or none; an interval that cannot be
    /// searched, which is never skipped.
    pub async fn find(
        &self,
        context: &Arc<Context>,
        filter: &Filter,
        guards: Option<&Guards>,
    ) -> Result<Found, Problem> {
        let queue_id = match &filter.queue {
            Some(name) => Some(self.names.queue_named(&self.client, context, name).await?),
            None => filter.queue_id.clone(),
        };
        if let (Some(asked), Some(own)) = (&filter.queue_id, &queue_id)
            && !asked.eq_ignore_ascii_case(own)
        {
            let detail = "queue and queueId name different queues; give one of them";
            return Err(Problem::new(Code::InvalidQuery, detail));
        }
        let walk = walk::Walk { client: &self.client, context, filter, queue_id: queue_id.as_deref(), guards };
        let mut found = walk.run(OffsetDateTime::now_utc()).await?;
        self.names.complete(&self.client, context, &mut found.hits).await?;
        Ok(found)
    }
}
