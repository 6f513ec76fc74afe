//! The audit as a witness: a conversation that Genesys Cloud no longer knows was alive if a record shows a participant in it.

use std::pin::Pin;

use crate::disconnect::Witness;
use crate::ids::ConversationId;
use crate::store::Store;

/// Looks into the records of the store.
#[derive(Debug)]
pub(super) struct StoreWitness(pub(super) Store);

impl Witness for StoreWitness {
    fn saw_alive(&self, conversation: ConversationId) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        // Bounded by store.timeout, as every call.
        Box::pin(async move { self.0.saw_alive(&conversation.to_string()).await.unwrap_or(false) })
    }
}
