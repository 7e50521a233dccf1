//! docs/conformance.md is true: every test that names a scenario stands in the scenario's row, and every row has a test or
//! the reason why there is none.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

/// Set to write the page instead of comparing it.
const WRITE: &str = "ANCILLARY_WRITE";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> PathBuf {
    root().join("docs/conformance.md")
}

/// Two capitals, or what RFC 3542 and IPv4 have, and two digits.
fn is_id(word: &str) -> bool {
    let bytes = word.as_bytes();
    let group = word.starts_with("R6") || word.starts_with("I4") || bytes.iter().take(2).all(u8::is_ascii_uppercase);
    bytes.len() == 4 && group && bytes[2..].iter().all(u8::is_ascii_digit)
}

fn ids(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| is_id(word))
}

/// The cells of a row that begins with an id.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inside = line.strip_prefix('|')?.strip_suffix('|')?;
    let cells: Vec<_> = inside.split('|').map(str::trim).collect();
    is_id(cells[0]).then_some(cells)
}

/// A test, or another room that a scenario is asked in: its file and its name.
type Place = (String, String);

/// The word behind one of these.
fn name_after<'a>(line: &'a str, words: &[&str]) -> Option<&'a str> {
    let rest = words.iter().find_map(|word| line.strip_prefix(word))?;
    rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()
}

/// Where the scenarios stand in a file: in the documentation of a test, of what tests run in, of code that must not
/// compile, or of a function of the shell.
fn places(file: &Path, found: &mut BTreeMap<String, BTreeSet<Place>>) {
    let short = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    let script = file.extension().is_none();
    let (mut named, mut is_test) = (Vec::new(), script || short.starts_with("tests/common/"));
    let usually = is_test;
    for line in fs::read_to_string(file).unwrap().lines().map(str::trim) {
        if let Some(text) = line.strip_prefix(if script { "# " } else { "///" }) {
            named.extend(ids(text).map(str::to_owned));
        } else if line.starts_with("#[") {
            is_test |= line == "#[test]" || line == "#[cfg(doctest)]";
        } else {
            let name =
                if script { line.strip_suffix("() {") } else { name_after(line, &["fn ", "pub fn ", "struct "]) };
            for id in named.drain(..) {
                let name = name.unwrap_or_else(|| panic!("{short}: {id} is not above a function: {line}"));
                assert!(is_test, "{short}: {id} is above {name}, which is no test");
                found.entry(id).or_default().insert((short.clone(), name.to_owned()));
            }
            is_test = usually;
        }
    }
}

fn walk(folder: &Path, found: &mut BTreeMap<String, BTreeSet<Place>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            places(&path, found);
        }
    }
}

/// All of them, by file.
fn cell(places: &BTreeSet<Place>) -> String {
    let mut files = BTreeMap::<_, Vec<_>>::new();
    for (file, name) in places {
        files.entry(file).or_default().push(format!("`{name}`"));
    }
    let parts: Vec<_> = files.iter().map(|(file, names)| format!("{file}: {}", names.join(", "))).collect();
    parts.join("; ")
}

#[test]
fn the_page_says_which_tests_ask_each_scenario() {
    let mut found = BTreeMap::new();
    for folder in ["src", "tests"] {
        walk(&root().join(folder), &mut found);
    }
    places(&root().join("trust"), &mut found);
    let old = fs::read_to_string(page()).unwrap();
    let mut new = String::new();
    for line in old.lines() {
        let Some(cells) = cells(line) else {
            new.extend([line, "\n"]);
            continue;
        };
        let [id, from, scenario, _, remark] = cells[..] else { panic!("five cells: {line}") };
        assert!(!from.is_empty() && !scenario.is_empty(), "{line}");
        let reason = remark.strip_prefix("none: ").filter(|reason| !reason.is_empty());
        let (tests, remark) = match (found.remove(id), reason) {
            (Some(places), None) => (cell(&places), remark),
            (Some(places), Some(_)) => (cell(&places), ""),
            (None, Some(_)) => (String::new(), remark),
            (None, None) => panic!("no test names {id}, and its row does not say why (none: ...)"),
        };
        let row = format!("| {id} | {from} | {scenario} | {tests} | {remark} |\n");
        new.push_str(&row.replace("|  |", "| |").replace("|  |", "| |"));
    }
    assert!(found.is_empty(), "without a row in docs/conformance.md: {found:?}");
    if env::var_os(WRITE).is_some() {
        fs::write(page(), &new).unwrap();
    }
    for (old, new) in old.lines().zip(new.lines()).filter(|_| env::var_os(WRITE).is_none()) {
        assert_eq!(old, new, "{WRITE}=1 cargo test --test conformance writes the page");
    }
}

#[test]
fn every_scenario_has_one_row() {
    let page = fs::read_to_string(page()).unwrap();
    let rows: Vec<_> = page.lines().filter_map(cells).map(|cells| cells[0]).collect();
    let distinct: BTreeSet<_> = rows.iter().collect();
    assert_eq!(rows.len(), distinct.len(), "each once");
    // Only rows begin with a bar, but for the heads of the tables.
    let bars = page.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let heads = page.lines().filter(|line| line.starts_with("| id |")).count();
    assert_eq!((bars.count() - heads, heads > 0), (rows.len(), true));
}
