//! The documentation shows how everything public is used, by examples that run: of every module, type, trait and
//! function there is one, and every method is called in one. By the sources, since a compiler that counts them is not
//! everywhere.

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use common::skipped;

/// Public items without an example of their own: the file, the name and the reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("addr/destination.rs", "Name", "what a sealed trait fills: nobody can name it"),
    ("addr/destination.rs", "Sealed", "nobody can name it"),
    ("control.rs", "Borrowed", "hidden: what a sealed trait gives"),
    ("control.rs", "Sealed", "nobody can name it"),
    ("message/ipv6/rfc2292.rs", "Twin", "sealed: nobody can name it"),
    ("rfc3542/values.rs", "Value", "sealed: nobody can name it"),
    ("send/storage.rs", "Parts", "sealed: nobody can name it"),
    ("zerocopy/buffer.rs", "Sealed", "nobody can name it"),
];

/// Methods that no example calls, each with the reason.
const UNCALLED: &[(&str, &str)] = &[(
    "was_copied",
    "only to IORING_OP_SENDMSG_ZC with a flag of Linux 6.2 does the kernel say it; tests/uring.rs asks",
)];

/// The types that Linux lacks: they are type-checked for their systems, and read as bytes by their own tests; no example
/// of theirs could run where this is tested.
const ELSEWHERE: &str = "src/message/foreign";

/// What is public there is named by sealed traits alone, but for `SockAddr`.
const INNER: &str = "src/sys";
const GIVEN_OUT: &str = "src/sys/name.rs";

/// What a source documents.
#[derive(Default)]
struct Found {
    file: PathBuf,
    /// Kind and name of every public item, whether it stands in another (a method), and whether it has an example.
    items: Vec<(String, String, bool, bool)>,
    /// The lines of all examples.
    examples: String,
    /// Whether the documentation of the module itself has one.
    is_shown: bool,
}

/// Whether a fence of this kind begins an example that runs.
fn runs(tag: &str) -> bool {
    matches!(tag, "" | "rust")
}

/// The example lines of a text, and whether there is one.
fn examples<'t>(lines: impl Iterator<Item = &'t str>, into: &mut String) -> bool {
    let (mut fence, mut any) = (None, false);
    for line in lines {
        match (line.trim().strip_prefix("```"), fence) {
            (Some(tag), None) => {
                any |= runs(tag);
                fence = Some(runs(tag));
            }
            (Some(_), Some(_)) => fence = None,
            (None, Some(true)) => into.extend([line, "\n"]),
            (None, _) => {}
        }
    }
    assert_eq!(fence, None, "a fence is open");
    any
}

/// Kind and name, if the line begins a public item.
fn item(line: &str) -> Option<(String, String)> {
    let mut words = line.trim_start().strip_prefix("pub ")?.split_whitespace();
    let kind = words.find(|word| !matches!(*word, "const" | "async" | "unsafe"))?;
    if !matches!(kind, "struct" | "enum" | "union" | "trait" | "type" | "fn") {
        return None;
    }
    let name = words.next()?.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    Some((kind.to_owned(), name.to_owned()))
}

fn read(path: &Path) -> Found {
    let text = fs::read_to_string(path).unwrap();
    let mut found = Found { file: path.to_owned(), ..Found::default() };
    let inner = text.lines().filter_map(|line| line.strip_prefix("//!"));
    found.is_shown = examples(inner, &mut found.examples);
    let (mut above, mut in_attribute) = (Vec::new(), false);
    for line in text.lines() {
        let trimmed = line.trim();
        if in_attribute || trimmed.starts_with("#[") {
            in_attribute = !trimmed.ends_with(']');
        } else if let Some(doc) = trimmed.strip_prefix("///") {
            above.push(doc);
        } else if !trimmed.starts_with("//") {
            let has_example = examples(above.drain(..), &mut found.examples);
            if let Some((kind, name)) = item(line) {
                let is_method = kind == "fn" && line.starts_with(' ');
                found.items.push((kind, name, is_method, has_example));
            }
        }
    }
    found
}

fn walk(folder: &Path, found: &mut Vec<Found>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            _ if path.ends_with(ELSEWHERE) || path.ends_with(INNER) => {}
            _ if path.is_dir() => walk(&path, found),
            Some(extension) if extension == "rs" => found.push(read(&path)),
            _ => {}
        }
    }
}

/// All sources; nothing where they are not.
fn sources(test: &str) -> Option<Vec<Found>> {
    let (folder, mut found) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), Vec::new());
    if !folder.is_dir() {
        skipped(format_args!("SKIPPED {test}: the sources are not here"));
        return None;
    }
    walk(&folder, &mut found);
    found.push(read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(GIVEN_OUT)));
    Some(found)
}

#[test]
fn every_public_item_has_an_example() {
    let Some(sources) = sources("every_public_item_has_an_example") else { return };
    let (mut count, mut missing) = (0, Vec::new());
    for source in &sources {
        for (kind, name, _, has_example) in source.items.iter().filter(|(_, _, is_method, _)| !is_method) {
            count += 1;
            if !has_example {
                missing.push((source.file.as_path(), kind.as_str(), name.as_str()));
            }
        }
    }
    assert!(count > 150, "{count} items are too few: how are they written?");
    let excuses =
        |excuse: &(&str, &str, &str), item: &(&Path, &str, &str)| item.0.ends_with(excuse.0) && item.2 == excuse.1;
    let unexcused: Vec<_> = missing.iter().filter(|item| !EXCEPTIONS.iter().any(|it| excuses(it, item))).collect();
    assert!(unexcused.is_empty(), "without an example: {unexcused:?}");
    let needless: Vec<_> = EXCEPTIONS.iter().filter(|it| !missing.iter().any(|item| excuses(it, item))).collect();
    assert!(needless.is_empty(), "excused without need: {needless:?}");
}

#[test]
fn every_public_module_opens_with_an_example() {
    let Some(_) = sources("every_public_module_opens_with_an_example") else { return };
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let library = fs::read_to_string(src.join("lib.rs")).unwrap();
    let modules: Vec<_> = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(modules.len() >= 9, "{modules:?}");
    for module in modules {
        let file = src.join(module).with_extension("rs");
        let file = if file.is_file() { file } else { src.join(module).join("mod.rs") };
        let text = fs::read_to_string(&file).unwrap();
        // Its documentation may go on in a file of its own.
        let included = text.lines().filter(|line| line.starts_with("#![")).filter_map(|line| {
            let name = line.split("include_str!(\"").nth(1)?.split('"').next()?;
            fs::read_to_string(file.parent()?.join(name)).ok()
        });
        let is_shown = included.into_iter().any(|text| examples(text.lines(), &mut String::new()));
        assert!(read(&file).is_shown || is_shown, "{module} has no example");
    }
}

/// By its name: an example of any type will do.
#[test]
fn every_public_method_is_called_in_an_example() {
    let Some(sources) = sources("every_public_method_is_called_in_an_example") else { return };
    let mut shown: String = sources.iter().map(|source| source.examples.as_str()).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for text in ["docs/guide.md", "src/rfc3542/linux.md"] {
        examples(fs::read_to_string(root.join(text)).unwrap().lines(), &mut shown);
    }
    let names: BTreeSet<_> = shown
        .match_indices(['.', ':'])
        .map(|(at, _)| shown[at + 1..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
        .collect();
    let methods = sources.iter().flat_map(|source| &source.items).filter(|(_, _, method, has)| *method && !has);
    let uncalled: BTreeSet<_> =
        methods.map(|(_, name, ..)| name.as_str()).filter(|name| !names.contains(name)).collect();
    let excused: BTreeSet<_> = UNCALLED.iter().map(|(name, _)| *name).collect();
    assert_eq!(uncalled, excused);
}
