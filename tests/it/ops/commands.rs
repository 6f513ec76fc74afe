//! The commands that people and scripts use beside `serve`.

use std::net::TcpListener;
use std::time::Duration;

use hangup::sandbox::{Fault, On};
use serde_json::Value;

use crate::shared::free_addr;
use crate::support::process::{Binary, records, text};

const OFFICE: [(&str, &str); 1] = [("HANGUP__DISCONNECT__DEADLINE", "5s")];

fn shown(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnect_ends_one_participant_and_says_so_by_its_exit_code() {
    let binary = Binary::new().await;
    let (cid, customer) = (binary.conference.id.to_string(), binary.who("customer").to_string());
    let audit = binary.path("audit.jsonl");
    let environment = [("HANGUP__AUDIT__TARGET", text(&audit))];
    let environment = environment.each_ref().map(|(key, value)| (*key, value.as_str()));

    let dry = binary.run(&["disconnect", &cid, &customer, "--dry-run"], &environment).await;
    assert_eq!(dry.status.code(), Some(0), "{}", shown(&dry));
    assert!(shown(&dry).contains("would_disconnect"), "{}", shown(&dry));
    assert_eq!(binary.sandbox.conference(binary.conference.id).unwrap().live(), binary.conference.live());

    let done = binary.run(&["disconnect", &cid, &customer, "--yes", "--reason", "closing time"], &environment).await;
    assert_eq!(done.status.code(), Some(0), "{}", shown(&done));
    for word in ["Who is in conversation", "Gone: the participant was seen gone", "Who is there now", &customer] {
        assert!(shown(&done).contains(word), "{word} is missing in\n{}", shown(&done));
    }
    let now = binary.sandbox.conference(binary.conference.id).unwrap();
    let others: Vec<_> = binary.conference.live().into_iter().filter(|id| *id != binary.who("customer")).collect();
    assert_eq!(now.live(), others, "exactly that participant is gone");
    let record = records(&audit).into_iter().find(|record| record["reason"] == "closing time").unwrap();
    assert_eq!((&record["outcome"], &record["verified"]), (&Value::from("disconnected"), &Value::from(true)));

    let again = binary.run(&["disconnect", &cid, &customer, "--yes", "--json"], &environment).await;
    let answer: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((again.status.code(), &answer["outcome"]), (Some(0), &Value::from("already_disconnected")));
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnect_leaves_its_record_in_the_store_and_keeps_to_the_mode_that_is_stored_there() {
    let binary = Binary::new().await;
    let url = format!("sqlite:{}", text(&binary.path("hangup.db")));
    let environment = [("HANGUP__STORE__URL", url.as_str())];
    let (cid, customer) = (binary.conference.id.to_string(), binary.who("customer").to_string());
    let service = binary.serve(&[], &environment).await;
    let disconnect = ["disconnect", cid.as_str(), customer.as_str(), "--yes"];
    assert_eq!(service.put("/mode", r#"{"mode":"observe"}"#).await.0, 200);
    let observed = binary.run(&disconnect, &environment).await;
    assert_eq!(observed.status.code(), Some(1), "{}", shown(&observed));
    assert_eq!(service.put("/mode", r#"{"mode":"enforce"}"#).await.0, 200);
    let done = binary.run(&disconnect, &environment).await;
    assert_eq!(done.status.code(), Some(0), "{}", shown(&done));
    let audit = binary.run(&["audit", "--participant", &customer, "--json"], &environment).await;
    let said = String::from_utf8(audit.stdout).unwrap();
    let outcomes: Vec<Value> =
        said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["outcome"].clone()).collect();
    assert_eq!(outcomes, ["would_disconnect", "disconnected"]);

    // Where the service prints its records, the command prints its answer all the same.
    let external = binary.who("external").to_string();
    let printing = [environment[0], ("HANGUP__AUDIT__TARGET", "stdout")];
    let done = binary.run(&["disconnect", &cid, &external, "--yes", "--json"], &printing).await;
    let answer: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", shown(&done)));
    assert_eq!(answer["outcome"], "disconnected");
    let audit = binary.run(&["audit", "--participant", &external], &environment).await;
    assert!(shown(&audit).contains("1 records"), "{}", shown(&audit));
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnect_disconnects_nobody_where_the_store_cannot_tell_the_mode() {
    let binary = Binary::new().await;
    let (cid, customer) = (binary.conference.id.to_string(), binary.who("customer").to_string());
    let nowhere = [("HANGUP__STORE__URL", "postgres://hangup@127.0.0.1:1/none")];
    let output = binary.run(&["disconnect", &cid, &customer, "--yes"], &nowhere).await;
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    assert!(shown(&output).contains("not known whether the service was set to observe mode"), "{}", shown(&output));
    assert!(binary.sandbox.is_live(binary.conference.id, binary.who("customer")));
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnect_is_no_replica_of_the_service_whose_store_it_uses() {
    let binary = Binary::new().await;
    let url = format!("sqlite:{}", text(&binary.path("hangup.db")));
    let environment = [("HANGUP__STORE__URL", url.as_str())];
    let (cid, customer) = (binary.conference.id.to_string(), binary.who("customer").to_string());
    let service = binary.serve(&[], &environment).await;
    // It is there for more than two looks of the service.
    binary.sandbox.set_faults(vec![Fault::latency(On::Read, Duration::from_millis(1500))]).unwrap();
    let command = ["disconnect", cid.as_str(), customer.as_str(), "--yes"];
    let mut command = std::pin::pin!(binary.run(&command, &environment));
    let done = loop {
        tokio::select! {
            done = &mut command => break done,
            replicas = service.metric("hangup_replicas") => assert_eq!(replicas, 1.0),
        }
    };
    assert_eq!(done.status.code(), Some(0), "{}", shown(&done));
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnect_shows_scripts_what_went_wrong_by_its_exit_code() {
    let binary = Binary::new().await;
    let (cid, customer) = (binary.conference.id.to_string(), binary.who("customer").to_string());
    let nobody = "00000000-0000-4000-8000-000000000000";
    for (arguments, code, words) in [
        (&["disconnect", &cid][..], 2, "name the PARTICIPANT"),
        (&["disconnect", &cid, &customer], 2, "add --yes"),
        (&["disconnect", &cid, nobody, "--yes"], 1, "participant_not_found"),
        (&["disconnect", nobody, &customer, "--yes"], 1, "conversation_not_found"),
        (&["disconnect", "call-17"], 2, "call-17"),
        (&["disconnect", &cid, &customer, "--yes", "--server", "localhost"], 2, "--server"),
        (&["disconnect", &cid, &customer, "--yes", "--server", "http://127.0.0.1:1"], 1, "onnection refused"),
        (&["status", "--server", "http://127.0.0.1:1"], 1, "check that the service runs"),
        (
            &["disconnect", &cid, &customer, "--yes", "--server", "http://x", "--key-file", "/nonexistent"],
            2,
            "--key-file",
        ),
    ] {
        let output = binary.run(arguments, &OFFICE).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", shown(&output));
        assert!(shown(&output).contains(words), "{arguments:?}: {}", shown(&output));
    }
    let unconfigured = [("HANGUP__GENESYS__CLIENT_ID", ""), ("HANGUP__GENESYS__API_URL", "")];
    let output = binary.run(&["disconnect", &cid, &customer, "--yes"], &unconfigured).await;
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    assert!(shown(&output).contains("--server"), "{}", shown(&output));
    binary.fault(r#"{"on":"disconnect","action":"ignore_effect"}"#).await;
    let output = binary.run(&["disconnect", &cid, &customer, "--yes", "--wait", "1"], &OFFICE).await;
    assert_eq!(output.status.code(), Some(3), "{}", shown(&output));
    assert_eq!(binary.sandbox.conference(binary.conference.id).unwrap().live(), binary.conference.live());
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnect_of_a_named_participant_goes_on_where_nothing_can_be_read() {
    let binary = Binary::new().await;
    let (cid, customer) = (binary.conference.id.to_string(), binary.who("customer").to_string());
    binary.fault(r#"{"on":"read","action":{"foreign":{"by":"nginx"}}}"#).await;
    let asking = binary.run(&["disconnect", &cid, "--yes"], &OFFICE).await;
    assert_eq!(asking.status.code(), Some(1), "whom is to be asked: {}", shown(&asking));
    let named = binary.run(&["disconnect", &cid, &customer, "--yes", "--wait", "1"], &OFFICE).await;
    assert_eq!(named.status.code(), Some(3), "{}", shown(&named));
    for word in ["cannot be read", "upstream_invalid_response", "Not known", "accepted"] {
        assert!(shown(&named).contains(word), "{word} is missing in\n{}", shown(&named));
    }
    binary.sandbox.settled(binary.conference.id).await;
    assert!(!binary.sandbox.is_live(binary.conference.id, binary.who("customer")));
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnect_before_a_service_that_only_observes_is_no_success() {
    let binary = Binary::new().await;
    let (cid, customer) = (binary.conference.id.to_string(), binary.who("customer").to_string());
    let observing = [("HANGUP__DISCONNECT__MODE", "observe")];
    let output = binary.run(&["disconnect", &cid, &customer, "--yes"], &observing).await;
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    assert!(shown(&output).contains("observe mode"), "{}", shown(&output));
    let dry = binary.run(&["disconnect", &cid, &customer, "--dry-run"], &observing).await;
    assert_eq!(dry.status.code(), Some(0), "{}", shown(&dry));
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnect_asks_a_service_that_runs_elsewhere_with_a_callers_key() {
    let binary = Binary::new().await;
    let (cid, customer) = (binary.conference.id.to_string(), binary.who("customer").to_string());
    let made = binary.run(&["key", "new", "desk"], &[]).await;
    let (keys, key) = (binary.path("keys.toml"), binary.path("key"));
    std::fs::write(&keys, &made.stdout).unwrap();
    let printed = String::from_utf8(made.stderr).unwrap();
    let secret = printed.split_whitespace().find(|word| word.starts_with("hk_")).unwrap();
    std::fs::write(&key, format!("{secret}\n")).unwrap();
    let service = binary.serve(&[], &[("HANGUP__AUTH__KEYS_FILE", &text(&keys))]).await;
    // Nothing of its own to log in with.
    let nothing = [("HANGUP__GENESYS__CLIENT_ID", ""), ("HANGUP__GENESYS__CLIENT_SECRET", "")];
    let elsewhere = ["disconnect", &cid, &customer, "--yes", "--server", &service.url];
    let output = binary.run(&elsewhere, &nothing).await;
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    assert!(shown(&output).contains("unauthenticated"), "{}", shown(&output));
    let output = binary.run(&[&elsewhere[..], &["--key-file", &text(&key)]].concat(), &nothing).await;
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    assert!(!shown(&output).contains(secret));
    assert!(!binary.sandbox.is_live(binary.conference.id, binary.who("customer")));
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_and_explain_ask_a_service_that_runs_elsewhere_with_a_callers_key() {
    let binary = Binary::new().await;
    let (cid, customer) = (binary.conference.id.to_string(), binary.who("customer").to_string());
    let (desk, auditor) = [("desk", r#"["disconnect", "read"]"#), ("auditor", r#"["audit", "read"]"#)]
        .map(|(name, may)| {
            let made = hangup::callers::new_key(name).unwrap();
            std::fs::write(binary.path(name), &made.text).unwrap();
            made.toml.replace(r#"["disconnect", "read"]"#, may)
        })
        .into();
    let keys = binary.path("keys.toml");
    std::fs::write(&keys, format!("{desk}\n{auditor}")).unwrap();
    let url = format!("sqlite:{}", text(&binary.path("hangup.db")));
    let service = binary.serve(&[], &[("HANGUP__AUTH__KEYS_FILE", &text(&keys)), ("HANGUP__STORE__URL", &url)]).await;
    let nothing = [("HANGUP__GENESYS__CLIENT_ID", ""), ("HANGUP__GENESYS__CLIENT_SECRET", "")];
    let ask = async |key: &str, command: &[&str]| {
        let key = text(&binary.path(key));
        let elsewhere = ["--server", &service.url, "--key-file", &key];
        binary.run(&[command, &elsewhere[..]].concat(), &nothing).await
    };
    let done = ask("desk", &["disconnect", &cid, &customer, "--yes", "--reason", "a+b & c"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", shown(&done));

    let found = ask("auditor", &["audit", "--conversation", &cid, "--since", "1h"]).await;
    assert_eq!(found.status.code(), Some(0), "{}", shown(&found));
    assert!(shown(&found).contains("key:desk") && shown(&found).contains("1 records"), "{}", shown(&found));
    let none = ask("auditor", &["audit", "--caller", "stranger"]).await;
    assert!(shown(&none).contains("0 records"), "{}", shown(&none));
    let refused = ask("desk", &["audit"]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", shown(&refused));
    assert!(shown(&refused).contains("lacks the permission \"audit\""), "{}", shown(&refused));

    let all = ask("auditor", &["explain", &cid, &customer]).await;
    assert_eq!(all.status.code(), Some(0), "{}", shown(&all));
    assert!(shown(&all).contains("a+b & c") || shown(&all).contains("disconnected"), "{}", shown(&all));
    assert!(shown(&all).contains("be answered 200"), "{}", shown(&all));
    let without_audit = ask("desk", &["explain", &cid]).await;
    assert_eq!(without_audit.status.code(), Some(0), "{}", shown(&without_audit));
    assert!(shown(&without_audit).contains("What the audit says: could not be read"), "{}", shown(&without_audit));
}

#[tokio::test(flavor = "multi_thread")]
async fn config_prints_a_file_to_start_from_and_every_value_with_its_source() {
    let binary = Binary::new().await;
    let output = binary.run(&["config"], &[]).await;
    assert_eq!(String::from_utf8(output.stdout).unwrap(), include_str!("../../../config/default.toml"));
    let file = binary.path("hangup.toml");
    std::fs::write(&file, "[disconnect]\ndeadline = \"7s\"\n").unwrap();
    let output = binary.run(&["config", "--effective", "--config", &text(&file)], &[]).await;
    let shown = shown(&output);
    assert!(output.status.success(), "{shown}");
    for (key, source) in [
        ("disconnect.deadline = \"7s\"", "line 2"),
        ("genesys.client_id = \"sandbox\"", "# HANGUP__GENESYS__CLIENT_ID"),
        ("disconnect.confirm = \"never\"", "# default"),
        ("store.keep_audit = \"90d\"", "# default"),
    ] {
        let line = shown.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key} in {shown}"));
        assert!(line.ends_with(source), "{line}");
    }
    assert!(!shown.contains("sandbox-secret"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_and_version_need_no_configuration() {
    let binary = Binary::new().await;
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = binary.run(&["completions", shell], &[("HANGUP__NO__SUCH", "key")]).await;
        assert!(output.status.success() && shown(&output).contains("healthcheck"), "{shell}: {}", shown(&output));
    }
    let output = binary.run(&["--version"], &[]).await;
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("hangup {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_says_why_there_is_no_connection() {
    let binary = Binary::new().await;
    let output = binary.run(&["healthcheck"], &[("HANGUP__SERVER__BIND", "127.0.0.1:1")]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(shown(&output).contains("Connection refused"), "{}", shown(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_says_what_to_open_and_never_leaves_the_address_it_was_given() {
    let binary = Binary::new().await;
    let taken = free_addr().to_string();
    let free = "127.0.0.1:0";
    for (key, other) in
        [("HANGUP__SERVER__BIND", "HANGUP__SANDBOX__BIND"), ("HANGUP__SANDBOX__BIND", "HANGUP__SERVER__BIND")]
    {
        let held = TcpListener::bind(&taken);
        let output = binary.run(&["demo", "--once"], &[(key, &taken), (other, free)]).await;
        assert_eq!(output.status.code(), Some(1), "{key}: {}", shown(&output));
        assert!(shown(&output).contains(&taken), "{key}: {}", shown(&output));
        drop(held);
    }
    let mut demo = binary.command(&["demo"], &[("HANGUP__SANDBOX__BIND", free)]).spawn().unwrap();
    let mut said = String::new();
    let mut lines = std::io::BufReader::new(demo.stdout.take().unwrap());
    while !said.contains("Ctrl-C") {
        assert!(std::io::BufRead::read_line(&mut lines, &mut said).unwrap() > 0, "{said}");
    }
    demo.kill().unwrap();
    demo.wait().unwrap();
    assert!(said.contains("Open in your browser:   http://127.0.0.1:"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_outside_does_not_steer_the_terminal() {
    let binary = Binary::new().await;
    let url = format!("http://{}/sandbox/conversations", binary.addr);
    let evil = "owned\u{1b}]0;\u{7}\n\u{202e}drowssap\u{9b}2J";
    let spec = serde_json::json!({"participants": [{"purpose": "customer", "name": evil}]}).to_string();
    let made: Value = binary.client.post(url).body(spec).send().await.unwrap().text().await.unwrap().parse().unwrap();
    let cid = made["id"].as_str().unwrap();
    let pid = made["participants"][0]["id"].as_str().unwrap();
    let audit = text(&binary.path("audit.jsonl"));
    let environment = [("HANGUP__AUDIT__TARGET", audit.as_str())];
    let gone = binary.run(&["disconnect", cid, pid, "--yes", "--reason", evil], &environment).await;
    assert!(gone.status.success(), "{}", shown(&gone));
    let mut outputs = vec![gone];
    for arguments in [&["check", "--conversation", cid][..], &["explain", cid], &["audit", &audit]] {
        outputs.push(binary.run(arguments, &environment).await);
    }
    for output in outputs {
        let shown = shown(&output);
        assert!(output.status.success(), "{shown}");
        let steers = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
        assert!(!shown.contains(steers) && shown.contains("owned"), "{shown:?}");
        for line in shown.lines().filter(|line| line.contains("owned")) {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_the_running_service_at_a_glance() {
    let binary = Binary::new().await;
    let service = binary.serve(&[], &[]).await;
    let (cid, customer) = (binary.conference.id.to_string(), binary.who("customer").to_string());
    let path = format!("/conversations/{cid}/participants/{customer}/disconnect");
    assert_eq!(service.post(&path, &[], "").await.0, 200);
    let output = binary.run(&["status", "--server", &service.url], &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    for word in ["Ready: ", "usable for", " of 300 left", "participant_state", "enforce"] {
        assert!(shown(&output).contains(word), "{word} is missing in\n{}", shown(&output));
    }
    let bind = service.url.trim_start_matches("http://").to_owned();
    let output = binary.run(&["status", "--json"], &[("HANGUP__SERVER__BIND", &bind)]).await;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &answer["ready"]), (Some(0), &Value::from(true)));
    let output = binary.run(&["status", "--server", "http://127.0.0.1:1"], &[]).await;
    assert!(output.status.code() == Some(1) && shown(&output).contains("onnection refused"), "{}", shown(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_reader_has_left_ends_quietly() {
    let binary = Binary::new().await;
    for command in [&["config"][..], &["config", "--effective"], &["key", "new", "ivr"], &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = binary.command(command, &[]);
        command.stdout(writer);
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert_eq!(ended.status.code(), Some(141), "{}", shown(&ended));
        assert!(!shown(&ended).contains("panicked"), "{}", shown(&ended));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_of_a_store_that_gets_no_records_says_so() {
    let binary = Binary::new().await;
    let url = format!("sqlite:{}", text(&binary.path("hangup.db")));
    let path = text(&binary.path("audit.jsonl"));
    for (target, told) in [(path.as_str(), true), ("store", false)] {
        let read = binary.run(&["audit"], &[("HANGUP__STORE__URL", &url), ("HANGUP__AUDIT__TARGET", target)]).await;
        assert_eq!(read.status.code(), Some(0), "{}", shown(&read));
        assert_eq!(shown(&read).contains("does not name the store"), told, "{}", shown(&read));
    }
}
