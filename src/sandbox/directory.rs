//! Names of the organization: divisions, queues and users.

use std::collections::BTreeMap;

use parking_lot::RwLock;
use uuid::{Uuid, uuid};

/// The home division, for everything without another one.
pub(crate) const HOME: Uuid = uuid!("d1000000-0000-4000-8000-000000000001");
/// The queue and the agents of the default conference.
pub(crate) const SUPPORT: &str = "a1000000-0000-4000-8000-000000000001";
pub(crate) const ANNA: &str = "b1000000-0000-4000-8000-000000000001";
pub(crate) const BEN: &str = "b1000000-0000-4000-8000-000000000002";

/// Most queues, and most users, that are added because a conversation mentions them.
const NOTED: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Directory {
    names: RwLock<DirectoryNames>,
}

#[derive(Debug)]
struct DirectoryNames {
    divisions: Vec<(Uuid, String)>,
    queues: BTreeMap<String, Queue>,
    users: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Queue {
    pub(crate) name: String,
    pub(crate) division: Uuid,
}

impl Default for Directory {
    fn default() -> Self {
        let names = DirectoryNames {
            divisions: vec![(HOME, "Home".to_owned())],
            queues: [(SUPPORT.to_owned(), Queue { name: "Support".to_owned(), division: HOME })].into(),
            users: [(ANNA, "Anna Agent"), (BEN, "Ben Agent")].map(|(id, name)| (id.to_owned(), name.to_owned())).into(),
        };
        Self { names: RwLock::new(names) }
    }
}

impl Directory {
    /// The division with that name, which is made if it does not exist.
    pub(crate) fn division_named(&self, name: &str) -> Uuid {
        let mut names = self.names.write();
        if let Some((id, _)) = names.divisions.iter().find(|(_, known)| known == name) {
            return *id;
        }
        let id = Uuid::new_v4();
        names.divisions.push((id, name.to_owned()));
        id
    }

    pub(crate) fn division_name(&self, id: Uuid) -> Option<String> {
        self.names.read().divisions.iter().find(|(known, _)| *known == id).map(|(_, name)| name.clone())
    }

    /// Makes a queue, even if another one has the same name, and returns its id.
    pub(crate) fn add_queue(&self, id: Option<String>, name: &str, division: Uuid) -> String {
        let id = id.unwrap_or_else(|| Uuid::new_v4().to_string());
        self.names.write().queues.insert(id.clone(), Queue { name: name.to_owned(), division });
        id
    }

    /// The queue with that name in that division, which is made if it does not exist.
    pub(crate) fn queue_named(&self, name: &str, division: Uuid) -> String {
        let known = self
            .names
            .read()
            .queues
            .iter()
            .find(|(_, queue)| queue.name == name && queue.division == division)
            .map(|(id, _)| id.clone());
        known.unwrap_or_else(|| self.add_queue(None, name, division))
    }

    pub(crate) fn queue(&self, id: &str) -> Option<Queue> {
        self.names.read().queues.get(id).cloned()
    }

    /// Adds a queue that a conversation mentions.
    pub(crate) fn note_queue(&self, id: &str, name: &str, division: Uuid) {
        let mut names = self.names.write();
        if names.queues.len() < NOTED && !names.queues.contains_key(id) {
            names.queues.insert(id.to_owned(), Queue { name: name.to_owned(), division });
        }
    }

    /// Adds a user that a conversation mentions.
    pub(crate) fn note_user(&self, id: &str, name: &str) {
        let mut names = self.names.write();
        if names.users.len() < NOTED && !names.users.contains_key(id) {
            names.users.insert(id.to_owned(), name.to_owned());
        }
    }

    /// All queues with their ids, sorted by name.
    pub(crate) fn queues(&self) -> Vec<(String, Queue)> {
        let mut all: Vec<_> = self.names.read().queues.iter().map(|(id, queue)| (id.clone(), queue.clone())).collect();
        all.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
        all
    }

    /// All users with their ids, sorted by name.
    pub(crate) fn users(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> = self.names.read().users.iter().map(|(id, name)| (id.clone(), name.clone())).collect();
        all.sort_by(|(_, one), (_, other)| one.cmp(other));
        all
    }
}
