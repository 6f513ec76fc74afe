//! Places the functions that a disconnect runs side by side in the release binary.
//!
//! The kernel maps a program's code in pieces of 64 KiB. A disconnect runs a fifth of the code, but wherever the linker leaves it,
//! nearly every piece has some of it; side by side, the service needs a third less memory at rest (docs/PERFORMANCE.md).
//! `functions.txt` lists the functions, and `bench/functions` writes it. Nothing else depends on the list: a function that it does
//! not know, or that is gone, costs a little memory and no more.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

const FUNCTIONS: &str = "build/functions.txt";
/// Names a file of those to place before them. scripts/profile-guided knows what its own program runs, whose names have other hashes.
const FIRST_FUNCTIONS: &str = "FIRST_FUNCTIONS";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-env-changed={FIRST_FUNCTIONS}");
    let mut functions = String::new();
    for list in env::var(FIRST_FUNCTIONS).ok().iter().map(String::as_str).chain([FUNCTIONS]) {
        println!("cargo:rerun-if-changed={list}");
        functions += &fs::read_to_string(list)?;
    }
    let Some(out) = env::var_os("OUT_DIR").filter(|_| links_with_the_toolchains_linker()) else { return Ok(()) };
    let script = Path::new(&out).join("order.ld");
    // The compiler's driver would split the path at a comma.
    let Some(path) = script.to_str().filter(|path| !path.contains(',')) else { return Ok(()) };
    fs::write(&script, linker_script(&functions))?;
    println!("cargo:rustc-link-arg-bins=-Wl,--script={path}");
    Ok(())
}

/// Other linkers may not understand the script, and a debug build is not worth it.
fn links_with_the_toolchains_linker() -> bool {
    let is = |name, value| env::var(name).is_ok_and(|found| found == value);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    is("PROFILE", "release")
        && is("TARGET", "x86_64-unknown-linux-gnu")
        && is("HOST", "x86_64-unknown-linux-gnu")
        && env::var_os("RUSTC_LINKER").is_none()
        && !flags.contains("link")
        && toolchain_folder().is_some_and(|folder| folder.join("bin/gcc-ld/ld.lld").exists())
}

/// Where the toolchain has its own tools for the target. Toolchains of distributions have none: they use the system's linker.
fn toolchain_folder() -> Option<PathBuf> {
    let printed = Command::new(env::var_os("RUSTC")?).args(["--print", "target-libdir"]).output().ok()?;
    let libraries = PathBuf::from(String::from_utf8(printed.stdout).ok()?.trim());
    libraries.parent().map(Path::to_path_buf)
}

/// Takes the listed functions first. A Rust function's name ends in a hash that changes with every version of the compiler or of a
/// library: after the exact names come the names with any hash, which also fit other instances of a generic function.
fn linker_script(functions: &str) -> String {
    let exact: Vec<&str> = functions.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let any_hash = exact.iter().filter_map(|name| Some(format!("{}17h*", name.rsplit_once("17h")?.0)));
    let mut script = String::from("SECTIONS {\n.text.disconnect : {\n");
    for name in exact.iter().map(|name| (*name).to_owned()).chain(any_hash) {
        // The compiler marks what it takes for hot, by a profile, or for unlikely.
        let _ = writeln!(script, "*(.text.{name} .text.hot.{name} .text.unlikely.{name})");
    }
    script.push_str("}\n}\nINSERT BEFORE .text;\n");
    script
}
