//! The emulator over its wire: tokens, directories, files, the recycle bin, faults. The fact sheet is the measure.

use std::fs;

use serde_json::{Value, json};

use crate::bed::Bed;

/// Calls with an administrator's token.
pub(crate) struct Library {
    pub(crate) bed: Bed,
    token: String,
}

impl Library {
    pub(crate) fn new(args: &[&str]) -> Library {
        let bed = Bed::with(args);
        let token = bed.admin();
        Library { bed, token }
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let join = if path.contains('?') { '&' } else { '?' };
        let path = format!("/api/v1/{path}{join}access_token={}", self.token);
        self.bed.call(method, &path, if body.is_null() { None } else { Some(body) })
    }

    pub(crate) fn dir(&self, path: &str) {
        let (status, _) = self.call("PUT", &format!("directory/smhemulator/-/{path}"), Value::Null);
        assert_eq!(status, 201, "{path}");
    }

    /// Uploads by form, whole.
    pub(crate) fn put(&self, path: &str, content: &[u8]) -> Value {
        let (status, form) = self.start(path, "overwrite", Value::Null);
        assert_eq!(status, 201, "{form}");
        assert_eq!(self.bed.post(&form, content).0, 204);
        let key = form["confirmKey"].as_str().unwrap();
        let (status, reply) = self.confirm(key, Value::Null);
        assert_eq!(status, 200, "{reply}");
        reply
    }

    pub(crate) fn start(&self, path: &str, strategy: &str, body: Value) -> (u16, Value) {
        self.call(
            "POST",
            &format!("file/smhemulator/-/{path}?conflict_resolution_strategy={strategy}"),
            body,
        )
    }

    pub(crate) fn confirm(&self, key: &str, body: Value) -> (u16, Value) {
        self.call("POST", &format!("file/smhemulator/-/{key}?confirm"), body)
    }

    fn names(&self, query: &str) -> Vec<String> {
        let (status, list) =
            self.call("GET", &format!("directory/smhemulator/-/d?{query}"), Value::Null);
        assert_eq!(status, 200, "{list}");
        let contents = list["contents"].as_array().unwrap();
        contents.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    }
}

fn refusal(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or_default())
}

#[test]
fn tokens_are_made_for_the_secret_and_say_what_is_wrong() {
    let bed = Bed::new();
    let cases = [
        ("library_id=smhemulator&library_secret=wrong", 404, "WrongLibraryIdOrSecret"),
        ("library_id=wrong&library_secret=emulator-secret", 404, "WrongLibraryIdOrSecret"),
        ("library_id=smhemulator&library_secret=", 400, "EmptyLibrarySecret"),
        ("library_secret=x", 400, "EmptyLibraryId"),
        ("", 400, "EmptyLibraryIdOrSecret"),
    ];
    for (query, status, code) in cases {
        let answer = bed.call("GET", &format!("/api/v1/token?{query}"), None);
        assert_eq!(refusal(&answer), (status, code), "{query}");
    }
    let (_, made) = bed.call(
        "POST",
        "/api/v1/token?library_id=smhemulator&library_secret=emulator-secret&period=10",
        None,
    );
    assert_eq!(made["expiresIn"], 1200, "the shortest period");
}

#[test]
fn a_token_slides_expires_and_grants() {
    let bed = Bed::new();
    let made = |grant: &str| {
        let path = format!(
            "/api/v1/token?library_id=smhemulator&library_secret=emulator-secret&period=1200&grant={grant}"
        );
        bed.call("GET", &path, None).1["accessToken"].as_str().unwrap().to_owned()
    };
    let look = |token: &str| {
        let path = format!("/api/v1/directory/smhemulator/-/?access_token={token}");
        bed.call("GET", &path, None)
    };
    let shift = |seconds: i64| {
        assert_eq!(
            bed.call("POST", "/_emulator/clock", Some(json!({"shift_seconds": seconds}))).0,
            204
        );
    };
    let token = made("");
    // Each use extends it by its period.
    for minutes in [15, 30, 45] {
        shift(minutes * 60);
        assert_eq!(look(&token).0, 200, "{minutes}");
    }
    shift(45 * 60 + 1201);
    assert_eq!(refusal(&look(&token)), (403, "InvalidAccessToken"));
    assert_eq!(refusal(&look("nonsense")), (403, "InvalidAccessToken"));
    // A token reads; more needs a grant.
    let reader = made("");
    let path = format!("/api/v1/directory/smhemulator/-/d?access_token={reader}");
    assert_eq!(refusal(&bed.call("PUT", &path, None)), (403, "NoPermission"));
    let maker = made("create_directory");
    let path = format!("/api/v1/directory/smhemulator/-/d?access_token={maker}");
    assert_eq!(bed.call("PUT", &path, None).0, 201);
    // Renewed and deleted.
    let path = format!("/api/v1/token/smhemulator/{maker}");
    assert_eq!(bed.call("POST", &path, None).0, 200);
    assert_eq!(bed.call("DELETE", &path, None).0, 204);
    assert_eq!(refusal(&look(&maker)), (403, "InvalidAccessToken"));
}

#[test]
fn directories_are_made_with_their_parents_and_only_once() {
    let library = Library::new(&[]);
    library.dir("a/b/c");
    let again = library.call("PUT", "directory/smhemulator/-/a/b", Value::Null);
    assert_eq!(refusal(&again), (409, "SameNameDirectoryOrFileExists"));
    library.put("a/file", b"x");
    let below_a_file = library.call("PUT", "directory/smhemulator/-/a/file/d", Value::Null);
    assert_eq!(refusal(&below_a_file), (409, "SameNameDirectoryOrFileExists"));
    let root = library.call("PUT", "directory/smhemulator/-/", Value::Null);
    assert_eq!(refusal(&root), (400, "RootDirectoryNotAllowed"));
    for (name, code) in [
        ("bad%3Aname", "IllegalFileName"),
        ("bad%2Fname", "IllegalFileName"),
        (&*"n".repeat(256), "DirectoryNameLengthExceed"),
    ] {
        let refused = library.call("PUT", &format!("directory/smhemulator/-/{name}"), Value::Null);
        assert_eq!(refusal(&refused), (400, code), "{name}");
    }
    assert_eq!(library.call("HEAD", "directory/smhemulator/-/a/b", Value::Null).0, 200);
    assert_eq!(library.call("HEAD", "directory/smhemulator/-/nothing", Value::Null).0, 404);
    let (_, info) = library.call("GET", "directory/smhemulator/-/a/file?info", Value::Null);
    assert_eq!((&info["type"], &info["size"]), (&json!("file"), &json!("1")));
    assert_eq!(
        library.call("GET", "directory/smhemulator/-/a/b?info", Value::Null).1["type"],
        "dir"
    );
    let other = library.call("GET", "directory/elsewhere/-/a?info", Value::Null);
    assert_eq!(refusal(&other), (404, "LibraryNotFound"));
    assert_eq!(
        refusal(&library.call("GET", "nothing/smhemulator/-/", Value::Null)),
        (404, "RouteNotFound")
    );
}

#[test]
fn listings_come_in_pages() {
    let library = Library::new(&[]);
    library.dir("d/z-dir");
    library.dir("d/y-dir");
    for (name, size) in [("b", 3), ("a", 1), ("c", 2)] {
        library.put(&format!("d/{name}"), &vec![0; size]);
    }
    assert_eq!(library.names(""), ["y-dir", "z-dir", "a", "b", "c"]);
    assert_eq!(library.names("filter=onlyDir"), ["y-dir", "z-dir"]);
    assert_eq!(library.names("filter=onlyFile&order_by=size&order_by_type=desc"), ["b", "c", "a"]);
    assert_eq!(library.names("page=2&page_size=2"), ["a", "b"]);
    let (_, first) = library.call("GET", "directory/smhemulator/-/d?limit=3", Value::Null);
    let marker = &first["nextMarker"];
    assert_eq!(library.names(&format!("limit=3&marker={marker}")), ["b", "c"]);
    assert_eq!(
        (&first["fileCount"], &first["subDirCount"], &first["totalNum"]),
        (&json!(3), &json!(2), &json!(5))
    );
    let (_, last) =
        library.call("GET", &format!("directory/smhemulator/-/d?marker={marker}"), Value::Null);
    assert_eq!(last["nextMarker"], Value::Null);
    let bad = library.call("GET", "directory/smhemulator/-/d?marker=99999", Value::Null);
    assert_eq!(refusal(&bad), (404, "MarkerNotFound"));
}

#[test]
fn things_move() {
    let library = Library::new(&[]);
    library.dir("d");
    library.put("d/a", b"a");
    library.put("b", b"b");
    let objects = library.bed.path("library/objects");
    // A directory takes its parents along, and does not go into itself.
    let (status, _) = library.call("PUT", "directory/smhemulator/-/x/y", json!({"from": "d"}));
    assert_eq!(status, 204);
    assert_eq!(fs::read(objects.join("x/y/a")).unwrap(), b"a");
    let inside = library.call("PUT", "directory/smhemulator/-/x/y/z", json!({"from": "x"}));
    assert_eq!(refusal(&inside), (400, "SourceDirectoryIsParentOfDestination"));
    let missing = library.call("PUT", "directory/smhemulator/-/q", json!({"from": "nothing"}));
    assert_eq!(refusal(&missing), (404, "SourceDirectoryNotFound"));
    // A file does not make parents, and by default takes another name.
    let orphan = library.call("PUT", "file/smhemulator/-/no/where", json!({"from": "b"}));
    assert_eq!(refusal(&orphan), (404, "DirectoryNotFound"));
    let (_, moved) = library.call("PUT", "file/smhemulator/-/x/y/a", json!({"from": "b"}));
    assert_eq!(moved["path"], json!(["x", "y", "a (1)"]));
    let query = "file/smhemulator/-/x/y/a?conflict_resolution_strategy=overwrite";
    let (_, moved) = library.call("PUT", query, json!({"from": "x/y/a (1)"}));
    assert_eq!(moved["path"], json!(["x", "y", "a"]));
    assert_eq!(fs::read(objects.join("x/y/a")).unwrap(), b"b");
    let gone = library.call("PUT", "file/smhemulator/-/c", json!({"from": "b"}));
    assert_eq!(refusal(&gone), (404, "SourceFileNotFound"));
}

#[test]
fn deletes_are_final_without_a_recycle_bin() {
    let library = Library::new(&[]);
    library.dir("d/e");
    library.put("d/a", b"a");
    assert_eq!(library.call("DELETE", "file/smhemulator/-/d/a", Value::Null).0, 204);
    let again = library.call("DELETE", "file/smhemulator/-/d/a", Value::Null);
    assert_eq!(refusal(&again), (404, "FileNotFound"));
    assert_eq!(library.call("DELETE", "directory/smhemulator/-/d", Value::Null).0, 204);
    assert!(!library.bed.path("library/objects/d").exists());
    let bin = library.call("GET", "recycled/smhemulator/-", Value::Null);
    assert_eq!(refusal(&bin), (400, "RecycleBinNotEnabled"));
}

#[test]
fn what_was_recycled_comes_back() {
    let library = Library::new(&["--recycle-bin"]);
    library.dir("d/e");
    library.put("d/e/a", b"a");
    let (status, recycled) = library.call("DELETE", "directory/smhemulator/-/d", Value::Null);
    assert_eq!(status, 200);
    let id = &recycled["recycledItemId"];
    assert_eq!(library.call("GET", "recycled/smhemulator/-", Value::Null).1["totalNum"], 1);
    let (status, _) =
        library.call("POST", &format!("recycled/smhemulator/-/{id}?restore"), Value::Null);
    assert_eq!(status, 200);
    assert_eq!(fs::read(library.bed.path("library/objects/d/e/a")).unwrap(), b"a");
    let (_, batch) = library.call(
        "POST",
        "batch/smhemulator/-?delete",
        json!([{"path": "d/e/a", "permanent": true}, {"path": "nothing"}]),
    );
    assert_eq!(
        (&batch["result"][0]["status"], &batch["result"][1]["status"]),
        (&json!(204), &json!(404))
    );
    let none = library.call("POST", "batch/smhemulator/-?delete", json!([]));
    assert_eq!(refusal(&none), (400, "NoItemsProvided"));
}

#[test]
fn nothing_secret_is_in_the_log() {
    let library = Library::new(&[]);
    library.put("a", b"a");
    let (_, form) = library.start("b", "overwrite", Value::Null);
    let key = form["confirmKey"].as_str().unwrap();
    library.call("GET", &format!("file/smhemulator/-/{key}?upload"), Value::Null);
    let token = library.bed.admin();
    library.bed.call("DELETE", &format!("/api/v1/token/smhemulator/{token}"), None);
    let log = library.bed.call("GET", "/_emulator/log", None).1.to_string();
    for secret in ["acctk", key, "emulator-secret", "signature"] {
        assert!(!log.contains(secret), "{secret}");
    }
    assert_eq!(library.bed.requests("file.start"), 2);
}

#[test]
fn state_survives_a_restart() {
    let library = Library::new(&[]);
    library.dir("d");
    library.put("d/a", b"content");
    let (_, form) = library.start("d/b", "overwrite", Value::Null);
    assert_eq!(library.bed.post(&form, b"later").0, 204);
    let before = library.bed.call("GET", "/_emulator/tree", None).1;
    let Library { mut bed, token } = library;
    bed.restart_emulator();
    let library = Library { bed, token };
    assert_eq!(library.bed.call("GET", "/_emulator/tree", None).1, before);
    // The token and the pending upload are still good.
    let (status, reply) = library.confirm(form["confirmKey"].as_str().unwrap(), json!({}));
    assert_eq!(status, 200, "{reply}");
    assert_eq!(fs::read(library.bed.path("library/objects/d/b")).unwrap(), b"later");
}

#[test]
fn a_deep_tree_survives_two_restarts_and_belongs_to_one_emulator() {
    let library = Library::new(&[]);
    // Deeper than nested JSON is read.
    let deep = vec!["d"; 300].join("/");
    library.dir(&deep);
    library.put(&format!("{deep}/f"), b"content");
    let before = library.bed.call("GET", "/_emulator/tree", None).1;
    assert!(before.to_string().contains("d/d/d"));
    let data = library.bed.path("library");
    let second = crate::bed::binary()
        .args(["emulator", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(said.contains("another emulator works on it"), "{said}");
    let Library { mut bed, .. } = library;
    for _ in 0..2 {
        bed.restart_emulator();
        assert_eq!(bed.call("GET", "/_emulator/tree", None).1, before);
    }
}
