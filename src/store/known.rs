//! Which store this is.

use parking_lot::Mutex;

/// The id that we have seen first.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Option<String>>);

impl Known {
    pub(super) fn id(&self) -> Option<String> {
        self.0.lock().clone()
    }

    pub(super) fn set(&self, id: &str) {
        *self.0.lock() = Some(id.to_owned());
    }
}
