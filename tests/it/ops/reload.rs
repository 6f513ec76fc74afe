//! SIGHUP.

use crate::support::process::{Binary, text};
use crate::support::until;

const ENFORCE: &str = "[disconnect]\nmode = \"enforce\"\n[telemetry]\nlog_level = \"info\"\n";
const OBSERVE: &str =
    "[disconnect]\nmode = \"observe\"\n[telemetry]\nlog_level = \"debug\"\n[retry]\nmax_attempts = 2\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_good_file_is_taken_over_as_far_as_it_can_be_and_the_rest_is_named() {
    let binary = Binary::new().await;
    let made = hangup::callers::new_key("ivr").unwrap();
    let (config, keys, audit) = (binary.path("hangup.toml"), binary.path("keys.toml"), binary.path("audit.jsonl"));
    std::fs::write(&config, ENFORCE).unwrap();
    std::fs::write(&keys, "").unwrap();
    let (file, keys_text, audit_text) = (text(&config), text(&keys), text(&audit));
    let environment = [("HANGUP__AUTH__KEYS_FILE", keys_text.as_str()), ("HANGUP__AUDIT__TARGET", audit_text.as_str())];
    let mut service = binary.serve(&["--config", &file], &environment).await;
    let key = [("x-api-key", made.text.as_str())];
    let disconnect = binary.disconnect(binary.who("customer"));
    assert_eq!(service.post(&disconnect, &key, "").await.0, 401);

    std::fs::write(&config, OBSERVE).unwrap();
    std::fs::write(&keys, &made.toml).unwrap();
    let moved = binary.path("audit.old");
    until(|| async { audit.exists() }).await;
    std::fs::rename(&audit, &moved).unwrap();
    service.signal("HUP");
    let line = service.line("reloaded").await;
    let taken_over = line["taken_over"].as_str().unwrap();
    for word in ["disconnect.mode", "telemetry.log_level", "auth.keys_file (1 keys)", "audit.target"] {
        assert!(taken_over.contains(word), "{word} is missing in {line}");
    }
    assert_eq!(line["needs_restart"], "retry.max_attempts");
    let (status, body) = service.post(&disconnect, &key, "").await;
    assert!(status == 200 && body.contains("would_disconnect"), "{status} {body}");
    until(|| async { audit.exists() && std::fs::read_to_string(&audit).unwrap().contains("would_disconnect") }).await;
    let record = |event: &str| {
        let records = std::fs::read_to_string(&audit).unwrap() + &std::fs::read_to_string(&moved).unwrap();
        let found = records.lines().find(|line| line.contains(&format!("\"event\":\"{event}\""))).map(str::to_owned);
        found.unwrap_or_else(|| panic!("no {event} in\n{records}"))
    };
    assert!(record("mode_changed").contains("\"outcome\":\"observe\""));
    assert!(record("reloaded").contains("retry.max_attempts"));
    assert!(record("keys_changed").contains("added: ivr"));
    std::fs::write(&keys, "[[key]]\nname = \"ivr\"\nsha256 = \"short\"\n").unwrap();
    let rejected = |event: &str| {
        let records = std::fs::read_to_string(&audit).unwrap();
        records.lines().any(|line| line.contains(event) && line.contains("\"outcome\":\"rejected\""))
    };
    until(|| async { rejected("\"event\":\"keys_changed\"") }).await;
    std::fs::write(&config, "[disconnect]\nmode = \"sometimes\"\n").unwrap();
    service.signal("HUP");
    until(|| async { rejected("\"event\":\"reloaded\"") }).await;
    assert_eq!(service.post(&disconnect, &key, "").await.0, 200, "the last good keys stay");
    assert_eq!(service.line("upstream_attempt").await["level"], "DEBUG", "the new level is in force");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_is_said_once() {
    let binary = Binary::new().await;
    let config = binary.path("hangup.toml");
    std::fs::write(&config, ENFORCE).unwrap();
    let file = text(&config);
    let mut service = binary.serve(&["--config", &file], &[]).await;
    for (n, bad) in ["[disconnect]\nmode = \"sometimes\"\n", "[disconnect\n", "[disconnect]\nmod = \"observe\"\n"]
        .into_iter()
        .enumerate()
    {
        std::fs::write(&config, bad).unwrap();
        service.signal("HUP");
        until(|| async { service.events("reload_failed").len() == n + 1 }).await;
    }
    let (status, body) = service.post(&binary.disconnect(binary.who("customer")), &[], "").await;
    assert!(status == 200 && body.contains("accepted"), "{status} {body}");
    assert!(service.events("reloaded").is_empty());
    assert_eq!(service.stop().await, Some(0));
    assert_eq!(service.events("reload_failed").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_file_is_opened_anew_at_sighup_and_at_sigusr1_which_does_not_kill() {
    let binary = Binary::new().await;
    let (log, audit) = (binary.path("hangup.log"), binary.path("audit.jsonl"));
    let (log_text, audit_text) = (text(&log), text(&audit));
    let environment = [("HANGUP__TELEMETRY__LOG_TARGET", &*log_text), ("HANGUP__AUDIT__TARGET", &*audit_text)];
    let mut command = binary.command(&["serve"], &environment);
    let mut child = command.spawn().unwrap();
    let holds = |word: &'static str| {
        let log = log.clone();
        async move { std::fs::read_to_string(&log).unwrap_or_default().contains(word) }
    };
    until(|| holds("\"listening\"")).await;
    for (signal, event, moved) in [("HUP", "\"reloaded\"", "first.log"), ("USR1", "\"reopened\"", "second.log")] {
        std::fs::rename(&log, binary.path(moved)).unwrap();
        let sent = std::process::Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        until(|| holds(event)).await;
        assert!(holds("telemetry.log_target (opened anew)").await, "{signal}");
    }
    assert!(child.try_wait().unwrap().is_none(), "it lives");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_without_changes_disturbs_nothing() {
    let binary = Binary::new().await;
    let mut service = binary.serve(&[], &[]).await;
    service.signal("HUP");
    let line = service.line("reloaded").await;
    assert_eq!((line["taken_over"].as_str(), line["needs_restart"].as_str()), (Some(""), Some("")));
    assert_eq!(service.get("/livez").await.0, 200);
}
