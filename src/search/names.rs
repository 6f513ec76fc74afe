//! Names of queues, users and divisions, cached. Those of queues and users are fetched again after ten minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::hit::Hit;
use crate::genesys::Client;
use crate::genesys::answer::Answer;
use crate::genesys::context::Context;
use crate::genesys::request::Call;
use crate::problem::{Code, Problem};

const KEPT: Duration = Duration::from_secs(600);
/// Names kept of each kind; when there are more, all are forgotten.
const MOST: usize = 10_000;
/// Ids in one request, whose URL must not get too long.
const AT_ONCE: usize = 50;

const QUEUES: NamesPath =
    NamesPath { path: "/api/v2/routing/queues/divisionviews", permission: "routing:queue:search" };
const USERS: NamesPath = NamesPath { path: "/api/v2/users", permission: "directory:user:view" };

/// Where names are listed, and the permission that the upstream asks for.
#[derive(Clone, Copy)]
struct NamesPath {
    path: &'static str,
    permission: &'static str,
}

/// Names by id. Where the upstream refuses names, the id takes their place.
#[derive(Debug, Default)]
pub(super) struct Names {
    queues: NameCache,
    users: NameCache,
    /// Filled from the lists of queues, which name their divisions.
    divisions: NameCache,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Listing {
    entities: Vec<Entity>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entity {
    id: String,
    name: Option<String>,
    division: Option<Division>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Division {
    id: Option<String>,
    name: Option<String>,
}

type NameCache = Mutex<BTreeMap<String, (String, Instant)>>;

impl Names {
    /// The id of the only queue with that name, ignoring case.
    pub(super) async fn queue_named(
        &self,
        client: &Client,
        context: &Arc<Context>,
        name: &str,
    ) -> Result<String, Problem> {
        let answer = ask(client, context, QUEUES, &[("name", name), ("pageSize", "100")]).await?;
        let found = listing(&answer, QUEUES.permission)?;
        let same =
            |entity: &Entity| entity.name.as_deref().is_some_and(|own| own.to_lowercase() == name.to_lowercase());
        let mut queues: Vec<Entity> = found.entities.into_iter().filter(same).collect();
        match (queues.pop(), queues.is_empty()) {
            (Some(only), true) => Ok(only.id),
            (None, _) => {
                let detail = "there is no queue of that name, or the OAuth client's role does not reach its division; \
                              check the name, or give queueId";
                Err(Problem::new(Code::InvalidQuery, detail))
            }
            (Some(one), false) => {
                let all = queues.into_iter().chain([one]).map(|queue| {
                    let division = queue.division.unwrap_or_default();
                    json!({
                        "id": queue.id, "name": queue.name, "divisionId": division.id, "divisionName": division.name,
                    })
                });
                let detail = "several queues have that name; give queueId instead: see candidates";
                let mut problem = Problem::new(Code::SelectorAmbiguous, detail);
                problem.candidates = Some(Box::new(all.collect()));
                Err(problem)
            }
        }
    }

    /// Names of queues by id; the id itself where names are refused.
    pub(super) async fn queues(
        &self,
        client: &Client,
        context: &Arc<Context>,
        ids: BTreeSet<String>,
    ) -> Result<BTreeMap<String, String>, Problem> {
        self.names(&self.queues, client, context, QUEUES, ids).await
    }

    /// Fills in the names of the hits' queues and agents.
    pub(super) async fn complete(
        &self,
        client: &Client,
        context: &Arc<Context>,
        hits: &mut [Hit],
    ) -> Result<(), Problem> {
        let queues = hits.iter().filter_map(|hit| hit.queue_id.clone()).collect();
        let queues = self.queues(client, context, queues).await?;
        let users = hits.iter().filter_map(|hit| hit.user_id.clone()).collect();
        let users = self.names(&self.users, client, context, USERS, users).await?;
        let divisions = self.divisions.lock();
        for hit in hits {
            hit.queue_name = hit.queue_id.as_ref().and_then(|id| queues.get(id).cloned());
            hit.agent_name = hit.user_id.as_ref().and_then(|id| users.get(id).cloned());
            let division = |id: &String| divisions.get(id).map_or_else(|| id.clone(), |(name, _)| name.clone());
            hit.division_name = hit.division_id.as_ref().map(division);
        }
        Ok(())
    }

    /// Names by id, from the cache; missing ones are fetched, [`AT_ONCE`] with each call.
    async fn names(
        &self,
        kept: &NameCache,
        client: &Client,
        context: &Arc<Context>,
        place: NamesPath,
        ids: BTreeSet<String>,
    ) -> Result<BTreeMap<String, String>, Problem> {
        let now = Instant::now();
        let mut known = BTreeMap::new();
        let mut missing = Vec::new();
        {
            let kept = kept.lock();
            for id in ids {
                match kept.get(&id) {
                    Some((name, at)) if now.duration_since(*at) < KEPT => {
                        known.insert(id, name.clone());
                    }
                    _ => missing.push(id),
                }
            }
        }
        for some in missing.chunks(AT_ONCE) {
            let query: Vec<(&str, &str)> =
                some.iter().map(|id| ("id", id.as_str())).chain([("pageSize", "100")]).collect();
            let answer = ask(client, context, place, &query).await?;
            let mut found = if refuses_names(&answer) {
                BTreeMap::new()
            } else {
                self.names_of(listing(&answer, place.permission)?)
            };
            for id in some {
                let name = found.remove(id).unwrap_or_else(|| id.clone());
                keep(kept, id.clone(), name.clone());
                known.insert(id.clone(), name);
            }
        }
        Ok(known)
    }

    /// The names in a listing. The divisions of queues are cached on the way.
    fn names_of(&self, listing: Listing) -> BTreeMap<String, String> {
        let name = |one: Entity| {
            if let Some((id, name)) = one.division.and_then(|division| Some((division.id?, division.name?))) {
                keep(&self.divisions, id, name);
            }
            Some((one.id, one.name?))
        };
        listing.entities.into_iter().filter_map(name).collect()
    }
}

fn keep(kept: &NameCache, id: String, name: String) {
    let mut kept = kept.lock();
    if kept.len() > MOST {
        kept.clear();
    }
    kept.insert(id, (name, Instant::now()));
}

/// Whether names are refused for good, by Genesys Cloud or by something in between. A search then goes on without them,
/// because they are only for display. A 401 of Genesys Cloud itself is about the token, and is an error.
fn refuses_names(answer: &Answer) -> bool {
    answer.is_final_refusal() && !(answer.status == StatusCode::UNAUTHORIZED && answer.is_own_refusal())
}

async fn ask(
    client: &Client,
    context: &Arc<Context>,
    place: NamesPath,
    query: &[(&str, &str)],
) -> Result<Answer, Problem> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    Ok(client.call(Call::names(context, format!("{}?{query}", place.path))).await?)
}

fn listing(answer: &Answer, permission: &str) -> Result<Listing, Problem> {
    if answer.status != StatusCode::OK {
        return Err(Problem::refused(answer, "search for names", permission));
    }
    let read = answer.complete_json();
    read.ok_or_else(|| Problem::invalid_response(answer, "the search for names returned something else"))
}
