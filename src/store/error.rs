//! Why the store did not do what it was asked.

/// An error of the store. Its text has no secrets, but is for operators: callers see less.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing was sent, or nothing was done.
    #[error("the store is out of reach: {0}")]
    OutOfReach(String),
    /// No answer in time. The batch may have been carried out all the same: only repeat one that is harmless to repeat.
    #[error("the store did not answer within store.timeout")]
    TimedOut,
    /// The connection ended after a write had been sent, which may have been carried out all the same.
    #[error("the store's connection ended before it had answered: {0}")]
    Lost(String),
    /// The database refused, and nothing was done.
    #[error("the store refused: {0}")]
    Refused(String),
    /// The database is empty: it has none of our tables.
    #[error("the store has no tables (yet)")]
    NoSchema,
    /// A later version of hangup has changed the tables so that this one cannot use them.
    #[error(
        "the store's schema is version {found} and this program knows versions up to {known}; run the version of hangup that made it, or \
         a newer one"
    )]
    NewerSchema {
        /// The oldest version of the schema whose programs can use it.
        found: i64,
        /// The version that this program knows.
        known: i64,
    },
    /// The store is another one than before, and claims of the old one may still be alive.
    #[error("the store was replaced by another one; claims in the old one may still be alive")]
    Replaced {
        /// For how much longer, in milliseconds.
        for_ms: i64,
    },
}

impl StoreError {
    /// Whether the batch may have been carried out all the same.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::TimedOut | Self::Lost(_))
    }
}
