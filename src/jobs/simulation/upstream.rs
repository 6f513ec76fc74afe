//! The simulated upstream: how long a call takes, what it does, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::world::{SimulatedConversation, World};
use crate::genesys::answer::Body;
use crate::genesys::error::{CallError, Cause};

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WireFault {
    None,
    Refused,
    LostBefore,
    LostAfter,
    HangsBefore,
    HangsAfter,
    Unavailable,
    UnavailableAfter,
    TooMany,
    Revoked,
}

const TROUBLES: [WireFault; 9] = [
    WireFault::Refused,
    WireFault::LostBefore,
    WireFault::LostAfter,
    WireFault::HangsBefore,
    WireFault::HangsAfter,
    WireFault::Unavailable,
    WireFault::UnavailableAfter,
    WireFault::TooMany,
    WireFault::Revoked,
];

type WireAnswer = Result<Response<Body>, CallError>;

/// The wire of one replica.
#[derive(Debug, Clone)]
pub(super) struct SimulatedWire {
    pub(super) world: Arc<Mutex<World>>,
    pub(super) replica: usize,
    /// The world's time when the replica was started, and the replica's own clock then.
    pub(super) born: u64,
    pub(super) origin: Instant,
}

impl SimulatedWire {
    pub(super) fn now(&self) -> u64 {
        self.born + u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(0)
    }

    pub(super) async fn exchange(self, request: Request<Bytes>) -> WireAnswer {
        let (there, back, trouble) = self.plan();
        if trouble == WireFault::Refused {
            return Err(CallError::Connect(Cause::text("refused")));
        }
        sleep(there).await;
        match trouble {
            WireFault::LostBefore => return Err(CallError::ConnectionLost(Cause::text("reset"))),
            WireFault::HangsBefore => std::future::pending().await,
            WireFault::Revoked => {
                let now = self.now();
                let revoked = &mut self.world.lock().revoked[self.replica];
                *revoked = if *revoked + 3_000 < now { now } else { *revoked };
            }
            WireFault::Unavailable => return Ok(error(503, "service.unavailable")),
            WireFault::TooMany => {
                let mut answer = error(429, "too.many.requests");
                answer.headers_mut().insert("retry-after", http::HeaderValue::from_static("1"));
                return Ok(answer);
            }
            _ => {}
        }
        let (answer, sent) = self.arrive(&request);
        match trouble {
            WireFault::HangsAfter => std::future::pending().await,
            WireFault::LostAfter => return Err(CallError::ConnectionLost(Cause::text("reset"))),
            WireFault::UnavailableAfter => return Ok(error(503, "service.unavailable")),
            _ => {}
        }
        sleep(back).await;
        if let Some((conversation, person, place)) = sent {
            self.world.lock().heard(conversation, person, place, self.now());
        }
        Ok(answer)
    }

    fn plan(&self) -> (Duration, Duration, WireFault) {
        let now = self.now();
        let mut world = self.world.lock();
        let (there, back) = (world.between(1, 60), world.between(1, 200));
        let (from, to) = world.upstream_down;
        let percent = world.upstream_trouble;
        let trouble = if (from..to).contains(&now) {
            if world.chance(50) { WireFault::Refused } else { WireFault::Unavailable }
        } else if now < world.quiet_from && world.chance(percent) {
            let place = world.between(0, TROUBLES.len() as u64 - 1);
            TROUBLES[usize::try_from(place).unwrap_or(0)]
        } else {
            WireFault::None
        };
        (Duration::from_millis(there), Duration::from_millis(back), trouble)
    }

    fn arrive(&self, request: &Request<Bytes>) -> (Response<Body>, Option<(Uuid, Uuid, usize)>) {
        let now = self.now();
        let path = request.uri().path();
        let mut world = self.world.lock();
        if path.ends_with("/oauth/token") {
            let token = format!("simulated-token-{}-{now}", self.replica);
            return (answer(200, &json!({"access_token": token, "token_type": "bearer", "expires_in": 86_400})), None);
        }
        let token = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let granted = token.rsplit('-').next().and_then(|at| at.parse::<u64>().ok()).unwrap_or(0);
        if granted <= world.revoked[self.replica] {
            return (error(401, "bad.credentials"), None);
        }
        let ids: Vec<Uuid> = path.split('/').filter_map(|part| Uuid::parse_str(part).ok()).collect();
        let Some(conversation) =
            ids.first().and_then(|id| world.conversations.get(id)).filter(|found| !found.forgotten)
        else {
            return (error(404, "not.found"), None);
        };
        let id = conversation.id;
        match (request.method(), ids.get(1)) {
            (&Method::GET, _) => (answer(200, &shown(conversation, now)), None),
            (&Method::PATCH, Some(person)) => {
                let Some(found) = conversation.people.iter().find(|one| one.id == *person && one.joined <= now) else {
                    return (error(404, "not.found"), None);
                };
                if !found.is_live(now) {
                    return (error(404, "not.found"), None);
                }
                let place = world.disconnect(id, *person, now, self.replica);
                (answer(202, &json!({})), place.map(|place| (id, *person, place)))
            }
            (&Method::POST, None) => {
                if conversation.ended(now) {
                    return (error(404, "not.found"), None);
                }
                world.tear_down(id, now, self.replica);
                (answer(202, &json!({})), None)
            }
            _ => (error(405, "method.not.allowed"), None),
        }
    }
}

fn shown(conversation: &SimulatedConversation, now: u64) -> serde_json::Value {
    let there = conversation.people.iter().filter(|person| person.joined <= now);
    let people: Vec<_> = there
        .map(|person| {
            let state = if person.is_live(now) { "connected" } else { "disconnected" };
            json!({"id": person.id, "purpose": person.purpose, "calls": [{"id": person.id, "state": state}]})
        })
        .collect();
    let end = conversation.ended(now).then_some("2026-01-01T00:00:00.000Z");
    let mut body = json!({"id": conversation.id, "startTime": "2026-01-01T00:00:00.000Z", "participants": people});
    if let Some(end) = end {
        body["endTime"] = end.into();
    }
    body
}

fn answer(status: u16, body: &serde_json::Value) -> Response<Body> {
    let response = Response::builder().status(status).header("inin-correlation-id", "c");
    response
        .body(Body::complete(body.to_string().into()))
        .unwrap_or_else(|_| Response::new(Body::complete(Bytes::new())))
}

fn error(status: u16, code: &str) -> Response<Body> {
    answer(status, &json!({"message": "simulated", "code": code, "status": status}))
}
