//! The kinds of requests in the mixture.

use rand::RngExt as _;
use rand::rngs::StdRng;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Request {
    Disconnect,
    Repeated,
    DropIn,
    Selector,
    Teardown,
    Queued,
    Lookup,
    Read,
    Nonsense,
}

impl Request {
    /// Drawn by how common it is.
    pub(super) fn pick(dice: &mut StdRng) -> Self {
        match dice.random_range(0..100) {
            0..40 => Self::Disconnect,
            40..55 => Self::Repeated,
            55..68 => Self::DropIn,
            68..76 => Self::Selector,
            76..80 => Self::Teardown,
            80..83 => Self::Queued,
            83..90 => Self::Lookup,
            90..97 => Self::Read,
            _ => Self::Nonsense,
        }
    }
}
