//! What is renamed or moved on disk is renamed or moved in the library.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::bed::{Bed, noise, until};

const FILES: usize = 300;

fn fill(bed: &Bed, dir: &str) {
    for n in 0..FILES {
        bed.write(&format!("{dir}/sub{}/f{n}", n % 7), noise(100 + n, n as u64));
    }
    fs::create_dir_all(bed.root().join(dir).join("hollow")).unwrap();
}

fn rename(bed: &Bed, from: &str, to: &str) {
    fs::rename(bed.root().join(from), bed.root().join(to)).unwrap();
}

/// Nothing was sent, and one call moved everything.
fn one_call_did_it(bed: &Bed) {
    assert_eq!(bed.requests("directory.move"), 1);
    for route in ["file.start", "cos.post", "file.confirm", "file.move", "directory.create"] {
        assert_eq!(bed.requests(route), 0, "{route}");
    }
    assert_eq!(bed.diff(), "");
}

#[test]
fn a_renamed_directory_is_one_call() {
    let bed = Bed::new();
    fill(&bed, "old");
    let daemon = bed.daemon_until_current();
    bed.forget_requests();
    rename(&bed, "old", "new");
    until("moved", || bed.diff().is_empty().then_some(()));
    bed.until_current();
    one_call_did_it(&bed);
    assert_eq!(bed.mirror()["files"]["synced"], FILES);
    // What changes in it afterwards is seen there.
    bed.write("new/sub1/f1", "changed");
    bed.until_mirrored("new/sub1/f1", "changed");
    let (out, _) = bed.ends(&["history"], 0);
    assert!(out.contains("moved") && out.contains("from old"), "{out}");
    // And nothing is asked after a restart.
    bed.until_current();
    assert_eq!(daemon.stop(), Some(0));
    bed.forget_requests();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.all_requests(), 0);
}

#[test]
fn a_directory_moved_while_nobody_looked_is_one_call() {
    let bed = Bed::new();
    // Listed before it is known where they come from, and after.
    for (from, to) in [("m/old", "a/new"), ("a/new", "z/again")] {
        if from == "m/old" {
            fill(&bed, from);
            bed.ends(&["sync"], 0);
        }
        bed.write(&format!("{}/stays", &to[..1]), "stays");
        bed.ends(&["sync"], 0);
        bed.forget_requests();
        rename(&bed, from, to);
        bed.ends(&["sync"], 0);
        one_call_did_it(&bed);
    }
}

#[test]
fn a_directory_that_was_never_made_does_not_come_along() {
    let bed = Bed::new();
    bed.write("old/f", "f");
    let daemon = bed.daemon_until_current();
    bed.fault(json!({"route": "directory.create", "effect": {"status": 500}}));
    fs::create_dir(bed.root().join("old/late")).unwrap();
    let failed = json!({"status": 500});
    until("it is not made", || (bed.hits("directory.create", &failed) > 0).then_some(()));
    rename(&bed, "old", "new");
    until("moved", || (bed.requests("directory.move") > 0).then_some(()));
    bed.no_faults();
    until("made", || bed.diff().is_empty().then_some(()));
    bed.until_current();
    daemon.stop();
}

#[test]
fn what_changed_in_a_moved_directory_is_sent_and_nothing_else() {
    let bed = Bed::new();
    fill(&bed, "old");
    bed.ends(&["sync"], 0);
    bed.forget_requests();
    rename(&bed, "old", "new");
    bed.write("new/sub2/f2", "changed since");
    bed.write("new/more", "new since");
    fs::remove_file(bed.root().join("new/sub3/f3")).unwrap();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.requests("directory.move"), 1);
    assert_eq!(bed.requests("cos.post"), 2);
    // Deletes are off: its copy came along.
    assert_eq!(bed.missing(), Vec::<String>::new());
    assert_eq!(bed.extra(), ["new/sub3/f3"]);
}

#[test]
fn a_renamed_file_is_moved_when_its_content_proves_it() {
    let bed = Bed::new();
    bed.write("dir/a", noise(5000, 1));
    bed.write("big", noise(3 << 20, 2));
    bed.write("other/stays", "x");
    bed.ends(&["sync"], 0);
    bed.forget_requests();
    rename(&bed, "dir/a", "other/b");
    rename(&bed, "big", "huge");
    let (out, _) = bed.ends(&["sync"], 0);
    assert!(out.contains("moved docs/other/b"), "{out}");
    assert_eq!(bed.requests("file.move"), 2);
    assert_eq!(bed.requests("file.start"), 0);
    assert_eq!(bed.diff(), "");

    // The same inode, size and time, and another content: never a match.
    bed.forget_requests();
    let path = bed.root().join("other/b");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, noise(5000, 3)).unwrap();
    fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    rename(&bed, "other/b", "other/c");
    bed.ends(&["sync"], 0);
    assert_eq!(bed.requests("file.move"), 0);
    assert_eq!(bed.requests("cos.post"), 1);
    assert_eq!(fs::read(bed.objects().join("other/c")).unwrap(), noise(5000, 3));
    assert_eq!(fs::read(bed.objects().join("other/b")).unwrap(), noise(5000, 1), "kept");
}

#[test]
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn an_inode_that_is_used_again_is_no_move() {
    let bed = Bed::new();
    // Until the filesystem gives the inode of a directory that went to a new one.
    for n in 0..50 {
        let (old, new) = (format!("old{n}"), format!("new{n}"));
        bed.write(&format!("{old}/f"), noise(64, n));
        bed.ends(&["sync"], 0);
        let inode = fs::metadata(bed.root().join(&old)).unwrap().ino();
        fs::remove_dir_all(bed.root().join(&old)).unwrap();
        bed.write(&format!("{new}/f"), noise(64, 1000 + n));
        let again = fs::metadata(bed.root().join(&new)).unwrap().ino() == inode;
        bed.forget_requests();
        bed.ends(&["sync"], 0);
        assert_eq!(bed.requests("directory.move"), 0);
        // What was there is kept where it was.
        assert_eq!(fs::read(bed.objects().join(old).join("f")).unwrap(), noise(64, n));
        if again {
            return;
        }
    }
    println!("left out: this filesystem does not use inodes again at once");
}

#[test]
fn a_name_that_is_taken_in_the_library_is_not_moved_over() {
    let bed = Bed::new();
    fill(&bed, "old");
    bed.write("f", noise(999, 5));
    bed.ends(&["sync"], 0);
    let token = bed.admin();
    let call = |path: &str| {
        let url = format!("/api/v1/directory/smhemulator/-/backup/{path}?access_token={token}");
        assert_eq!(bed.call("PUT", &url, None).0, 201);
    };
    // Somebody else put something there.
    call("new/theirs");
    rename(&bed, "old", "new");
    rename(&bed, "f", "g");
    bed.ends(&["sync"], 0);
    assert_eq!(bed.missing(), Vec::<String>::new());
    assert!(bed.objects().join("new/theirs").is_dir());
    assert!(!bed.objects().join("f").exists());
}

#[test]
fn a_move_whose_answer_is_lost_is_found_out() {
    for effect in ["after", "before"] {
        let bed = Bed::new();
        fill(&bed, "old");
        bed.write("one", noise(4000, 9));
        bed.ends(&["sync"], 0);
        for route in ["directory.move", "file.move"] {
            bed.fault(json!({"route": route, "nth": 1, "effect": {"reset": effect}}));
        }
        bed.forget_requests();
        rename(&bed, "old", "new");
        rename(&bed, "one", "two");
        bed.ends(&["sync"], 0);
        assert_eq!(bed.requests("cos.post"), 0, "{effect}");
        assert_eq!(bed.diff(), "", "{effect}");
        bed.forget_requests();
        bed.ends(&["sync"], 0);
        assert_eq!(bed.all_requests(), 0, "{effect}");
    }
}

#[test]
fn without_the_right_to_move_what_was_renamed_is_sent() {
    let bed = Bed::new();
    bed.write("old/f", noise(4000, 9));
    bed.write("one", noise(4001, 9));
    bed.ends(&["sync"], 0);
    let path = "/api/v1/token?library_id=smhemulator&library_secret=emulator-secret&grant=upload_file_force,create_directory";
    let token = bed.call("POST", path, None).1["accessToken"].as_str().unwrap().to_owned();
    bed.token_instead_of_secret(&token);
    rename(&bed, "old", "new");
    rename(&bed, "one", "two");
    bed.ends(&["sync"], 0);
    assert_eq!(bed.missing(), Vec::<String>::new());
    assert_eq!(bed.extra(), ["old", "old/f", "one"]);
}

#[test]
fn a_name_that_has_the_same_content_already_is_not_moved_to() {
    let bed = Bed::new();
    bed.configure("delete = \"permanent\"\ndelete_grace = \"0s\"");
    for n in 0..9 {
        bed.write(&format!("f{n}"), format!("content {n}"));
    }
    bed.write("a", "same");
    bed.write("n", "same");
    bed.ends(&["sync"], 0);
    // Left out: its copy stays, and nobody speaks of it.
    fs::remove_file(bed.root().join("n")).unwrap();
    std::os::unix::fs::symlink("f1", bed.root().join("n")).unwrap();
    bed.ends(&["sync"], 0);
    fs::remove_file(bed.root().join("n")).unwrap();
    fs::rename(bed.root().join("a"), bed.root().join("n")).unwrap();
    bed.ends(&["sync"], 0);
    bed.ends(&["sync"], 0);
    assert_eq!(bed.missing(), Vec::<String>::new());
    assert_eq!(bed.extra(), Vec::<String>::new(), "the copy of what is gone is deleted");
    let (history, _) = bed.ends(&["history"], 0);
    assert!(!history.contains("moved"), "{history}");
}
