//! `hangup check` against the sandbox with each fault.

use serde_json::Value;

use crate::support::process::{Binary, text};

/// Runs the check as scripts do, and gives the exit code and the results that are not `ok` or `skipped`.
async fn check(binary: &Binary, environment: &[(&str, &str)]) -> (Option<i32>, Vec<String>) {
    let output = binary.run(&["check", "--json"], environment).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], output.status.success());
    let wrong = report["checks"].as_array().unwrap().iter().filter(|item| item["result"] == "fail");
    let wrong = wrong.map(|item| {
        assert!(item["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{item}");
        item["check"].as_str().unwrap().to_owned()
    });
    let wrong = wrong.collect();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!shown.contains("sandbox-secret"), "{shown}");
    (output.status.code(), wrong)
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_is_well_it_says_so_and_changes_nothing() {
    let binary = Binary::new().await;
    assert_eq!(check(&binary, &[]).await, (Some(0), vec![]));
    let conversation = binary.conference.id.to_string();
    let output = binary.run(&["check", "--conversation", &conversation], &[]).await;
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    for word in ["permission to disconnect", "ok", &binary.who("customer").to_string(), "be sent, and disconnect"] {
        assert!(shown.contains(word), "{word} is missing in\n{shown}");
    }
    let now = binary.sandbox.conference(binary.conference.id).unwrap();
    assert_eq!(now.live(), binary.conference.live(), "nobody was touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_the_upstream_is_called_by_its_own_name() {
    let quick = [("HANGUP__DISCONNECT__DEADLINE", "2s")];
    let faults = [
        (r#"{"on":"login","action":{"answer":{"status":503}}}"#, vec!["login"]),
        (
            r#"{"on":"read","action":{"forbidden":{"permission":"conversation:communication:view"}}}"#,
            vec!["permission to view"],
        ),
        (
            r#"{"on":"disconnect","action":{"forbidden":{"permission":"conversation:communication:disconnect"}}}"#,
            vec!["permission to disconnect"],
        ),
        (r#"{"on":"disconnect","action":"not_a_user"}"#, vec!["permission to disconnect"]),
        (r#"{"on":"api","action":"unauthorized"}"#, vec!["permission to view", "permission to disconnect"]),
        (r#"{"on":"api","action":{"answer":{"status":503}}}"#, vec!["permission to view", "permission to disconnect"]),
    ];
    for (rule, expected) in faults {
        let binary = Binary::new().await;
        binary.fault(rule).await;
        let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(check(&binary, &quick).await, (Some(1), expected), "{rule}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_or_region_or_file_is_called_by_its_own_name() {
    let binary = Binary::new().await;
    let broken = binary.path("keys.toml");
    std::fs::write(&broken, "[[key]]\nname = 1\n").unwrap();
    let broken = text(&broken);
    let cases: [(&str, &str, &str); 5] = [
        ("HANGUP__GENESYS__CLIENT_SECRET", "a-wrong-secret", "login"),
        ("HANGUP__GENESYS__LOGIN_URL", "http://127.0.0.1:1", "login host"),
        ("HANGUP__GENESYS__API_URL", "http://no-such-host.invalid", "API host"),
        ("HANGUP__AUTH__KEYS_FILE", &broken, "keys file"),
        ("HANGUP__AUDIT__TARGET", "/nonexistent/audit.jsonl", "audit file"),
    ];
    for (key, value, expected) in cases {
        assert_eq!(check(&binary, &[(key, value)]).await, (Some(1), vec![expected.to_owned()]), "{key}");
    }
    let unreached = [
        ("HANGUP__GENESYS__LOGIN_URL", "http://127.0.0.1:1"),
        ("HANGUP__GENESYS__CLIENT_SECRET", ""),
        ("HANGUP__GENESYS__CLIENT_SECRET_FILE", "/nonexistent"),
    ];
    assert_eq!(check(&binary, &unreached).await.1, ["login host", "login"], "the secret file is read all the same");
    let output = binary.run(&["check", "--json"], &[("HANGUP__GENESYS__CLIENT_ID", "")]).await;
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_without_a_rate_or_an_end_are_named() {
    let binary = Binary::new().await;
    let keys = binary.path("keys.toml");
    std::fs::write(&keys, format!("[[key]]\nname = \"ivr\"\nsha256 = \"{}\"\nrate = \"5/s\"\n", "0".repeat(64)))
        .unwrap();
    let output = binary.run(&["check"], &[("HANGUP__AUTH__KEYS_FILE", &text(&keys))]).await;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("without expires: ivr") && !shown.contains("without rate"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_a_proxy_are_not_shown() {
    let binary = Binary::new().await;
    let proxy = [("HANGUP__GENESYS__PROXY", "http://user:proxy-canary@127.0.0.1:1")];
    for arguments in [&["check"][..], &["check", "--json"]] {
        let output = binary.run(arguments, &proxy).await;
        let shown = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(shown.contains("127.0.0.1:1") && !shown.contains("proxy-canary"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verdict_comes_first_and_all_fits_a_hundred_columns() {
    let binary = Binary::new().await;
    binary
        .fault(r#"{"on":"disconnect","action":{"forbidden":{"permission":"conversation:communication:disconnect"}}}"#)
        .await;
    let output = binary.run(&["check"], &[]).await;
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.starts_with("Not ready: permission to disconnect\n"), "{shown}");
    assert!(shown.contains("conversation:communication:disconnect is missing"), "{shown}");
    let table = shown.split("# The configuration in force").next().unwrap();
    for line in table.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_instead_of_genesys_cloud_is_named_and_says_nothing_about_permissions() {
    for (by, name) in [("nginx", "nginx/"), ("kong", "kong/"), ("api_gateway", "AWS API gateway")] {
        let binary = Binary::new().await;
        binary.fault(&format!(r#"{{"on":"api","action":{{"foreign":{{"by":"{by}"}}}}}}"#)).await;
        assert_eq!(check(&binary, &[]).await, (Some(1), vec!["whose answers".to_owned()]), "{by}");
        let output = binary.run(&["check"], &[]).await;
        let shown = String::from_utf8(output.stdout).unwrap();
        let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.starts_with("Not ready: whose answers CHECK") && words.contains(name), "{by}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_wants_a_users_token_does_not_name_a_permission_as_missing() {
    let binary = Binary::new().await;
    binary.fault(r#"{"on":"disconnect","action":"user_context"}"#).await;
    let output = binary.run(&["check"], &[]).await;
    let shown = String::from_utf8(output.stdout).unwrap();
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.starts_with("Not ready: permission to disconnect"), "{shown}");
    assert!(words.contains("user's token") && !words.contains("is missing"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_the_method_does_not_pass_for_an_org_without_the_operation() {
    let binary = Binary::new().await;
    binary.fault(r#"{"on":"patch","action":{"foreign":{"by":"nginx","status":501}}}"#).await;
    assert_eq!(check(&binary, &[]).await, (Some(1), vec!["whose answers".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_shows_what_the_org_does_and_names_no_one() {
    for (surface, operation) in [("published", "participant_state"), ("unpublished", "participant_disconnect")] {
        let binary = Binary::new().await;
        binary.settings(&format!(r#"{{"surface":"{surface}"}}"#)).await;
        let cid = binary.conference.id.to_string();
        let output = binary.run(&["check", "--prove", &cid, "--json"], &[]).await;
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.status.success(), "{report}");
        assert_eq!(report["proof"]["operation"], operation, "{report}");
        let steps = report["proof"]["steps"].as_array().unwrap();
        let answered = |tried: &str| {
            let step = steps.iter().find(|step| step["tried"].as_str().unwrap().starts_with(tried));
            step.unwrap_or_else(|| panic!("{tried} in {report}"))["answered"].as_str().unwrap().to_owned()
        };
        assert!(answered("PATCH in a conversation that does not exist").starts_with("404"), "{report}");
        assert!(answered("read until the participant is gone").starts_with("gone after"), "{report}");
        assert!(answered("read the conversation afterwards").contains("others are still there"), "{report}");
        let proof = report["proof"].to_string();
        assert!(!binary.sandbox.is_live(binary.conference.id, binary.who("customer")));
        for participant in &binary.conference.participants {
            assert!(!proof.contains(&participant.id.to_string()) && !proof.contains(&participant.name), "{proof}");
        }
        assert!(!proof.contains(&cid), "{proof}");

        let again = binary.run(&["check", "--prove", "00000000-0000-4000-8000-000000000000"], &[]).await;
        assert_eq!(again.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&again.stdout).starts_with("Not ready: proof\n"));
    }
}
