//! The public interface of the library as a list, an item a line: `compare` with `docs/api.txt`, or `write` that file.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use public_api::Builder;
use rustdoc_types::FORMAT_VERSION;
use serde_json::Value;

/// What the interface may name beside the language's own crates; each has promised to keep its own interface.
const MAY_NAME: &[&str] = &["bitflags 2", "bytes 1", "tokio 1"];
const LANGUAGE: &[&str] = &["alloc", "core", "std"];
/// The one exception: the structure that recvmsg(2) takes, and with it the crate `io-uring`.
const EXCEPT: &str = "libc::msghdr";
/// Traits of the compiler's own, whose set differs from one to the next, and those that nobody relies on.
const UNTOLD: &[&str] =
    &["marker::Freeze", "marker::StructuralPartialEq", "marker::UnsafeUnpin", "RefUnwindSafe", "UnwindSafe"];
/// What nearly every type is.
const USUAL: &[&str] = &["marker::Send", "marker::Sync", "marker::Unpin"];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run(env::args().nth(1).as_deref() == Some("write")) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("api: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(write: bool) -> Result<bool> {
    if !cfg!(target_os = "linux") {
        println!("SKIPPED: the public interface: docs/api.txt lists that of Linux");
        return Ok(true);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let json = rustdoc(&root)?;
    let document: Value = serde_json::from_slice(&fs::read(&json)?)?;
    let format = document["format_version"].as_u64().ok_or("rustdoc's JSON has no format_version")?;
    if format != u64::from(FORMAT_VERSION) {
        println!(
            "SKIPPED: the public interface: this toolchain's rustdoc writes JSON of format {format}, and api/ reads"
        );
        println!(
            "         {FORMAT_VERSION} (Rust 1.95): to compare, raise public-api and rustdoc-types in api/Cargo.toml"
        );
        return Ok(true);
    }
    let external = external(&document);
    let lines = list(&json, |name| external.contains(name))?;
    let (named, mut good) = named(&lines, &external, &versions(&root)?);
    let text = format!(
        "# The public interface on Linux, with all features. Written by `api/run write`, compared by `api/run`.\n\
         # Other crates that it names: {}.\n\n{}\n",
        named.join(", "),
        lines.join("\n")
    );
    let file = root.join("docs/api.txt");
    if write {
        fs::write(&file, text)?;
        println!("docs/api.txt: {} lines", lines.len());
    } else {
        good &= compare(&fs::read_to_string(&file)?, &text);
    }
    if good && !write {
        println!(
            "the public interface is that of docs/api.txt: {} lines; crates named: {}",
            lines.len(),
            named.join(", ")
        );
    }
    Ok(good)
}

/// Has rustdoc describe the library; a stable one is told to be a nightly.
fn rustdoc(root: &Path) -> Result<PathBuf> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("api");
    let status = cargo(root)
        .args(["rustdoc", "--quiet", "--lib", "--all-features", "--target-dir"])
        .arg(&target)
        .args(["--", "-Zunstable-options", "--output-format=json"])
        .env("RUSTC_BOOTSTRAP", "1")
        .status()?;
    if !status.success() {
        return Err(format!("rustdoc: {status}").into());
    }
    Ok(target.join("doc/ancillary.json"))
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Every item that a user can name, and every impl, but for what goes without saying: impls that come with any type, functions
/// of traits, which are as the trait says, and that a type is `Send`, `Sync` and `Unpin`; that one is not is listed.
fn list(json: &Path, external: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let api = Builder::from_rustdoc_json(json).omit_blanket_impls(true).sorted(true).build()?;
    let items: Vec<_> = api.items().map(|item| (item, without_modules(&item.to_string(), &external))).collect();
    let is_impl = |line: &str| line.starts_with("impl") && line.contains(" for ");
    let of_traits: HashSet<_> = items.iter().filter(|(_, line)| is_impl(line)).map(|(item, _)| item.id()).collect();
    let untold = |line: &str| {
        let of = |names: &[&str]| names.iter().any(|name| line.contains(&format!("::{name} for ")));
        of(UNTOLD) || (of(USUAL) && !line.contains(" !") && !line.contains(" where "))
    };
    Ok(items
        .into_iter()
        .filter(|(item, line)| {
            let as_the_trait = line.contains(" fn ") && item.parent_id().is_some_and(|id| of_traits.contains(&id));
            !(as_the_trait || is_impl(line) && untold(line))
        })
        .map(|(_, line)| line)
        .collect())
}

/// A path into another crate without its modules, which are that crate's own business: `bytes::BufMut`.
fn without_modules(line: &str, external: impl Fn(&str) -> bool) -> String {
    let mut out = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_path(c)).unwrap_or(rest.len());
        let (path, after) = rest.split_at(end);
        let mut segments: Vec<_> = path.split("::").collect();
        if external(segments[0]) {
            let named = segments.iter().skip(1).position(|name| name.starts_with(char::is_uppercase));
            let first = named.map_or(segments.len() - 1, |at| at + 1);
            segments.drain(1..first);
        }
        out += &segments.join("::");
        let next = after.find(is_path).unwrap_or(after.len());
        out += &after[..next];
        rest = &after[next..];
    }
    out
}

fn is_path(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == ':'
}

/// Name and major version of what the library depends on, as they are written in paths; of 0.x the minor one too.
fn versions(root: &Path) -> Result<BTreeMap<String, String>> {
    let tree = ["tree", "--quiet", "--all-features", "--edges=normal", "--prefix=none", "--format={lib} {p}"];
    let output = cargo(root).args(tree).output()?;
    if !output.status.success() {
        return Err(format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let mut versions = BTreeMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let mut words = line.split(' ');
        let (Some(lib), Some(_), Some(version)) = (words.next(), words.next(), words.next()) else { continue };
        let parts: Vec<_> = version.trim_start_matches('v').splitn(3, '.').collect();
        versions.insert(lib.to_owned(), if parts[0] == "0" { parts[..2].join(".") } else { parts[0].to_owned() });
    }
    Ok(versions)
}

/// Which crates the lines name, and whether they may.
fn named(lines: &[String], external: &HashSet<&str>, versions: &BTreeMap<String, String>) -> (Vec<String>, bool) {
    let mut named = BTreeMap::new();
    for line in lines {
        for path in line.split(|c| !is_path(c)) {
            let name = path.split("::").next().unwrap_or_default();
            if path != name && external.contains(name) {
                named.entry(if path == EXCEPT { EXCEPT } else { name }).or_insert_with(Vec::new).push(line);
            }
        }
    }
    let (mut words, mut good) = (Vec::new(), true);
    for (name, lines) in named {
        let lib = name.split("::").next().unwrap_or_default();
        let mut word = format!("{lib} {}", versions.get(lib).map_or("of an unknown version", String::as_str));
        if name == EXCEPT {
            word = format!("{word} ({EXCEPT} alone)");
        } else if !MAY_NAME.contains(&word.as_str()) {
            good = false;
            eprintln!("the public interface names {word}, but may name {} alone:", MAY_NAME.join(", "));
            lines.iter().for_each(|line| eprintln!("  {line}"));
        }
        words.push(word);
    }
    (words, good)
}

/// The crates that the library is built on, but for the language's own.
fn external(document: &Value) -> HashSet<&str> {
    let crates = document["external_crates"].as_object().into_iter().flat_map(|crates| crates.values());
    crates.filter_map(|external| external["name"].as_str()).filter(|name| !LANGUAGE.contains(name)).collect()
}

/// Prints what has gone and what has come.
fn compare(old: &str, new: &str) -> bool {
    let lines = |text: &str| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
    let (before, now) = (lines(old), lines(new));
    if before == now {
        return true;
    }
    eprintln!("the public interface is not that of docs/api.txt:");
    before.difference(&now).for_each(|line| eprintln!("- {line}"));
    now.difference(&before).for_each(|line| eprintln!("+ {line}"));
    eprintln!("what is meant to change is written by `api/run write` and belongs in CHANGELOG.md");
    false
}
