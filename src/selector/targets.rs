//! Target sets: a repeat of a selector or teardown goes to the same participants as the first, never to the next agent
//! who has joined meanwhile.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::ids::{ConversationId, ParticipantId};

/// How long identical requests share their targets.
const MEMORY: Duration = Duration::from_secs(60);
/// How long requests with the same `Idempotency-Key` do.
pub(crate) const KEYED_MEMORY: Duration = Duration::from_secs(3600);
/// Sets remembered at most; the oldest go first.
const MOST: usize = 10_000;

/// What makes two requests the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetKey {
    caller: Arc<str>,
    conversation: ConversationId,
    what: String,
    keyed: bool,
}

impl TargetKey {
    /// The same caller, conversation and canonical body; or the same `Idempotency-Key`, whatever the body.
    #[must_use]
    pub fn new(
        caller: Arc<str>,
        conversation: ConversationId,
        canonical: String,
        idempotency_key: Option<&str>,
    ) -> Self {
        let keyed = idempotency_key.is_some();
        Self { caller, conversation, what: idempotency_key.map_or(canonical, str::to_owned), keyed }
    }
}

/// One participant to disconnect, with what the answer says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whom.
    pub id: ParticipantId,
    /// Its name.
    pub name: Option<String>,
    /// Its purpose.
    pub purpose: Option<String>,
}

type Cell = Arc<OnceCell<Arc<Vec<Target>>>>;

/// The sets of the last minute.
#[derive(Debug, Default)]
pub struct TargetSets {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cells: HashMap<TargetKey, Cell>,
    /// In the order in which they end: with an `Idempotency-Key`, and without.
    keyed: VecDeque<(Instant, TargetKey)>,
    plain: VecDeque<(Instant, TargetKey)>,
}

impl TargetSets {
    /// The targets of this request: those of an identical one, or what `resolve` gives. A failure is not remembered.
    ///
    /// # Errors
    /// What `resolve` fails with.
    pub async fn targets<E>(
        &self,
        key: &TargetKey,
        resolve: impl Future<Output = Result<Vec<Target>, E>>,
    ) -> Result<Arc<Vec<Target>>, E> {
        let cell = self.cell(key);
        cell.get_or_try_init(|| async { resolve.await.map(Arc::new) }).await.cloned()
    }

    fn cell(&self, key: &TargetKey) -> Cell {
        let now = Instant::now();
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        for queue in [&mut state.keyed, &mut state.plain] {
            while let Some((until, _)) = queue.front()
                && (*until <= now || queue.len() > MOST)
                && let Some((_, old)) = queue.pop_front()
            {
                state.cells.remove(&old);
            }
        }
        if let Some(cell) = state.cells.get(key) {
            return Arc::clone(cell);
        }
        let cell = Cell::default();
        state.cells.insert(key.clone(), Arc::clone(&cell));
        let (queue, memory) = if key.keyed { (&mut state.keyed, KEYED_MEMORY) } else { (&mut state.plain, MEMORY) };
        queue.push_back((now + memory, key.clone()));
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(what: &str, idempotency_key: Option<&str>) -> TargetKey {
        TargetKey::new("caller".into(), ConversationId::from(uuid::Uuid::nil()), what.to_owned(), idempotency_key)
    }

    async fn ask(sets: &TargetSets, key: &TargetKey, n: u128) -> u128 {
        let target = Target { id: uuid::Uuid::from_u128(n).into(), name: None, purpose: None };
        let targets = sets.targets(key, async { Ok::<_, ()>(vec![target]) }).await.unwrap();
        (1..10).find(|n| targets[0].id == uuid::Uuid::from_u128(*n).into()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn identical_requests_share_their_targets_for_a_minute() {
        let sets = TargetSets::default();
        assert_eq!(ask(&sets, &key("agent", None), 1).await, 1);
        assert_eq!(ask(&sets, &key("customer", None), 2).await, 2, "another selector is another request");
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(ask(&sets, &key("agent", None), 3).await, 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(ask(&sets, &key("agent", None), 4).await, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idempotency_key_shares_targets_whatever_the_body_and_for_longer() {
        let sets = TargetSets::default();
        assert_eq!(ask(&sets, &key("agent", Some("k1")), 1).await, 1);
        assert_eq!(ask(&sets, &key("agent", Some("k2")), 2).await, 2, "another key is another request");
        assert_eq!(ask(&sets, &key("plain", None), 3).await, 3);
        tokio::time::advance(Duration::from_secs(120)).await;
        assert_eq!(ask(&sets, &key("other body", Some("k1")), 4).await, 1);
        assert_eq!(ask(&sets, &key("plain", None), 5).await, 5, "the longer memory of keys keeps nothing else");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_remembered_and_concurrent_requests_resolve_once() {
        let sets = TargetSets::default();
        assert_eq!(sets.targets(&key("agent", None), async { Err::<Vec<Target>, _>("down") }).await, Err("down"));
        let (agent, slow) = (key("agent", None), key("agent", None));
        let first = sets.targets(&slow, async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, ()>(Vec::new())
        });
        let second = sets.targets(&agent, async { panic!("resolved twice") });
        let (first, second): (Result<_, ()>, Result<_, ()>) = tokio::join!(first, second);
        assert!(Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
    }
}
