//! Which store this is.

use parking_lot::Mutex;

/// The id that we have accepted: of the store that we first saw, until another one in its place was noted.
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
