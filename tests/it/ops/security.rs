//! SECURITY.md names a test for each attack. Each of them is there.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::process::Binary;

/// Adds the names of the test functions in the Rust files below `folder`.
fn tests_below(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let is_test = |line: &&str| line.starts_with("#[test") || line.starts_with("#[tokio::test");
            for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_test(line)) {
                let name = lines[at..].iter().find_map(|line| line.split_once("fn ")?.1.split('(').next());
                into.insert(name.unwrap_or_else(|| panic!("{line} without a function")).to_owned());
            }
        }
    }
}

#[test]
fn every_attack_in_the_security_page_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    tests_below(&root.join("src"), &mut tests);
    tests_below(&root.join("tests"), &mut tests);
    let page = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let table = page.split("| attack | what happens | test |").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut named = 0;
    for row in table.lines().skip(2).filter(|row| !row.is_empty()) {
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let names: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test in {row}");
        for name in names {
            assert!(tests.contains(name), "there is no test {name}");
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_no_core_dump() {
    let binary = Binary::new().await;
    let service = binary.serve(&[], &[]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", service.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}
