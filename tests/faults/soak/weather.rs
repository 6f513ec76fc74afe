//! Faults that come and go.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::super::relay::Relay;
use super::super::shared::stand_in::StandIn;

/// Faults that a real upstream can have. None of them lies about a disconnect that it accepted.
fn fault(dice: &mut StdRng) -> Value {
    let on = ["api", "disconnect", "read", "any", "login"][dice.random_range(0..5)];
    let probability = f64::from(dice.random_range(5_u32..60)) / 100.0;
    let seed: u64 = dice.random_range(0..1_000_000);
    let action = match dice.random_range(0..16) {
        0 => json!({"answer": {"status": 503}}),
        1 => json!({"answer": {"status": 503, "retry_after": "1"}}),
        2 => json!({"answer": {"status": 500}}),
        3 => json!({"answer": {"status": 504}}),
        4 => json!({"answer": {"statuses": [500, 204, 502, 204]}}),
        5 => json!("reset"),
        6 => json!("close"),
        7 => json!("half_open"),
        8 => json!({"lost_answer": "reset"}),
        9 => json!({"lost_answer": "close"}),
        10 => json!({"body": {"kind": "garbage"}}),
        11 => json!({"body": {"kind": "truncated"}}),
        12 => json!({"body": {"kind": "endless"}}),
        13 => json!({"answer": {"status": 429, "retry_after": "1"}}),
        14 => json!({"redirect": {"location": "http://127.0.0.1:1/"}}),
        _ => return json!({"on": on, "latency": "50ms", "jitter": "300ms", "probability": probability, "seed": seed}),
    };
    json!({"on": on, "probability": probability, "seed": seed, "action": action})
}

/// Changes the weather until the end, then clears it up.
pub(super) async fn weather(
    stand_in: &StandIn,
    relay: &Relay,
    poisoned: Uuid,
    mut dice: StdRng,
    until: Instant,
) -> u64 {
    let mut changes = 0;
    while Instant::now() < until {
        let rules = (0..dice.random_range(0..3)).map(|_| serde_json::from_value(fault(&mut dice)).expect("a rule"));
        stand_in.sandbox.set_faults(rules.collect()).expect("rules");
        match dice.random_range(0..14) {
            0 => drop(stand_in.sandbox.revoke_all_tokens()),
            1 => stand_in.sandbox.refuse_connections(Duration::from_millis(dice.random_range(100..800))),
            2 => stand_in.rule(json!({"on": "connection", "times": 5, "action": "reset"})),
            3 => stand_in.rule(json!({"on": "api", "reused": true, "times": 20, "action": "reset"})),
            4 => stand_in.rule(json!({"on": "api", "reused": true, "times": 20, "action": "half_open"})),
            5 => stand_in.rule(json!({"on": "api", "times": 20, "action": "unauthorized"})),
            // Connections that have gone silent, an address that drops every SYN, and a conversation that refuses every token.
            6 => relay.silence(),
            7 => relay.drop_syns(Duration::from_millis(dice.random_range(100..1_500))).await,
            8 => stand_in.rule(json!({"on": "api", "conversation": poisoned, "action": "unauthorized"})),
            _ => {}
        }
        changes += 1;
        sleep(Duration::from_millis(dice.random_range(200..1_500))).await;
    }
    stand_in.sandbox.clear_faults();
    changes
}
