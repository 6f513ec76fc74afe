//! The tables, as a list of migrations.
//!
//! A migration only adds, so that the version before it goes on running on the new schema while a fleet is updated one by one.
//! One that cannot keep to that raises [`Migration::oldest`], which keeps out programs that would do damage.

/// One step of the schema.
#[derive(Debug)]
pub(super) struct Migration {
    /// Statements that both databases understand.
    pub(super) sql: &'static str,
    /// The oldest schema whose programs can run on the result: those that know at least this many migrations.
    pub(super) oldest: i64,
}

/// In order. Never change one that was released.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
    sql: "CREATE TABLE claims (
            key TEXT PRIMARY KEY, caller TEXT NOT NULL, operation TEXT NOT NULL, conversation TEXT NOT NULL, body TEXT NOT NULL,
            targets TEXT NOT NULL, token TEXT NOT NULL, created BIGINT NOT NULL, expires BIGINT NOT NULL);
          CREATE INDEX claims_expires ON claims (expires);
          CREATE TABLE audit (
            id TEXT PRIMARY KEY, time BIGINT NOT NULL, event TEXT NOT NULL, caller TEXT, job TEXT, conversation TEXT,
            participant TEXT, outcome TEXT NOT NULL, code TEXT, record TEXT NOT NULL);
          CREATE INDEX audit_time ON audit (time, id);
          CREATE INDEX audit_conversation ON audit (conversation, time);
          CREATE INDEX audit_caller ON audit (caller, time);
          CREATE TABLE replicas (
            instance TEXT PRIMARY KEY, version TEXT NOT NULL, started BIGINT NOT NULL, seen BIGINT NOT NULL)",
        oldest: 1,
    },
    Migration {
        sql: "CREATE TABLE jobs (
            id TEXT PRIMARY KEY, caller TEXT NOT NULL, name TEXT, state TEXT NOT NULL, plan TEXT NOT NULL, body TEXT NOT NULL,
            request_key TEXT, key_kind TEXT, created BIGINT NOT NULL, due BIGINT NOT NULL, started BIGINT, ended BIGINT,
            total BIGINT NOT NULL, paused_because TEXT);
          CREATE UNIQUE INDEX jobs_request ON jobs (request_key);
          CREATE INDEX jobs_created ON jobs (created, id);
          CREATE INDEX jobs_state ON jobs (state, due);
          CREATE TABLE items (
            job TEXT NOT NULL, number BIGINT NOT NULL, conversation TEXT NOT NULL, participant TEXT, target TEXT,
            state TEXT NOT NULL, due BIGINT NOT NULL, lease TEXT, tries BIGINT NOT NULL, attempts BIGINT NOT NULL, first_tried BIGINT, accepted BIGINT,
            reached TEXT, outcome TEXT, code TEXT, detail TEXT, correlation TEXT, time BIGINT, PRIMARY KEY (job, number));
          CREATE INDEX items_due ON items (job, due);
          CREATE INDEX items_result ON items (job, state, outcome, code)",
        oldest: 1,
    },
    Migration {
        // The next items of a job are found without sorting all that wait. `taken` counts how often an item was taken over,
        // below zero where the last lease was an ordinary one: what was sent under a lease that expired is not known.
        sql: "ALTER TABLE items ADD COLUMN taken BIGINT;
          CREATE INDEX items_next ON items (job, due, number);
          DROP INDEX items_due",
        oldest: 1,
    },
];

/// The version of the schema that this program makes.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Where single values are kept: the schema's version, the store's id, the mode.
pub(super) const META: &str = "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)";

/// The rows of [`META`] that tell which programs the schema is for.
pub(super) const VERSIONS: &str = "SELECT key, value FROM meta WHERE key IN ('schema_version', 'schema_oldest')";

/// The statements that get from `found` to [`VERSION`]; `None` if `found` is it, or newer.
pub(super) fn script(found: i64) -> Option<String> {
    let missing = MIGRATIONS.get(usize::try_from(found).unwrap_or(0)..)?;
    let oldest = missing.last()?.oldest;
    let mut script = String::new();
    for migration in missing {
        script.push_str(migration.sql);
        script.push_str(";\n");
    }
    for (key, value) in [("schema_version", VERSION), ("schema_oldest", oldest)] {
        script.push_str(&format!(
            "INSERT INTO meta (key, value) VALUES ('{key}', '{value}') ON CONFLICT (key) DO UPDATE SET value = excluded.value;\n"
        ));
    }
    // Chosen once, with the first table: another id is another store.
    script.push_str(&format!(
        "INSERT INTO meta (key, value) VALUES ('store_id', '{}') ON CONFLICT (key) DO NOTHING;\n",
        uuid::Uuid::new_v4()
    ));
    Some(script)
}

/// The two numbers of [`VERSIONS`]: how many migrations were made, and the oldest version whose programs may use the result.
pub(super) fn versions<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) -> (i64, i64) {
    let (mut made, mut oldest) = (0, 0);
    for (key, value) in rows {
        let number = value.parse().unwrap_or(i64::MAX);
        if key == "schema_version" {
            made = number;
        } else {
            oldest = number;
        }
    }
    (made, oldest)
}
