//! Which operations this upstream has shown to work. No lock: an org that has the published PATCH never needs another call.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::OperationChoice;
use crate::genesys::request::Operation;

/// A way to disconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The unpublished POST.
    Post,
    /// The published PATCH.
    Patch,
}

/// What the process knows of one `api_url`.
#[derive(Debug)]
pub(super) struct Operations {
    choice: OperationChoice,
    /// A PATCH was accepted, or refused in words about the conversation.
    patch_exists: AtomicBool,
    /// A POST was accepted.
    post_worked: AtomicBool,
}

impl Operations {
    pub(super) fn new(choice: OperationChoice) -> Self {
        Self { choice, patch_exists: AtomicBool::new(false), post_worked: AtomicBool::new(false) }
    }

    /// The operation to begin with: the published one, unless the POST is all that has ever worked here.
    pub(super) fn first(&self) -> Way {
        match self.choice {
            OperationChoice::Post => Way::Post,
            OperationChoice::Patch => Way::Patch,
            OperationChoice::Auto if self.post_worked() && self.post_is_open() => Way::Post,
            OperationChoice::Auto => Way::Patch,
        }
    }

    /// The operation that this org accepts, once it is known.
    pub(super) fn found(&self) -> Option<Operation> {
        let known = self.patch_exists.load(Ordering::Relaxed) || self.post_worked();
        let way = self.first();
        (!self.is_auto() || known).then_some(match way {
            Way::Post => Operation::ParticipantDisconnect,
            Way::Patch => Operation::ParticipantState,
        })
    }

    /// Whether both operations may be used.
    pub(super) fn is_auto(&self) -> bool {
        self.choice == OperationChoice::Auto
    }

    /// Whether the POST may be the last resort. Its one official description is "hard disconnect conversation": where the PATCH
    /// exists, it is never sent.
    pub(super) fn post_is_open(&self) -> bool {
        self.is_auto() && !self.patch_exists.load(Ordering::Relaxed)
    }

    /// Whether a POST has worked here before, or is the only operation that the configuration allows.
    pub(super) fn post_is_known(&self) -> bool {
        self.choice == OperationChoice::Post || self.post_worked()
    }

    fn post_worked(&self) -> bool {
        self.post_worked.load(Ordering::Relaxed)
    }

    /// The upstream has accepted this operation.
    pub(super) fn worked(&self, way: Way) {
        let known = match way {
            Way::Post => &self.post_worked,
            Way::Patch => &self.patch_exists,
        };
        // Read first: if every disconnect wrote, the cache line would move from core to core.
        if !known.load(Ordering::Relaxed) && !known.swap(true, Ordering::Relaxed) && self.is_auto() {
            tracing::info!(event = "operation_found", operation = ?way, "found out how this org disconnects");
        }
    }

    /// The PATCH was refused in words that show that it exists.
    pub(super) fn patch_exists(&self) {
        self.patch_exists.store(true, Ordering::Relaxed);
    }
}
