//! What makes a request a repeat of another one.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

use crate::ids::ConversationId;

/// How long after the caller has given up waiting a repeat is still expected.
const REPEATED_WITHIN: Duration = Duration::from_secs(60);
/// How long an `Idempotency-Key` is remembered.
const KEYED_LIFE: Duration = Duration::from_secs(3600);
/// The longest `Prefer: wait=N`.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The key of a claim: caller, operation, conversation and canonical body, or caller, operation and `Idempotency-Key`. Only
/// digests of what callers send are kept.
#[derive(Debug, Clone)]
pub struct ClaimKey {
    digest: [u8; 32],
    body: String,
    caller: Arc<str>,
    operation: &'static str,
    conversation: ConversationId,
    life: Duration,
    refused_after_replacement: Duration,
}

impl ClaimKey {
    /// `body` is the canonical form of what is asked. `deadline` and `wait` bound how long the caller waits for the answer.
    #[must_use]
    pub fn new(
        caller: &Arc<str>,
        operation: &'static str,
        conversation: ConversationId,
        body: &str,
        idempotency_key: Option<&str>,
        (deadline, wait): (Duration, Duration),
    ) -> Self {
        let cid = conversation.to_string();
        let asked = digest(&[&cid, body]);
        let digest = match idempotency_key {
            Some(key) => digest(&["key", caller, operation, key]),
            None => digest(&["body", caller, operation, &cid, body]),
        };
        let waits = |wait: Duration| deadline + wait + REPEATED_WITHIN;
        let keyed = idempotency_key.is_some();
        Self {
            digest,
            body: hex(&asked),
            caller: Arc::clone(caller),
            operation,
            conversation,
            life: if keyed { KEYED_LIFE } else { waits(wait) },
            refused_after_replacement: if keyed { KEYED_LIFE } else { waits(LONGEST_WAIT) },
        }
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The key as the store has it.
    pub(super) fn id(&self) -> String {
        hex(&self.digest)
    }

    /// Digest of conversation and body, which all requests with the same `Idempotency-Key` must share.
    pub(super) fn body(&self) -> &str {
        &self.body
    }

    pub(super) fn caller(&self) -> &Arc<str> {
        &self.caller
    }

    pub(super) fn operation(&self) -> &'static str {
        self.operation
    }

    pub(super) fn conversation(&self) -> ConversationId {
        self.conversation
    }

    pub(super) fn life(&self) -> Duration {
        self.life
    }

    /// For how long after its replacement a store may lack a claim of this kind.
    pub(super) fn refused_after_replacement(&self) -> Duration {
        self.refused_after_replacement
    }
}

/// A digest of several parts, each with its length, so that `a|bc` and `ab|c` differ.
fn digest(parts: &[&str]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
