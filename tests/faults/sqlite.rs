//! The embedded store: crashes at any moment, a full disk, a damaged file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hangup::sandbox::ParticipantSpec;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::http::{Answer, Caller};
use super::service::Launch;
use super::shared::stand_in::StandIn;
use super::shared::until;
use super::table::{Row, left_out};
use super::target::Target;

const THEME: &str = "A fleet and its store";

fn plan(stand_in: &StandIn, file: &Path) -> Launch {
    stand_in.plan().set("store.url", &format!("sqlite:{}", file.display()))
}

async fn select(caller: &mut Caller, target: &Target) -> std::io::Result<Answer> {
    let path = format!("/conversations/{}/participants/disconnect", target.conversation);
    caller.send("POST", &path, Some(r#"{"purpose":"agent"}"#)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sigkill_at_any_moment_forgets_no_claim() {
    const TEST: &str = "sqlite::a_sigkill_at_any_moment_forgets_no_claim";
    if left_out(TEST) {
        return;
    }
    let (stand_in, folder) = (StandIn::new(), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("hangup.db");
    let mut repeats = 0;
    for round in 0..8 {
        let service = stand_in.start(plan(&stand_in, &file)).await;
        let mut callers = JoinSet::new();
        for _ in 0..4 {
            let (mut caller, sandbox) = (service.caller(), stand_in.sandbox.clone());
            callers.spawn(async move {
                let mut answered = Vec::new();
                loop {
                    let target = super::target::target_in(&sandbox);
                    match select(&mut caller, &target).await {
                        Ok(answer) if answer.status == 200 => answered.push(target),
                        // Killed: the effect is unknown, and a repeat must find out.
                        _ => return (answered, target),
                    }
                }
            });
        }
        sleep(Duration::from_millis(40 + 53 * round)).await;
        service.signal("KILL");
        drop(service);
        let ended = callers.join_all().await;
        let service = stand_in.start(plan(&stand_in, &file)).await;
        let mut caller = service.caller();
        for (answered, unknown) in ended {
            for target in answered.iter().rev().take(40).chain([&unknown]) {
                let mut next = None;
                if answered.contains(target) {
                    let added = stand_in.sandbox.add_participant(target.conversation, ParticipantSpec::of("agent"));
                    next = added.expect("a participant");
                }
                let answer = select(&mut caller, target).await.expect("an answer");
                assert_eq!(answer.status, 200, "{}", answer.text());
                assert_eq!(answer.json()["results"][0]["participantId"], target.participant.to_string());
                let reached = next.is_some_and(|next| !stand_in.sandbox.is_live(target.conversation, next));
                assert!(!reached, "the next agent was reached");
                repeats += 1;
            }
        }
    }
    Row {
        theme: THEME,
        fault: "SIGKILL at 8 moments under traffic with selectors, on SQLite, and repeats after the restart",
        callers_see: "200 for the repeats",
        figure: "0 repeats reach the next agent",
        measured: format!("{repeats} repeats"),
        test: TEST,
        long_half: true,
    }
    .write();
}

/// A small file system; unmounted when it is dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this user may not mount.
    pub(crate) fn new(at: PathBuf, mebibytes: u32) -> Option<Self> {
        std::fs::create_dir(&at).expect("a folder");
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(&at).output();
        mounted.is_ok_and(|done| done.status.success()).then(|| Self(at))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    fn remount(&self, option: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()), "remount,{option}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_selectors_and_nothing_else() {
    const TEST: &str = "sqlite::a_full_disk_refuses_selectors_and_nothing_else";
    if left_out(TEST) {
        return;
    }
    let (stand_in, folder) = (StandIn::new(), tempfile::tempdir().expect("a folder"));
    let Some(disk) = SmallDisk::new(folder.path().join("disk"), 2) else {
        println!("{TEST}: NOT HELD: this user may not mount a small disk");
        return;
    };
    let service = stand_in.start(plan(&stand_in, &disk.0.join("hangup.db"))).await;
    let mut caller = service.caller();
    let filler = disk.0.join("filler");
    let fill = || {
        let _until_it_is_full = std::fs::write(&filler, vec![1; 3 << 20]);
    };
    fill();
    let mut full = false;
    for _ in 0..200 {
        fill();
        let target = stand_in.target();
        let answer = select(&mut caller, &target).await.expect("an answer");
        if answer.status == 503 {
            assert_eq!(answer.word(), "store_unavailable");
            assert!(stand_in.is_live(&target), "a target was reached");
            full = true;
        }
    }
    assert!(full, "the disk is never full");
    for _ in 0..30 {
        let answer = caller.post(&stand_in.target().path()).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    std::fs::remove_file(&filler).expect("the filler");
    let target = stand_in.target();
    let there =
        until(Duration::from_secs(5), async || select(&mut caller, &target).await.is_ok_and(|a| a.status == 200));
    assert!(there.await.is_some(), "it is not used again");
    Row {
        theme: THEME,
        fault: "The disk of the embedded store is full",
        callers_see: "Named disconnects: nothing. Selectors and teardowns: 503 `store_unavailable`, no one is disconnected",
        figure: "0 of 30 named ones fail; served again when there is room, without a restart",
        measured: "full within 200 selectors".to_owned(),
        test: TEST,
        long_half: true,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_or_damaged_file_is_reported_at_the_start_and_left_as_it_is() {
    const TEST: &str = "sqlite::a_read_only_or_damaged_file_is_reported_at_the_start_and_left_as_it_is";
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |file: &Path| {
        let done = Command::new(env!("CARGO_BIN_EXE_hangup"))
            .arg("serve")
            .env_clear()
            .env("HANGUP__SERVER__BIND", "127.0.0.1:0")
            .env("HANGUP__GENESYS__REGION", "eu-west-1")
            .env("HANGUP__GENESYS__CLIENT_ID", "id")
            .env("HANGUP__GENESYS__CLIENT_SECRET", "secret")
            .env("HANGUP__STORE__URL", format!("sqlite:{}", file.display()))
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("store.url = \"sqlite:{}\"", file.display())), "{said}");
        said
    };
    let damaged = folder.path().join("damaged.db");
    std::fs::write(&damaged, "not a database, and longer than the head of one".repeat(500)).expect("a file");
    let before = std::fs::read(&damaged).expect("it is there");
    assert!(refused(&damaged).contains("nothing was deleted"));
    assert_eq!(std::fs::read(&damaged).expect("it is there"), before);
    let mut held = "damaged".to_owned();
    if let Some(disk) = SmallDisk::new(folder.path().join("disk"), 2) {
        std::fs::write(disk.0.join("hangup.db"), "").expect("a file");
        disk.remount("ro");
        assert!(refused(&disk.0.join("hangup.db")).contains("cannot be written"));
        held.push_str(" and read-only");
    }
    Row {
        theme: THEME,
        fault: "The file of the embedded store is damaged, or on a read-only disk, at the start",
        callers_see: "Nothing: it does not start",
        figure: "Exit 2; the message names key, value and remedy; the file stays as it is",
        measured: held,
        test: TEST,
        long_half: false,
    }
    .write();
}
