//! The ranks of calls at the gate.

/// Who goes first at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// Disconnects, and the reads that a disconnect needs to answer.
    Disconnect,
    /// Callers' lookups, and polls after an accepted disconnect.
    Lookup,
    /// Items of jobs.
    Job,
}

impl Rank {
    /// The first goes first.
    pub const ALL: [Self; 3] = [Self::Disconnect, Self::Lookup, Self::Job];
}
