//! Names that the service does not take: left out and named, or mirrored under names that can be read back.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::bed::{Bed, until, until_or};

const ESCAPE: &str = "names = \"escape\"";

/// Entries of a folder by their paths, which are bytes; folders have no content.
type Tree = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

fn os(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

/// Names that are left out unless they are escaped.
fn refused() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    for symbol in *b"\\:*?\"<>|" {
        names.extend([vec![symbol], [b"a", [symbol].as_slice(), b"b.txt"].concat()]);
    }
    names.extend((1..0x20).chain([0x7f]).map(|control| [b"c", [control].as_slice()].concat()));
    // C1 control characters are two bytes.
    names.extend([b"\xc2\x80".to_vec(), b"c\xc2\x9f.txt".to_vec()]);
    // Latin-1, no text at all, a character cut in the middle, a surrogate, an over-long slash.
    let not_text: [&[u8]; 6] =
        [b"caf\xe9", b"caf\xe8", b"\xff\xfe", b"cut\xe6\x97", b"\xed\xa0\x80", b"\xc0\xaf"];
    names.extend(not_text.map(<[u8]>::to_vec));
    // What they are escaped to stands beside them.
    names.push(b"x:y".to_vec());
    names
}

/// Names that the service is not known to refuse.
fn taken() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        " lead",
        "trail ",
        " both ",
        " ",
        "   ",
        "dot.",
        "...",
        "a.b.",
        "dot. ",
        "x%3Ay",
        "x%253Ay",
        "%25",
        "%3A",
        "%3a",
        "%",
        "%%",
        "100%",
        "a%b",
        "%%41",
        "%E9",
        "caf%E9",
        "%4",
        "e\u{301}",
        "é",
        "Case",
        "case",
        "日本 語",
        "#1 & a+b = c;d,e@f!g~h'i(j)[k]{l}$m^n`o",
    ]
    .map(|name| name.as_bytes().to_vec())
    .into();
    names.extend([vec![b'n'; 255], "日".repeat(85).into_bytes()]);
    names
}

/// Fills the root: each name as that of a file, of a folder with a file of the same name in a folder of the same
/// name, and of an empty folder.
fn fill(root: &Path, names: &[Vec<u8>]) {
    for name in names {
        let name = os(name);
        for (path, content) in [
            (PathBuf::from("files").join(name), "a"),
            (Path::new("deep").join(name).join(name).join(name), "b"),
            (Path::new("deep").join(name).join("plain"), "c"),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, [content.as_bytes(), name.as_bytes()].concat()).unwrap();
        }
        fs::create_dir_all(root.join("empty").join(name)).unwrap();
    }
}

fn walk(folder: &Path) -> Tree {
    let mut found = Tree::new();
    let mut open = vec![PathBuf::new()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(folder.join(&dir)).unwrap() {
            let entry = entry.unwrap();
            let path = dir.join(entry.file_name());
            let content = match entry.file_type().unwrap().is_dir() {
                true => None,
                false => Some(fs::read(entry.path()).unwrap()),
            };
            found.insert(path.as_os_str().as_bytes().to_vec(), content);
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
            }
        }
    }
    found
}

/// A name mapped back by hand, as the README tells it.
fn read_back(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let symbols: Vec<char> = name.chars().collect();
    let mut at = 0;
    while at < symbols.len() {
        let digits: String = symbols[at + 1..].iter().take(2).collect();
        let is_escape = symbols[at] == '%'
            && digits.len() == 2
            && digits.chars().all(|digit| "0123456789ABCDEF".contains(digit));
        if is_escape {
            bytes.push(u8::from_str_radix(&digits, 16).unwrap());
            at += 3;
        } else {
            bytes.extend(symbols[at].to_string().into_bytes());
            at += 1;
        }
    }
    bytes
}

/// What the library holds, every name mapped back.
fn library(bed: &Bed) -> Tree {
    let held = walk(&bed.objects());
    let count = held.len();
    let mapped: Tree = held
        .into_iter()
        .map(|(path, content)| {
            let path = String::from_utf8(path).unwrap();
            let names: Vec<Vec<u8>> = path.split('/').map(read_back).collect();
            (names.join(&b'/'), content)
        })
        .collect();
    assert_eq!(mapped.len(), count, "two copies of one entry");
    mapped
}

fn assert_same(here: &Tree, there: &Tree) {
    let shown = |tree: &Tree, other: &Tree| -> Vec<String> {
        let differs =
            |(path, content): &(&Vec<u8>, &Option<Vec<u8>>)| other.get(*path) != Some(content);
        tree.iter().filter(differs).map(|(path, _)| path.escape_ascii().to_string()).collect()
    };
    let (missing, extra) = (shown(here, there), shown(there, here));
    assert!(missing.is_empty() && extra.is_empty(), "missing {missing:#?}\nextra {extra:#?}");
}

fn copy(bed: &Bed, name: &str) -> Option<String> {
    fs::read_to_string(bed.objects().join(name)).ok()
}

fn asked(bed: &Bed, args: &[&str], path: &[u8]) -> Value {
    let output = bed.command(args).arg("--json").arg(bed.root().join(os(path))).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn explained(bed: &Bed, path: &[u8]) -> Value {
    asked(bed, &["explain"], path)
}

fn lose_journal(bed: &Bed) {
    fs::remove_dir_all(bed.path("state")).unwrap();
}

#[test]
fn names_that_are_not_taken_are_left_out_and_nothing_of_them_is_sent() {
    let bed = Bed::new();
    let (refused, taken) = (refused(), taken());
    fill(&bed.root(), &refused);
    fill(&bed.root(), &taken);
    bed.ends(&["sync"], 0);
    // The rest is mirrored under its own names.
    let mut expected = walk(&bed.root());
    let is_refused = |name: &[u8]| refused.iter().any(|refused| refused == name);
    expected.retain(|path, _| !path.split(|byte| *byte == b'/').any(is_refused));
    assert_same(&expected, &walk(&bed.objects()));
    // Nothing of the others was sent, nor asked for.
    let files = expected.values().filter(|content| content.is_some()).count() as u64;
    for route in ["file.start", "cos.post", "file.confirm"] {
        assert_eq!(bed.requests(route), files, "{route}");
    }
    let (_, log) = bed.call("GET", "/_emulator/log", None);
    let lines = log.as_array().unwrap();
    assert!(lines.len() as u64 > 3 * files);
    for line in lines {
        let path = line["path"].as_str().unwrap();
        assert!(line["route"] == "cos.post" || !path.contains(['?', '\n', '\u{7f}']), "{line}");
        // Adoption asks for directories that are not there yet.
        assert!(line["status"].as_u64() < Some(400) || line["route"] == "directory.list", "{line}");
    }
    // Each is named, with what is wrong with it.
    let value: Value =
        serde_json::from_str(&bed.ends(&["status", "--skipped", "--json"], 0).0).unwrap();
    let rows = value["skipped"].as_array().unwrap();
    assert_eq!(rows.len(), 3 * refused.len());
    let mut named = BTreeSet::new();
    for row in rows {
        assert_eq!(row["reason"], "name", "{row}");
        let detail = row["detail"].as_str().unwrap();
        assert!(detail.starts_with("it "), "{row}");
        // JSON holds no bytes: what is no text is told in the words of the mapping too.
        let path = match row["path_escaped"].as_str() {
            Some(path) => read_back(path),
            None => row["path"].as_str().unwrap().as_bytes().to_vec(),
        };
        named.insert(path);
    }
    let all = |dir: &str| -> Vec<Vec<u8>> {
        refused.iter().map(|name| [dir.as_bytes(), b"/", name].concat()).collect()
    };
    let expected: BTreeSet<Vec<u8>> =
        ["files", "deep", "empty"].into_iter().flat_map(all).collect();
    assert_eq!(named, expected);
    assert_eq!(bed.mirror()["files"]["skipped"], 3 * refused.len());
    assert_eq!(bed.mirror()["state"], "current");
    bed.ends(&["health"], 0);

    let (text, _) = bed.ends(&["status", "--skipped"], 0);
    assert!(text.contains("docs/files/caf\\xe9: a name that the service does not take: it is not UTF-8: its byte 4 is \\xe9"), "{text}");
    let bad = explained(&bed, b"files/a?b.txt");
    assert_eq!(
        (&bad["state"], &bad["name_problem"], &bad["remote_path"]),
        (&json!("skipped"), &json!("it holds the character ?"), &Value::Null)
    );
    assert!(bad["next"].as_str().unwrap().contains("names = \"escape\""), "{bad}");
    let above = explained(&bed, b"deep/x:y/plain");
    assert_eq!(
        (&above["name_problem"], &above["remote_path"]),
        (&json!("it holds the character :"), &Value::Null)
    );
    assert_eq!(explained(&bed, b"files/x%3Ay")["remote_path"], "backup/files/x%3Ay");
}

#[test]
fn escaped_names_are_mirrored_and_can_be_read_back() {
    let bed = Bed::new();
    bed.configure(ESCAPE);
    fill(&bed.root(), &refused());
    fill(&bed.root(), &taken());
    bed.ends(&["sync"], 0);
    let here = walk(&bed.root());
    assert!(here.len() > 500);
    assert_same(&here, &library(&bed));
    let mirror = bed.mirror();
    assert_eq!((&mirror["state"], &mirror["files"]["skipped"]), (&json!("current"), &json!(0)));
    bed.ends(&["health"], 0);
    // No name is one that the service may refuse, and one that needs nothing is as it was.
    for path in walk(&bed.objects()).into_keys() {
        for name in String::from_utf8(path).unwrap().split('/') {
            assert!(
                !name.contains(|c: char| c.is_control() || "\\:*?\"<>|".contains(c)),
                "{name:?}"
            );
            assert!(!name.starts_with(' ') && !name.ends_with([' ', '.']), "{name:?}");
        }
    }
    for name in ["100%", "a%b", "%3a", "%", "é", "e\u{301}", "Case", "case", "日本 語"] {
        assert!(bed.objects().join("files").join(name).exists(), "{name}");
    }

    // A restart asks for nothing.
    bed.forget_requests();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.all_requests(), 0);

    // Without a journal the library is listed, and nothing of it is sent again.
    lose_journal(&bed);
    bed.ends(&["sync"], 0);
    for route in ["file.start", "cos.post", "file.confirm"] {
        assert_eq!(bed.requests(route), 0, "{route}");
    }
    assert_eq!(bed.mirror()["state"], "current");
    assert_same(&here, &library(&bed));

    // Everything says what the entry is, and where its copy is.
    let path = b"deep/x:y/x:y/x:y";
    let file = explained(&bed, path);
    assert_eq!(
        (&file["state"], &file["remote_path"]),
        (&json!("synced"), &json!("backup/deep/x%3Ay/x%3Ay/x%3Ay"))
    );
    let said = bed.ends(&["explain", bed.root().join(os(path)).to_str().unwrap()], 0).0;
    assert!(said.contains("copy     \"backup/deep/x%3Ay/x%3Ay/x%3Ay\""), "{said}");
    let plain = bed.ends(&["explain", bed.root().join("files/100%").to_str().unwrap()], 0).0;
    assert!(!plain.contains("copy "), "{plain}");
    assert_eq!(explained(&bed, b"files/caf\xe9")["path_escaped"], "files/caf%E9");
    assert_eq!(explained(&bed, b"files/x:y").get("path_escaped"), None);
    let history = asked(&bed, &["history"], b"files/caf\xe9");
    assert_eq!(history["history"][0]["path_escaped"], "files/caf%E9");
    let folder = asked(&bed, &["status"], b"deep/caf\xe9");
    assert_eq!(
        (&folder["files"][0]["state"], &folder["files"][0]["files"]),
        (&json!("synced"), &json!(2))
    );
}

#[test]
fn the_daemon_follows_names_that_are_escaped() {
    let bed = Bed::new();
    bed.configure(ESCAPE);
    bed.write("plain", "1");
    bed.write("dir/inner", "2");
    let daemon = bed.daemon_until_current();
    let root = bed.root();
    // Renamed to such a name, and a folder too; made, changed, and renamed back.
    fs::rename(root.join("plain"), root.join(os(b"caf\xe9"))).unwrap();
    bed.until_mirrored("caf%E9", "1");
    fs::rename(root.join("dir"), root.join("d: ")).unwrap();
    bed.until_mirrored("d%3A%20/inner", "2");
    fs::write(root.join("d: /new?"), "3").unwrap();
    bed.until_mirrored("d%3A%20/new%3F", "3");
    fs::write(root.join(os(b"caf\xe9")), "changed").unwrap();
    bed.until_mirrored("caf%E9", "changed");
    fs::rename(root.join("d: /new?"), root.join("new")).unwrap();
    bed.until_mirrored("new", "3");
    bed.until_current();
    assert_eq!(daemon.stop(), Some(0));
    // Its copy was moved with it, and nothing is left under the old name.
    assert_eq!(explained(&bed, b"d: /new?")["state"], "unknown");
    assert_eq!(copy(&bed, "d%3A%20/new%3F"), None);
    let history = asked(&bed, &["history"], b"d: /new?");
    let last = history["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["what"], &last["detail"]), (&json!("moved"), &json!("to new")));
}

/// Both files want the same place in the library, one after the other.
fn names_of_both_kinds(bed: &Bed) {
    for (name, content) in [
        ("x:y", "colon"),
        ("x%3Ay", "percent"),
        ("d:/f", "in colon"),
        ("d%3A/f", "in percent"),
        (" s", "space"),
        ("plain", "plain"),
        ("sub/plain", "also plain"),
    ] {
        bed.write(name, content);
    }
}

fn copies(bed: &Bed) -> BTreeMap<String, String> {
    let files = |(path, content): (Vec<u8>, Option<Vec<u8>>)| {
        Some((String::from_utf8(path).unwrap(), String::from_utf8(content?).unwrap()))
    };
    walk(&bed.objects()).into_iter().filter_map(files).collect()
}

fn expected(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
}

#[test]
fn another_way_of_writing_names_is_another_place_in_the_library() {
    let bed = Bed::new();
    names_of_both_kinds(&bed);
    bed.ends(&["sync"], 0);
    let mut held = expected(&[
        ("x%3Ay", "percent"),
        ("d%3A/f", "in percent"),
        (" s", "space"),
        ("plain", "plain"),
        ("sub/plain", "also plain"),
    ]);
    assert_eq!(copies(&bed), held);
    assert_eq!(bed.mirror()["files"]["skipped"], 2);

    // From skip to escape: nothing is called mirrored on the strength of a copy under the other name.
    bed.configure(ESCAPE);
    for name in ["x:y", "x%3Ay", "d%3A/f", " s"] {
        assert_ne!(explained(&bed, name.as_bytes())["state"], "synced", "{name}");
    }
    bed.ends(&["health"], 4);
    bed.forget_requests();
    bed.ends(&["sync"], 0);
    held.extend(expected(&[
        ("x%3Ay", "colon"),
        ("x%253Ay", "percent"),
        ("d%3A/f", "in colon"),
        ("d%253A/f", "in percent"),
        ("%20s", "space"),
    ]));
    assert_eq!(copies(&bed), held);
    // What is named alike both ways is not sent again.
    assert_eq!(bed.requests("cos.post"), 5);
    for (name, remote) in [("x:y", "x%3Ay"), ("x%3Ay", "x%253Ay"), (" s", "%20s")] {
        let file = explained(&bed, name.as_bytes());
        assert_eq!(file["state"], "synced", "{name}");
        assert_eq!(file["remote_path"], format!("backup/{remote}"));
    }
    assert_eq!(bed.mirror()["state"], "current");

    // Back: what is left out from now on keeps its copy, unless the place is that of another file.
    bed.configure("");
    assert_ne!(explained(&bed, b"x%3Ay")["state"], "synced");
    bed.forget_requests();
    bed.ends(&["sync"], 0);
    held.extend(expected(&[("x%3Ay", "percent"), ("d%3A/f", "in percent")]));
    assert_eq!(copies(&bed), held);
    assert_eq!(bed.requests("cos.post"), 2);
    assert_eq!(explained(&bed, b"x:y")["state"], "skipped");
    assert_eq!(explained(&bed, b"x%3Ay")["state"], "synced");
    assert_eq!(bed.mirror()["files"]["skipped"], 2);
    bed.forget_requests();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.all_requests(), 0);
}

#[test]
fn a_copy_under_a_name_that_nothing_is_escaped_to_is_no_copy() {
    let bed = Bed::new();
    // Another tool put these there. None of them is the copy of `aA`, `b c` or `d`, though each reads like it.
    for name in ["a%41", "b%20c", "%64"] {
        bed.write(name, "same content");
    }
    bed.ends(&["sync"], 0);
    for (from, to) in [("a%41", "aA"), ("b%20c", "b c"), ("%64", "d")] {
        fs::rename(bed.root().join(from), bed.root().join(to)).unwrap();
    }
    lose_journal(&bed);
    bed.configure(ESCAPE);
    bed.ends(&["sync"], 0);
    for name in ["aA", "b c", "d", "a%41", "b%20c", "%64"] {
        assert_eq!(copy(&bed, name).as_deref(), Some("same content"), "{name}");
    }
}

#[test]
fn an_escaped_name_that_is_too_long_is_named_and_delays_nobody() {
    let bed = Bed::new();
    bed.configure(ESCAPE);
    // 255 bytes here, 257 and 765 there.
    let long = [vec![b':'], vec![b'n'; 254]].concat();
    let bytes = vec![0xff; 255];
    fs::write(bed.root().join(os(&long)), "a").unwrap();
    fs::create_dir(bed.root().join(os(&bytes))).unwrap();
    fs::write(bed.root().join(os(&bytes)).join("f"), "b").unwrap();
    bed.write("good", "good");
    let (out, _) = bed.ends(&["sync"], 3);
    assert!(
        out.contains("FileNameLengthExceed") && out.contains("DirectoryNameLengthExceed"),
        "{out}"
    );
    assert_eq!(copy(&bed, "good").as_deref(), Some("good"));
    assert_eq!(copies(&bed).len(), 1, "nothing is cut short");
    let value: Value = serde_json::from_str(&bed.ends(&["errors", "--json"], 0).0).unwrap();
    let codes: BTreeSet<&str> =
        value["errors"].as_array().unwrap().iter().map(|e| e["code"].as_str().unwrap()).collect();
    assert_eq!(
        codes,
        BTreeSet::from(["DirectoryBlocked", "DirectoryNameLengthExceed", "FileNameLengthExceed"])
    );
    // Shorter, and it goes.
    fs::rename(bed.root().join(os(&long)), bed.root().join(":n")).unwrap();
    fs::rename(bed.root().join(os(&bytes)), bed.root().join(os(b"\xff"))).unwrap();
    bed.ends(&["sync"], 0);
    assert_same(&walk(&bed.root()), &library(&bed));
}

#[test]
fn a_copy_under_another_name_is_not_removed_where_an_entry_has_its_place() {
    let bed = Bed::new();
    bed.configure(ESCAPE);
    // The service stores `x:y` beside its place, under the name that belongs to another file of the folder.
    bed.write("x:y", "content");
    bed.write("x:y (1)", "content");
    bed.fault(json!({"route": "file.start", "path": "(1)", "effect": {"status": 451, "code": "SensitiveContentRecognized", "message": "no"}}));
    bed.fault(json!({"route": "file.confirm", "times": 1, "effect": {"rename": true}}));
    let daemon = bed.daemon();
    until_or(|| bed.log(), || bed.log().contains("so it was left alone").then_some(()));
    until("the other try", || (copy(&bed, "x%3Ay").is_some()).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(bed.requests("file.delete"), 0);
    assert_eq!(copy(&bed, "x%3Ay (1)").as_deref(), Some("content"));
}

#[test]
fn names_that_the_service_may_not_tell_apart_are_found_before_anything_is_sent() {
    let bed = Bed::new();
    bed.configure(ESCAPE);
    for name in ["d/Photo", "d/photo", "photo", "e/%3a"] {
        bed.write(name, name);
    }
    bed.ends(&["config", "check"], 0);
    let (said, _) = bed.ends(&["doctor"], 0);
    assert!(said.contains("two entries") && said.contains("/d/Photo and photo"), "{said}");
    assert!(said.contains("no problems, 1 warning"), "{said}");
    // The copy of the one is `%3A`.
    bed.write("e/:", ":");
    assert!(bed.ends(&["doctor"], 0).0.contains("2 entries"));
    // They are different names until the service says otherwise.
    bed.ends(&["sync"], 0);
    assert_same(&walk(&bed.root()), &library(&bed));
}

#[test]
fn a_crash_loses_no_escaped_name() {
    let bed = Bed::new();
    bed.configure(&format!("{ESCAPE}\n[transfer]\nconcurrency = 4"));
    let names: Vec<OsString> = (0..40u8)
        .map(|n| OsString::from_vec(vec![b'n', 0x80 + n, b':', b'%', b'4', b'1']))
        .collect();
    for name in &names {
        fs::write(bed.root().join(name), name.as_bytes()).unwrap();
    }
    bed.fault(json!({"route": "file.confirm", "effect": {"delay_ms": 5_000}}));
    let daemon = bed.daemon();
    // All of them wait for their confirm: none is being started, of which nobody would know.
    until("the first confirms", || (bed.requests("cos.post") == 4).then_some(()));
    daemon.kill();
    bed.no_faults();
    bed.ends(&["sync"], 0);
    assert_same(&walk(&bed.root()), &library(&bed));
    assert_eq!(bed.open_uploads(), 0);
    // What had arrived was confirmed, not sent again.
    assert_eq!(bed.requests("cos.post"), names.len() as u64);
}
