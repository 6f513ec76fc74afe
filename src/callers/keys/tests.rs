use super::super::permission::Permission;
use super::*;

fn record(more: &str) -> String {
    format!("[[key]]\nname = \"ivr\"\nsha256 = \"{}\"\n{more}\n", Digest::of(b"secret"))
}

fn parse(text: &str) -> Result<KeySet, String> {
    KeySet::parse(text, &KeySet::default())
}

fn only(text: &str) -> Caller {
    parse(text).unwrap().get(Digest::of(b"secret")).unwrap().caller.clone()
}

#[tokio::test]
async fn a_short_record_may_disconnect_and_read_and_nothing_else() {
    let caller = only(&record(""));
    assert_eq!(caller.name(), "ivr");
    assert!(caller.may(Permission::Disconnect) && caller.may(Permission::Read));
    assert!(!caller.may(Permission::Teardown));
    assert!(caller.guards().is_none() && caller.mode().is_none() && caller.expires().is_none());
}

#[tokio::test]
async fn a_full_record_is_read() {
    let queue = "1DD9B1BA-1F4A-4E41-A9D8-7B2B5E7D9C11";
    let caller = only(&record(&format!(
        "permissions = [\"teardown\"]\nexpires = \"2027-12-31T18:00:00+02:00\"\nrate = \"5/s\"\nmode = \"observe\"\npurposes = [\"Agent\"]\nqueue_ids = [\"{queue}\"]"
    )));
    assert!(caller.may(Permission::Teardown) && !caller.may(Permission::Read));
    assert_eq!(caller.mode(), Some(Mode::Observe));
    let guards = caller.guards().unwrap();
    assert!(guards.permits(Some("agent"), Some(&queue.to_lowercase())));
    assert!(!guards.permits(Some("customer"), Some(queue)));
    let seconds = caller.expires().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(seconds, 1_830_268_800);
}

#[tokio::test]
async fn a_date_lasts_to_its_end_and_may_be_written_without_quotes() {
    let quoted = only(&record("expires = \"2027-12-31\"")).expires();
    assert_eq!(quoted, only(&record("expires = 2027-12-31")).expires());
    assert_eq!(quoted, only(&record("expires = 2028-01-01T00:00:00Z")).expires());
}

#[tokio::test]
async fn mistakes_are_named_with_the_key_and_the_remedy() {
    let cases = [
        (record("colour = \"red\""), "unknown field `colour`"),
        (record("permissions = [\"write\"]"), "key \"ivr\": permissions: \"write\" is not a permission"),
        (record("expires = \"soon\""), "key \"ivr\": expires is not a date"),
        (record("expires = 2027-12-31T18:00:00"), "expires is not a date"),
        (record("expires = 5"), "expires is not a date"),
        (record("rate = \"5\""), "is not a rate"),
        (record("mode = \"off\""), "is none of enforce, observe"),
        (record("purposes = []"), "purposes is empty"),
        (record("queue_ids = [\"sales\"]"), "queue_ids: \"sales\" cannot be used"),
        (record("addresses = [\"office\"]"), "addresses: \"office\" is neither an address nor a network"),
        (record("addresses = []"), "addresses is empty"),
        (record("") + &record("").replace("ivr", "other"), "have the same sha256"),
        (
            record("") + &record("").replace(&Digest::of(b"secret").to_string(), &Digest::of(b"x").to_string()),
            "two keys are named \"ivr\"",
        ),
        (record("").replace("ivr", "a:b"), "a key's name has"),
        (record("").replace("ivr", "anonymous"), "choose another"),
        ("[[keys]]".to_owned(), "unknown field `keys`"),
        ("[[key".to_owned(), "line 1"),
    ];
    for (text, expected) in cases {
        let error = parse(&text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_key_written_where_its_digest_belongs_is_not_repeated() {
    let error = parse("[[key]]\nname = \"ivr\"\nsha256 = \"hk_canary\"").unwrap_err();
    assert!(error.contains("64 hexadecimal digits") && !error.contains("canary"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_goes_on_across_a_reload_unless_it_is_changed() {
    let first = parse(&record("rate = \"2/m\"")).unwrap();
    let caller = &first.get(Digest::of(b"secret")).unwrap().caller;
    assert!(caller.charge(1).is_ok() && caller.charge(1).is_ok() && caller.charge(1).is_err());
    let same = KeySet::parse(&record("rate = \"2/m\"\nmode = \"observe\""), &first).unwrap();
    assert!(same.get(Digest::of(b"secret")).unwrap().caller.charge(1).is_err());
    let other = KeySet::parse(&record("rate = \"3/m\""), &first).unwrap();
    assert!(other.get(Digest::of(b"secret")).unwrap().caller.charge(1).is_ok());
}

#[tokio::test]
async fn ten_thousand_keys_are_fine_and_an_empty_file_is_valid() {
    let text: String = (0..10_000)
        .map(|n: u32| format!("[[key]]\nname = \"k{n}\"\nsha256 = \"{}\"\n", Digest::of(&n.to_be_bytes())))
        .collect();
    assert_eq!(parse(&text).unwrap().len(), 10_000);
    assert_eq!(parse("").unwrap().len(), 0);
}

#[tokio::test]
async fn a_new_key_fits_into_the_file_and_is_found() {
    let key = super::super::mint::new_key("studio").unwrap();
    assert!(key.text.starts_with("hk_"));
    assert!(!key.toml.contains(&key.text) && !format!("{key:?}").contains(&key.text));
    let set = parse(&key.toml).unwrap();
    assert_eq!(set.get(Digest::of(key.text.as_bytes())).unwrap().caller.name(), "studio");
    assert!(super::super::mint::new_key("no good").is_err());
}

#[tokio::test]
async fn a_key_may_have_several_digests_while_it_is_rotated_and_each_has_its_last_use() {
    let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
    let text = format!("[[key]]\nname = \"ivr\"\nsha256 = [\"{old}\", \"{new}\"]\nrate = \"1/m\"\n");
    let set = parse(&text).unwrap();
    assert_eq!(set.len(), 1);
    let (by_old, by_new) = (set.get(old).unwrap(), set.get(new).unwrap());
    assert!(by_old.caller.charge(1).is_ok() && by_new.caller.charge(1).is_err(), "one rate for both");
    by_new.used();
    assert!(by_old.last_used().is_none() && by_new.last_used().is_some());
    let reloaded = KeySet::parse(&text.replace("1/m", "2/m"), &set).unwrap();
    assert!(reloaded.get(new).unwrap().last_used().is_some(), "a reload forgets no use");
    let twice = format!("{text}[[key]]\nname = \"crm\"\nsha256 = \"{new}\"\n");
    assert!(parse(&twice).unwrap_err().contains("the same sha256"));
}

#[tokio::test]
async fn changes_are_reported_by_name_and_without_secrets() {
    let key = |name: &str, more: &str| {
        format!("[[key]]\nname = \"{name}\"\nsha256 = \"{}\"\n{more}\n", Digest::of(name.as_bytes()))
    };
    let before = parse(&(key("a", "") + &key("b", "") + &key("c", ""))).unwrap();
    let after = parse(&(key("a", "") + &key("b", "mode = \"observe\"") + &key("d", ""))).unwrap();
    assert_eq!(after.changes_since(&before).as_deref(), Some("added: d; removed: c; changed: b"));
    assert_eq!(before.changes_since(&before), None);
}
