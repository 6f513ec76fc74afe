//! One read of a conversation for all who watch it. Each of them is still checked by itself: only the read is shared.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::look::{Read, read};
use crate::genesys::Client;
use crate::genesys::answer::Answer;
use crate::genesys::context::Context;
use crate::genesys::request::Rank;
use crate::ids::ConversationId;
use crate::problem::Problem;

/// Longest time that a read is kept.
const KEPT: Duration = Duration::from_secs(2);
/// Most conversations that are kept at once; further ones are read for each who asks.
const MOST: usize = 1_000;

/// The last read of a conversation; the holder of the lock is reading.
type ReadSlot = Arc<tokio::sync::Mutex<Option<KeptRead>>>;

#[derive(Debug, Clone)]
struct KeptRead {
    at: Instant,
    result: Result<(Read, Answer), Problem>,
}

/// The reads that are shared. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<HashMap<ConversationId, ReadSlot>>>);

impl Watch {
    /// The conversation as it was read at most `within` ago, and at most 2 s: at most one read in that time, however many ask.
    ///
    /// # Errors
    /// As the read; shared as well.
    pub(crate) async fn read(
        &self,
        client: &Client,
        context: &Arc<Context>,
        id: ConversationId,
        within: Duration,
    ) -> Result<(Read, Answer), Problem> {
        let place = self.place(id);
        // When the reader's caller leaves, the lock is free again and the next one reads.
        let mut kept = place.lock().await;
        match &*kept {
            Some(kept) if kept.at.elapsed() < within.min(KEPT) => kept.result.clone(),
            _ => {
                let at = Instant::now();
                let result = read(client, context, Rank::Lookup, id).await;
                *kept = Some(KeptRead { at, result: result.clone() });
                result
            }
        }
    }

    fn place(&self, id: ConversationId) -> ReadSlot {
        let mut places = self.0.lock();
        if places.len() >= MOST {
            places.retain(|_, place| {
                place.try_lock().map_or(true, |kept| kept.as_ref().is_some_and(|kept| kept.at.elapsed() < KEPT))
            });
        }
        if places.len() >= MOST {
            return ReadSlot::default();
        }
        Arc::clone(places.entry(id).or_default())
    }
}
