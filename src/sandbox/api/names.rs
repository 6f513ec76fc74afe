//! Names of queues and users, for searches.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::sandbox::answer::{Problem, with_json};
use crate::sandbox::page::Page;
use crate::sandbox::render::object;
use crate::sandbox::settings::Settings;
use crate::sandbox::state::Sandbox;

/// The last page of queues that can be read (SDK 269.0.0: "max value is 5").
const LAST_PAGE: usize = 5;

/// The values of a parameter that may be repeated, or hold several values with commas between them.
fn all_of(query: Option<&str>, name: &str) -> Vec<String> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(|(given, _)| given == name)
        .flat_map(|(_, value)| value.split(',').map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// `GET /api/v2/routing/queues/divisionviews`: by `name` (with `*` at either end), `id` and `divisionId`.
pub(super) fn queues(sandbox: &Sandbox, query: Option<&str>, settings: &Settings) -> Result<Response, Problem> {
    let page = Page::of_query(query)?;
    if page.number > LAST_PAGE {
        return Err(Problem::bad_request(format!("pageNumber can be {LAST_PAGE} at most")));
    }
    let (ids, divisions) = (all_of(query, "id"), all_of(query, "divisionId"));
    let name = all_of(query, "name").join(",");
    let wanted = sandbox.directory().queues().into_iter().filter(|(id, queue)| {
        let division = queue.division.to_string();
        !settings.hidden_divisions.contains(&queue.division)
            && (ids.is_empty() || ids.contains(id))
            && (divisions.is_empty() || divisions.iter().any(|d| *d == division || d == "*"))
            && (name.is_empty() || matches(&name, &queue.name))
    });
    let listed: Vec<Value> = wanted
        .map(|(id, queue)| {
            let division = object(json!({
                "id": queue.division,
                "name": sandbox.directory().division_name(queue.division),
                "selfUri": format!("/api/v2/authorization/divisions/{}", queue.division),
            }));
            json!({
                "id": id, "name": queue.name, "division": division, "selfUri": format!("/api/v2/routing/queues/{id}"),
            })
        })
        .collect();
    Ok(with_json(StatusCode::OK, &page.listing(listed, "/api/v2/routing/queues/divisionviews")))
}

/// Ignores case; `*` at either end stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_lowercase(), name.to_lowercase());
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) => name.contains(pattern.trim_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    }
}

/// `GET /api/v2/users`: all, or those with the given `id`.
pub(super) fn users(sandbox: &Sandbox, query: Option<&str>) -> Result<Response, Problem> {
    let page = Page::of_query(query)?;
    let ids = all_of(query, "id");
    let listed: Vec<Value> = sandbox
        .directory()
        .users()
        .into_iter()
        .filter(|(id, _)| ids.is_empty() || ids.contains(id))
        .map(
            |(id, name)| json!({ "id": id, "name": name, "state": "active", "selfUri": format!("/api/v2/users/{id}") }),
        )
        .collect();
    Ok(with_json(StatusCode::OK, &page.listing(listed, "/api/v2/users")))
}
