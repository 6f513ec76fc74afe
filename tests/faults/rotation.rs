//! Files that change under the service: the client secret, the keys of callers.

use std::path::Path;
use std::time::Duration;

use hangup::callers::new_key;
use serde_json::json;
use tokio::time::sleep;

use super::callers::Traffic;
use super::jobs::sent;
use super::service::PATIENCE;
use super::shared::stand_in::StandIn;
use super::shared::until;
use super::table::Row;
use super::target::target_in;

const THEME: &str = "Files that change";

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_file_rotated_to_nonsense_and_back_fails_nobody() {
    let stand_in = StandIn::new();
    stand_in.sandbox.change_tokens(&json!({"lifetime": "12s"})).unwrap();
    let plan = stand_in.plan().set("genesys.client_secret", "").set("token.renew_at", "0.2");
    let file = plan.file("secret");
    std::fs::write(&file, "sandbox-secret\n").unwrap();
    let service = stand_in.start(plan.set("genesys.client_secret_file", &file.display().to_string())).await;

    let traffic = Traffic::start(&service, &stand_in, 20);
    std::fs::write(&file, "nonsense \u{1f512}\n").unwrap();
    stand_in.sandbox.clear_journal();
    let refused = || stand_in.sandbox.counts().logins();
    assert!(until(Duration::from_secs(6), async || refused() > 0).await.is_some(), "no renewal was due");
    // Rejected credentials are not tried again and again.
    sleep(Duration::from_secs(2)).await;
    assert_eq!(refused(), 1);
    std::fs::write(&file, "").unwrap();
    sleep(Duration::from_millis(500)).await;
    // The org's secret is rotated, then the file follows.
    stand_in.sandbox.change_client_secret("another-secret");
    std::fs::write(&file, "another-secret").unwrap();
    let renewed = until(Duration::from_secs(5), async || refused() > 1).await;
    sent(&stand_in, stand_in.sandbox.counts().disconnects() + 20).await;
    let seen = traffic.end().await;
    seen.none_failed();
    assert!(renewed.is_some(), "the new secret is not tried");
    assert!(service.metric("hangup_token_expires_in_seconds").await > 7.0, "the token is the old one");
    Row {
        theme: THEME,
        fault: "The client secret's file is overwritten with nonsense, emptied, then holds the org's new secret",
        callers_see: "Nothing",
        figure: "0 failed requests; one login with the nonsense; the new secret is used within 5 s",
        measured: format!("{} requests; the new secret used after {:?}", seen.total(), renewed.unwrap_or_default()),
        test: "rotation::a_secret_file_rotated_to_nonsense_and_back_fails_nobody",
        long_half: false,
    }
    .write();
}

fn replace(file: &Path, text: &str) {
    // As Kubernetes and careful people do: all at once.
    let next = file.with_extension("next");
    std::fs::write(&next, text).unwrap();
    std::fs::rename(next, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_file_rotated_also_to_nonsense_fails_nobody_who_has_a_key() {
    let stand_in = StandIn::new();
    let plan = stand_in.plan();
    let file = plan.file("keys.toml");
    let (old, new) = (new_key("old").unwrap(), new_key("new").unwrap());
    let service = plan.keys(&old.toml).start().await;
    service.ready().await;
    let with_key = |key: &str| {
        let mut caller = service.caller();
        caller.headers = format!("x-api-key: {key}\r\n");
        caller
    };
    let sandbox = stand_in.sandbox.clone();
    let traffic = Traffic::start_with(with_key(&old.text), 50, move || target_in(&sandbox));
    let mut newcomer = with_key(&new.text);
    let mut admitted = async |within: Duration, wanted: bool| {
        let done = until(within, async || {
            let answer = newcomer.post(&target_in(&stand_in.sandbox).path()).await.expect("an answer");
            (answer.status == 200) == wanted
        });
        done.await
    };
    sent(&stand_in, 20).await;
    replace(&file, &format!("{}\n{}", old.toml, new.toml));
    let taken = admitted(Duration::from_secs(5), true).await.expect("the new key is not taken over");
    let refused = async |times: f64| {
        let read = async || service.metric("hangup_keys_reload_failures_total").await >= times;
        assert!(until(PATIENCE, read).await.is_some(), "the file is not read");
    };
    replace(&file, "[[key]\nnonsense = ");
    refused(1.0).await;
    assert!(admitted(Duration::ZERO, true).await.is_some(), "nonsense has revoked a key");
    std::fs::remove_file(&file).unwrap();
    refused(2.0).await;
    assert!(admitted(Duration::ZERO, true).await.is_some(), "a missing file has revoked a key");
    let seen = traffic.end().await;
    seen.none_failed();
    replace(&file, &old.toml);
    let revoked = admitted(Duration::from_secs(5), false).await.expect("the key is not revoked");
    Row {
        theme: THEME,
        fault: "The keys file gains a key, becomes invalid, vanishes, and loses a key",
        callers_see: "Nothing, while their key was in the last valid file",
        figure: "0 failed requests; a new key works and a removed one is refused within 5 s",
        measured: format!("{} requests; taken after {taken:?}, refused after {revoked:?}", seen.total()),
        test: "rotation::a_keys_file_rotated_also_to_nonsense_fails_nobody_who_has_a_key",
        long_half: false,
    }
    .write();
}
