//! The upstream storms, stalls, lies and talks nonsense. Each fault has its documented outcome, a bound on memory and on time.

use std::collections::BTreeSet;
use std::time::Duration;

use hangup::sandbox::{ConversationSpec, ParticipantSpec};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::callers::{Seen, disconnects, lookups};
use super::http::Answer;
use super::memory::{MIB, Peak};
use super::service::Process;
use super::shared::stand_in::StandIn;
use super::shared::until;
use super::table::Row;
use super::target::Target;

const THEME: &str = "The upstream misbehaves";
const AT_ONCE: usize = 50;
/// Beyond the deadline, for the answer's own way.
const SLACK: Duration = Duration::from_millis(100);
const DEADLINE: Duration = Duration::from_secs(6);
/// By how much memory may grow while the upstream misbehaves.
const GROWTH: u64 = 10 * MIB;

/// A fault, and what callers see of it.
struct Storm {
    fault: &'static str,
    callers_see: &'static str,
    rules: Vec<Value>,
    /// Words that a disconnect may end with; none: no disconnects are sent.
    disconnects: &'static [&'static str],
    /// Words that a lookup may end with (a success has none); none: no lookups are sent.
    lookups: &'static [&'static str],
    /// Whether targets of a reported success must be gone.
    effect: bool,
    test: &'static str,
}

impl Storm {
    /// Sends 50 disconnects and 50 lookups at once into the fault, then looks whether all is well again after it.
    async fn rage(self) {
        let stand_in = StandIn::new();
        let plan = stand_in
            .plan()
            .set("disconnect.deadline", "6s")
            .set("disconnect.attempt_timeout", "2s")
            .set("limits.max_in_flight", "200");
        let service = stand_in.start(plan).await;
        warm_up(&service, &stand_in).await;

        for rule in &self.rules {
            stand_in.rule(rule.clone());
            if rule["action"] == "refuse" {
                // The listener goes down a moment after the rule is in place.
                let down =
                    until(Duration::from_secs(5), async || TcpStream::connect(stand_in.addr).await.is_err()).await;
                assert!(down.is_some(), "the sandbox still listens");
            }
        }
        let memory = Peak::watch(service.pid());
        let mut seen = Seen::default();
        for (words, lookup) in [(self.disconnects, false), (self.lookups, true)] {
            if words.is_empty() {
                continue;
            }
            let targets = stand_in.targets(AT_ONCE);
            let part = if lookup {
                lookups(&service, &targets, AT_ONCE).await
            } else {
                disconnects(&service, &targets, AT_ONCE).await
            };
            self.judge(&part, words, lookup);
            if !lookup {
                nobody_was_hung_up_unsaid(&stand_in, &part);
            }
            if self.effect && !lookup {
                assert!(stand_in.only_these_are_gone(&part.gone()).await);
            }
            seen.answers.extend(part.answers);
        }
        let growth = memory.growth();
        assert!(growth < GROWTH, "memory grew by {} KiB", growth / 1024);

        stand_in.sandbox.clear_faults();
        let recovered =
            until(Duration::from_secs(15), async || disconnects(&service, &[stand_in.target()], 1).await.failed() == 0);
        assert!(recovered.await.is_some(), "no success after the fault");
        Row {
            theme: THEME,
            fault: self.fault,
            callers_see: self.callers_see,
            figure: "50 at once: only the outcome named, no answer later than deadline + 100 ms, memory growth under 10 MiB",
            measured: format!(
                "{:?}; slowest {} ms of 6,000; memory +{} KiB",
                seen.account(),
                seen.slowest().as_millis(),
                growth / 1024
            ),
            test: self.test,
            long_half: false,
        }
        .write();
    }

    #[track_caller]
    fn judge(&self, seen: &Seen, words: &[&str], lookup: bool) {
        assert!(seen.failures.is_empty(), "{}: callers see {:?}", self.fault, seen.failures.first());
        let met: BTreeSet<String> = seen.answers.iter().map(|(_, a)| a.word()).collect();
        let wanted: BTreeSet<String> = words.iter().map(|&w| w.to_owned()).collect();
        let sample = seen.answers.iter().find(|(_, a)| !wanted.contains(&a.word())).map(|(_, a)| a.text());
        assert!(met.is_subset(&wanted), "{} (lookup: {lookup}): {:?}\n{sample:?}", self.fault, seen.account());
        let slowest = seen.slowest();
        assert!(slowest < DEADLINE + SLACK, "{} (lookup: {lookup}): answered after {slowest:?}", self.fault);
        for (_, answer) in &seen.answers {
            well_formed(answer);
        }
    }
}

/// An error that says `"effect":"none"` is held to it.
#[track_caller]
fn nobody_was_hung_up_unsaid(stand_in: &StandIn, seen: &Seen) {
    for (target, answer) in seen.answers.iter().filter(|(_, a)| a.status >= 300 && a.json()["effect"] == "none") {
        let members = stand_in.sandbox.conference(target.conversation).expect("a conversation").participants;
        let hung_up = members.iter().any(|m| m.id == target.participant && m.disconnects > 0);
        assert!(!hung_up, "a target was disconnected: {}", answer.text());
    }
}

/// What every answer of ours holds to, whatever has happened.
#[track_caller]
fn well_formed(answer: &Answer) {
    let json = answer.json();
    assert!(answer.body.len() < 32 * 1024);
    assert_eq!(json["ok"], json!(answer.status < 300), "{}", answer.text());
    if answer.status == 503 || answer.status == 429 {
        assert!(answer.retry_after().is_some_and(|s| s > 0), "{}", answer.text());
    }
    if answer.status >= 400 {
        for member in ["type", "title", "status", "detail", "code", "requestId", "retryable", "effect", "upstream"] {
            assert!(json.get(member).is_some(), "no {member}: {}", answer.text());
        }
    }
}

/// So that memory is judged by what a fault adds: every connection is open, and long conversations have been read.
async fn warm_up(service: &Process, stand_in: &StandIn) {
    let crowd = (0..40).map(|_| ParticipantSpec::of("agent")).collect();
    let long = stand_in.sandbox.create_conference(ConversationSpec::with(crowd));
    let [first, ..] = long.live()[..] else { panic!("an empty conversation") };
    let long = Target { conversation: long.id, participant: first, customer: first };
    lookups(service, &[long; 15], 15).await.none_failed();
    for _ in 0..3 {
        disconnects(service, &stand_in.targets(AT_ONCE), AT_ONCE).await.none_failed();
        lookups(service, &stand_in.targets(AT_ONCE), AT_ONCE).await.none_failed();
    }
}

fn answer(on: &str, status: u16) -> Vec<Value> {
    vec![json!({"on": on, "action": {"answer": {"status": status}}})]
}

fn body(on: &str, kind: &str) -> Vec<Value> {
    vec![json!({"on": on, "action": {"body": {"kind": kind, "bytes": 100 * MIB}}})]
}

/// One test per fault. `disconnects` and `lookups` list the words that are allowed.
macro_rules! storms {
    ($($test:ident: $fault:literal, $see:literal, $rules:expr, disconnects $disconnects:expr, lookups $lookups:expr, effect $effect:literal;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            let storm = Storm {
                fault: $fault, callers_see: $see, rules: $rules, disconnects: &$disconnects, lookups: &$lookups,
                effect: $effect, test: concat!("storms::", stringify!($test)),
            };
            storm.rage().await;
        })*
    };
}

storms! {
    a_storm_of_503s_ends_in_503: "503 to every call", "503 `upstream_unavailable` with `Retry-After`",
        answer("api", 503), disconnects ["upstream_unavailable"], lookups ["upstream_unavailable"], effect false;
    a_503_that_asks_for_an_hour_is_told_at_once: "503 with `Retry-After: 3600`", "503 `upstream_unavailable` with the hour as `Retry-After`",
        vec![json!({"on": "api", "action": {"answer": {"status": 503, "retry_after": "3600"}}})],
        disconnects ["upstream_unavailable"], lookups ["upstream_unavailable"], effect false;
    a_storm_of_500s_ends_in_503: "500 to every call", "503 `upstream_unavailable` with `Retry-After`",
        answer("api", 500), disconnects ["upstream_unavailable"], lookups ["upstream_unavailable"], effect false;
    a_storm_of_504s_ends_in_an_error_that_may_be_repeated: "504 to every call", "503 `upstream_unavailable` with `Retry-After`",
        answer("api", 504), disconnects ["upstream_unavailable"], lookups ["upstream_unavailable"], effect false;
    a_storm_of_429s_is_told_with_the_time_to_come_back: "429 with `Retry-After: 8` to every call",
        "429 `upstream_rate_limited` with `Retry-After`, at once",
        vec![json!({"on": "api", "action": {"answer": {"status": 429, "retry_after": "8"}}})],
        disconnects ["upstream_rate_limited"], lookups ["upstream_rate_limited"], effect false;
    resets_in_place_of_answers_end_in_503: "Every connection is reset instead of an answer", "503 `upstream_unavailable` with `Retry-After`",
        vec![json!({"on": "api", "action": "reset"})],
        disconnects ["upstream_unavailable"], lookups ["upstream_unavailable"], effect false;
    closes_in_place_of_answers_end_in_503: "Every connection is closed instead of an answer", "503 `upstream_unavailable` with `Retry-After`",
        vec![json!({"on": "api", "action": "close"})],
        disconnects ["upstream_unavailable"], lookups ["upstream_unavailable"], effect false;
    an_upstream_that_never_answers_ends_in_504: "Half open: requests are accepted and never answered", "504 `upstream_timeout`",
        vec![json!({"on": "api", "action": "half_open"})],
        disconnects ["upstream_timeout"], lookups ["upstream_timeout"], effect false;
    disconnects_whose_answers_are_reset_are_looked_for: "Every disconnect takes effect and its answer is lost (reset)",
        "200 `already_disconnected`, `verified`, if the read shows it; 503 with `effect: unknown` if it does not show yet",
        vec![json!({"on": "disconnect", "action": {"lost_answer": "reset"}})],
        disconnects ["already_disconnected", "upstream_unavailable"], lookups [], effect true;
    disconnects_whose_answers_never_come_are_found_to_have_happened: "Every disconnect takes effect and its answer never comes",
        "200 `already_disconnected`, `verified`: hangup read the conversation",
        vec![json!({"on": "disconnect", "action": {"lost_answer": "half_open"}})],
        disconnects ["already_disconnected"], lookups [], effect true;
    garbage_after_a_2xx_is_no_failure_of_a_disconnect: "Garbage as the body of every answer",
        "A disconnect: 200 `accepted`; the status is enough. A lookup: 502 `upstream_invalid_response`",
        body("api", "garbage"), disconnects ["accepted"], lookups ["upstream_invalid_response"], effect true;
    a_body_of_100_mib_is_not_read: "A body of 100 MiB in every answer",
        "A disconnect: 200 `accepted`. A lookup: 502 `upstream_invalid_response`",
        body("api", "sized"), disconnects ["accepted"], lookups ["upstream_invalid_response"], effect true;
    a_body_without_end_is_not_read: "A body without end in every answer",
        "A disconnect: 200 `accepted`. A lookup: 502 `upstream_invalid_response`, or 504 `upstream_timeout` if it waited too long for its turn to read a long body",
        body("api", "endless"), disconnects ["accepted"], lookups ["upstream_invalid_response", "upstream_timeout"], effect true;
    a_page_of_html_is_told_from_an_answer: "An HTML page with status 200 instead of every answer",
        "502 `upstream_invalid_response`; of a disconnect with `effect: unknown`, because no read can show whose page it is",
        body("api", "html"), disconnects ["upstream_invalid_response"], lookups ["upstream_invalid_response"], effect false;
    bodies_cut_short_end_in_502: "Every body is cut off in the middle",
        "A disconnect: 200 `accepted`. A lookup: 502 `upstream_invalid_response`",
        body("api", "truncated"), disconnects ["accepted"], lookups ["upstream_invalid_response"], effect true;
    broken_chunks_end_in_502: "Every answer has a chunk size that is not a number",
        "A disconnect: 200 `accepted`. A lookup: 502 `upstream_invalid_response`",
        body("api", "chunk_error"), disconnects ["accepted"], lookups ["upstream_invalid_response"], effect true;
    missing_permission_is_named: "403 to every call, a permission is missing", "403 `upstream_forbidden`, which names the permission",
        vec![json!({"on": "api", "action": {"forbidden": {"permission": "conversation:communication:disconnect"}}})],
        disconnects ["upstream_forbidden"], lookups ["upstream_forbidden"], effect false;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let elsewhere = StandIn::new();
    let location = format!("http://{}/api/v2/conversations", elsewhere.addr);
    let storm = Storm {
        fault: "Every call is redirected (302) to another host",
        callers_see: "502 `upstream_invalid_response`; nothing is sent to the other host, least of all a token",
        rules: vec![json!({"on": "api", "action": {"redirect": {"location": location}}})],
        disconnects: &["upstream_invalid_response"],
        lookups: &["upstream_invalid_response"],
        effect: false,
        test: "storms::a_redirect_is_not_followed",
    };
    storm.rage().await;
    assert_eq!(elsewhere.sandbox.counts().connections, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_connections_end_in_503() {
    let storm = Storm {
        fault: "Connections refused, open ones reset",
        callers_see: "503 `upstream_unavailable` with `Retry-After`",
        rules: vec![json!({"on": "connection", "for": "60s", "action": "refuse"})],
        disconnects: &["upstream_unavailable"],
        lookups: &["upstream_unavailable"],
        effect: false,
        test: "storms::refused_connections_end_in_503",
    };
    storm.rage().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_the_rate_limit_spreads_a_burst_instead_of_failing_it() {
    let stand_in = StandIn::new();
    let service = stand_in.start(stand_in.plan().set("pace.reopen_margin", "100ms")).await;
    warm_up(&service, &stand_in).await;
    stand_in.sandbox.change_settings(&json!({"rate_limit": 40, "rate_window": "2s"})).unwrap();
    stand_in.sandbox.revoke_all_tokens();
    disconnects(&service, &[stand_in.target()], 1).await.none_failed();
    stand_in.sandbox.clear_journal();
    let seen = disconnects(&service, &stand_in.targets(120), 120).await;
    seen.none_failed();
    let counts = stand_in.sandbox.counts();
    let refused = counts.status(429);
    assert!(refused <= 2, "{refused} requests met a 429");
    Row {
        theme: THEME,
        fault: "A burst of 120 into a rate limit of 40 per 2 s",
        callers_see: "Only a delay: the burst is spread over the windows",
        figure: "0 of 120 fail; at most 2 requests meet a 429",
        measured: format!("the last answer after {} ms, {refused} 429s", seen.slowest().as_millis()),
        test: "storms::a_window_of_the_rate_limit_spreads_a_burst_instead_of_failing_it",
        long_half: false,
    }
    .write();
}
