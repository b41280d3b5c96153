//! Deletes on the remote, their brakes, and the person who decides.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::bed::{Bed, noise, until};

const RECYCLE: &str = "delete = \"recycle\"\ndelete_grace = \"0s\"\nmax_delete = \"1000\"";

fn filled(more: &str) -> Bed {
    let bed = Bed::with(&["--recycle-bin"]);
    bed.configure(more);
    for n in 0..10 {
        bed.write(&format!("d{}/f{n}", n % 2), noise(50 + n, n as u64));
    }
    bed.write("top", "top");
    bed.ends(&["sync"], 0);
    bed
}

fn remove(bed: &Bed, name: &str) {
    let path = bed.root().join(name);
    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
}

fn recycled(bed: &Bed) -> usize {
    let path = format!("/api/v1/recycled/smhemulator/-?access_token={}", bed.admin());
    bed.call("GET", &path, None).1["contents"].as_array().unwrap().len()
}

fn holds(bed: &Bed, code: i32) -> Vec<Value> {
    let (out, _) = bed.ends(&["holds", "--json", "--exit-code"], code);
    let all: Value = serde_json::from_str(&out).unwrap();
    let held = all["holds"].as_array().unwrap().clone();
    // Whoever asks what is wrong hears of them too.
    let (errors, _) = bed.ends(&["errors"], 0);
    assert_eq!(errors.contains(": held since"), !held.is_empty(), "{errors}");
    held
}

fn deletes(bed: &Bed) -> u64 {
    bed.requests("file.delete") + bed.requests("directory.delete")
}

#[test]
fn keep_keeps_the_copies() {
    let bed = filled("");
    remove(&bed, "d0");
    remove(&bed, "top");
    bed.ends(&["sync"], 0);
    assert_eq!(deletes(&bed), 0);
    assert_eq!(bed.extra().len(), 7);
    assert_eq!(bed.mirror()["state"], "current");
}

#[test]
fn what_is_gone_goes_to_the_recycle_bin_last_of_all() {
    let bed = filled(RECYCLE);
    remove(&bed, "d0");
    bed.write("new", "new");
    bed.forget_requests();
    let (out, _) = bed.ends(&["sync"], 0);
    assert!(out.contains("deleted the copy of docs/d0/f2 (into the recycle bin)"), "{out}");
    assert_eq!(bed.diff(), "");
    assert_eq!(recycled(&bed), 6);
    assert_eq!((bed.requests("file.delete"), bed.requests("directory.delete")), (5, 1));
    let (_, log) = bed.call("GET", "/_emulator/log", None);
    let routes: Vec<&str> =
        log.as_array().unwrap().iter().map(|line| line["route"].as_str().unwrap()).collect();
    let first = routes.iter().position(|route| route.ends_with(".delete")).unwrap();
    let last = routes.iter().rposition(|route| *route == "file.confirm").unwrap();
    assert!(last < first, "{routes:?}");
    bed.forget_requests();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.all_requests(), 0);
}

#[test]
fn permanent_is_for_good() {
    let bed = filled(&RECYCLE.replace("recycle", "permanent"));
    remove(&bed, "d1");
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
    // But the directory, in which there may be more than it seems: it is empty.
    assert_eq!(recycled(&bed), 1);
}

#[test]
fn the_grace_period_is_kept_and_coming_back_costs_nothing() {
    let bed = filled(&RECYCLE.replace("0s", "1h"));
    let daemon = bed.daemon_until_current();
    fs::rename(bed.root().join("d0"), bed.path("elsewhere")).unwrap();
    until("five are gone", || (bed.mirror()["deletes"]["planned"] == 5).then_some(()));
    assert_eq!(bed.mirror()["state"], "current", "what is there is mirrored");
    bed.forget_requests();
    fs::rename(bed.path("elsewhere"), bed.root().join("d0")).unwrap();
    until("they are back", || (bed.mirror()["deletes"]["planned"] == 0).then_some(()));
    bed.until_current();
    assert_eq!(bed.all_requests(), 0);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let bed = filled(RECYCLE);
    let token = bed.admin();
    // Somebody else replaced one copy, and put something beside others.
    let start = format!(
        "/api/v1/file/smhemulator/-/backup/d0/f2?conflict_resolution_strategy=overwrite&filesize=6&access_token={token}"
    );
    let (_, form) = bed.call("POST", &start, Some(json!({"size": "6"})));
    assert_eq!(bed.post(&form, b"theirs").0, 204);
    let key = form["confirmKey"].as_str().unwrap();
    let confirm = format!("/api/v1/file/smhemulator/-/{key}?confirm&access_token={token}");
    assert_eq!(bed.call("POST", &confirm, None).0, 200);
    remove(&bed, "d0");
    bed.ends(&["sync"], 0);
    assert_eq!(fs::read(bed.objects().join("d0/f2")).unwrap(), b"theirs");
    assert_eq!(bed.extra(), ["d0", "d0/f2"]);
    let (out, _) = bed.ends(&["history", bed.root().join("d0/f2").to_str().unwrap()], 0);
    assert!(out.contains("left-alone"), "{out}");
    // Both are no longer ours to speak of, and are there to be made anew.
    bed.write("d0/f9", "again");
    bed.ends(&["sync"], 0);
    bed.until_mirrored("d0/f9", "again");
}

#[test]
fn too_many_at_once_wait_for_a_person() {
    let bed = filled("delete = \"recycle\"\ndelete_grace = \"0s\"\nmax_delete = \"4\"");
    remove(&bed, "d0");
    bed.write("new", "new");
    bed.ends(&["sync"], 5);
    assert_eq!(deletes(&bed), 0);
    bed.until_mirrored("new", "new");
    assert_eq!(bed.mirror()["state"], "held");
    let held = holds(&bed, 5);
    assert_eq!(
        (held.len(), &held[0]["kind"], &held[0]["deletes"]),
        (1, &json!("too-many-deletes"), &json!(5))
    );
    let id = held[0]["id"].to_string();
    let (out, _) = bed.ends(&["holds"], 0);
    for text in [
        format!("{} approve {id}", bed.program()),
        format!("{} reject {id}", bed.program()),
        "5 files were gone at once".to_owned(),
        "are moved to the recycle bin".to_owned(),
        "are kept in the library".to_owned(),
    ] {
        assert!(out.contains(&text), "{text}\n{out}");
    }
    // A number that nobody asked about.
    let (_, err) = bed.ends(&["approve", "77"], 2);
    assert!(err.contains("there is no hold 77"), "{err}");
    // More went since: who decides is told of that, wherever he asks.
    remove(&bed, "top");
    bed.ends(&["sync"], 5);
    assert_eq!(deletes(&bed), 0);
    let top = bed.root().join("top");
    let explain = ["explain", top.to_str().unwrap()];
    for (args, code) in
        [(&["holds"][..], 0), (&["errors"], 0), (&["status"], 0), (&explain, 0), (&["health"], 5)]
    {
        let (out, _) = bed.ends(args, code);
        let parts = ["5 files were gone at once", "6 copies wait for the decision now"];
        assert!(parts.into_iter().all(|part| out.contains(part)), "{args:?}: {out}");
    }

    let (out, _) = bed.ends(&["approve", &id], 0);
    assert!(out.contains("no daemon works now"), "{out}");
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
    assert_eq!(holds(&bed, 0), Vec::<Value>::new());
    // The answer was for those only.
    remove(&bed, "d1");
    bed.ends(&["sync"], 5);
    assert_ne!(holds(&bed, 5)[0]["id"].to_string(), id);
}

#[test]
fn the_last_answer_before_anybody_acts_counts() {
    let bed = filled("delete = \"permanent\"\ndelete_grace = \"0s\"\nmax_delete = \"4\"");
    remove(&bed, "d0");
    bed.ends(&["sync"], 5);
    let held = holds(&bed, 5);
    assert_eq!(held[0]["answered"], Value::Null);
    let id = held[0]["id"].to_string();
    let (out, _) = bed.ends(&["approve", &id], 0);
    assert!(out.starts_with(&format!("docs: hold {id} is approved: no daemon works now")), "{out}");
    assert_eq!(holds(&bed, 5)[0]["answered"], "approved");
    let (out, _) = bed.ends(&["holds"], 0);
    assert!(out.contains("It is approved"), "{out}");
    // On second thoughts the copies are kept.
    let (out, _) = bed.ends(&["reject", &id], 0);
    assert!(out.contains("which was approved before, is rejected"), "{out}");
    assert_eq!(holds(&bed, 5)[0]["answered"], "rejected");
    bed.ends(&["sync"], 0);
    assert_eq!(bed.extra().len(), 6);
    assert_eq!(deletes(&bed), 0);
    let (out, _) = bed.ends(&["history"], 0);
    assert!(out.contains("deletes were rejected") && !out.contains("were approved"), "{out}");
}

#[test]
fn a_share_counts_too_and_rejecting_keeps_the_copies() {
    let bed = filled("delete = \"recycle\"\ndelete_grace = \"0s\"\nmax_delete = \"25%\"");
    let daemon = bed.daemon_until_current();
    // One of eleven is fine, and a single file always is.
    remove(&bed, "top");
    until("deleted", || (!bed.objects().join("top").exists()).then_some(()));
    remove(&bed, "d0");
    until("held", || (bed.mirror()["state"] == "held").then_some(()));
    let id = holds(&bed, 5)[0]["id"].to_string();
    let (out, _) = bed.ends(&["reject", &id], 0);
    assert!(out.contains("is rejected"), "{out}");
    bed.until_current();
    assert_eq!(bed.mirror()["deletes"]["planned"], 0);
    let (out, _) = bed.ends(&["history"], 0);
    for part in [
        "docs: deletes wait for a person, 5 of 10 files were gone at once",
        &format!(
            "docs: deletes were rejected, hold {id}: the copies of 5 files that are gone are kept"
        ),
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert_eq!(daemon.stop(), Some(0));
    // For ever, not until the next start.
    bed.ends(&["sync"], 0);
    assert_eq!(bed.extra().len(), 6);
    assert_eq!(bed.requests("file.delete"), 1);
}

#[test]
fn an_emptied_root_is_held() {
    let bed = filled(RECYCLE);
    for name in ["d0", "d1", "top"] {
        remove(&bed, name);
    }
    bed.ends(&["sync"], 5);
    assert_eq!(holds(&bed, 5)[0]["kind"], "emptied");
    assert_eq!(deletes(&bed), 0);
    // Everything is back: nobody has to decide.
    for n in 0..10 {
        bed.write(&format!("d{}/f{n}", n % 2), noise(50 + n, n as u64));
    }
    bed.write("top", "top");
    bed.ends(&["sync"], 0);
    assert_eq!(holds(&bed, 0), Vec::<Value>::new());
    assert_eq!(bed.diff(), "");
}

#[test]
fn a_root_renamed_away_is_held_and_back_again_is_current() {
    let bed = filled(RECYCLE);
    let daemon = bed.daemon_until_current();
    bed.forget_requests();
    fs::rename(bed.root(), bed.path("away")).unwrap();
    until("held", || (bed.mirror()["state"] == "held").then_some(()));
    let held = holds(&bed, 5);
    assert_eq!((&held[0]["kind"], &held[0]["id"]), (&json!("root"), &Value::Null));
    assert_eq!(deletes(&bed), 0);
    // The folder in which a filesystem is not mounted shows nothing of it, and proves nothing.
    assert_eq!(bed.state_of("top"), "unknown");
    fs::create_dir(bed.root()).unwrap();
    assert_eq!(bed.state_of("top"), "unknown");
    fs::remove_dir(bed.root()).unwrap();
    fs::rename(bed.path("away"), bed.root()).unwrap();
    until("current again", || (bed.mirror()["state"] == "current").then_some(()));
    assert_eq!(bed.all_requests(), 0);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn another_root_deletes_nothing_without_a_word() {
    let bed = filled(RECYCLE);
    fs::rename(bed.root(), bed.path("before")).unwrap();
    fs::create_dir(bed.root()).unwrap();
    bed.write("unlike", "unlike");
    bed.ends(&["sync"], 5);
    assert_eq!(holds(&bed, 5)[0]["kind"], "replaced");
    assert_eq!(deletes(&bed), 0);
    bed.until_mirrored("unlike", "unlike");
    // It was a copy of the folder that was not complete yet.
    let copied =
        Command::new("cp").arg("-a").arg(bed.path("before/.")).arg(bed.root()).status().unwrap();
    assert!(copied.success());
    bed.ends(&["sync"], 0);
    assert_eq!(holds(&bed, 0), Vec::<Value>::new());
    assert_eq!(bed.diff(), "");
}

#[test]
fn without_a_recycle_bin_nothing_is_recycled_for_good() {
    let bed = Bed::new();
    bed.configure(RECYCLE);
    bed.write("d/a", "a");
    bed.write("d/b", "b");
    bed.write("stays", "stays");
    bed.ends(&["sync"], 0);
    remove(&bed, "d/a");
    bed.ends(&["sync"], 5);
    let held = holds(&bed, 5);
    assert_eq!(held[0]["kind"], "no-recycle-bin");
    assert_eq!(deletes(&bed), 0);
    let (out, _) = bed.ends(&["holds"], 0);
    assert!(out.contains("is deleted for good"), "{out}");
    bed.ends(&["approve", &held[0]["id"].to_string()], 0);
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
}

#[test]
fn without_the_right_to_delete_uploads_go_on() {
    let bed = filled(RECYCLE);
    let path = "/api/v1/token?library_id=smhemulator&library_secret=emulator-secret&grant=upload_file_force,create_directory";
    let token = bed.call("POST", path, None).1["accessToken"].as_str().unwrap().to_owned();
    bed.token_instead_of_secret(&token);
    remove(&bed, "d0");
    bed.write("new", "new");
    bed.ends(&["sync"], 3);
    bed.until_mirrored("new", "new");
    let (out, _) = bed.ends(&["errors"], 0);
    assert!(out.contains("cannot delete the copy"), "{out}");
    assert_eq!(bed.mirror()["state"], "behind");
}

#[test]
fn changing_the_mind_about_deletes_changes_what_is_planned() {
    let bed = filled("");
    remove(&bed, "d0");
    bed.ends(&["sync"], 0);
    assert_eq!(bed.extra().len(), 6);
    bed.configure(RECYCLE);
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
    // And back, before anything was deleted.
    bed.configure(&RECYCLE.replace("0s", "1h"));
    remove(&bed, "d1");
    bed.ends(&["sync"], 0);
    assert_eq!(bed.mirror()["deletes"]["planned"], 5);
    bed.configure("");
    bed.ends(&["sync"], 0);
    assert_eq!(bed.mirror()["deletes"]["planned"], 0);
    assert_eq!(bed.extra().len(), 6);
}

#[test]
fn a_file_in_the_place_of_a_directory_and_back() {
    let bed = filled(RECYCLE);
    remove(&bed, "d0");
    bed.write("d0", "a file now");
    remove(&bed, "top");
    bed.write("top/inner", "a directory now");
    until("both kinds changed", || {
        bed.run(&["sync"]);
        bed.diff().is_empty().then_some(())
    });
}

fn mount(args: &[&str], at: &Path) -> bool {
    Command::new("mount").args(args).arg(at).status().is_ok_and(|status| status.success())
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn what_lies_on_a_filesystem_that_is_not_mounted_is_not_gone() {
    let bed = filled(RECYCLE);
    let at = bed.root().join("mnt");
    fs::create_dir(&at).unwrap();
    if !mount(&["-t", "tmpfs", "smh-mirror-test"], &at) {
        println!("left out: a filesystem cannot be mounted here");
        return;
    }
    let mounted = Mounted(&at);
    bed.write("mnt/deep/a", "a");
    bed.write("mnt/b", "b");
    bed.ends(&["sync"], 0);
    bed.forget_requests();
    assert!(Command::new("umount").arg(&at).status().unwrap().success());
    bed.ends(&["sync"], 5);
    let held = holds(&bed, 5);
    assert_eq!((&held[0]["kind"], &held[0]["path"]), (&json!("unmounted"), &json!("mnt")));
    assert_eq!(deletes(&bed), 0);
    assert_eq!(bed.mirror()["deletes"]["planned"], 0);
    // Mounted again, with the same in it.
    assert!(mount(&["-t", "tmpfs", "smh-mirror-test"], &at));
    bed.write("mnt/deep/a", "a");
    bed.write("mnt/b", "b");
    bed.ends(&["sync"], 0);
    assert_eq!(holds(&bed, 0), Vec::<Value>::new());
    // With its mount point too: that proves nothing either.
    assert!(Command::new("umount").arg(&at).status().unwrap().success());
    drop(mounted);
    fs::remove_dir(&at).unwrap();
    bed.ends(&["sync"], 5);
    assert_eq!(holds(&bed, 5)[0]["kind"], "unmounted");
    assert_eq!((deletes(&bed), bed.mirror()["deletes"]["planned"].clone()), (0, json!(0)));
    // Gone for good, and a person says so. What else went since is another question.
    remove(&bed, "d0");
    bed.ends(&["sync"], 5);
    bed.configure(&RECYCLE.replace("1000", "4"));
    bed.ends(&["approve", &holds(&bed, 5)[0]["id"].to_string()], 0);
    until("the other question", || {
        bed.run(&["sync"]);
        let held = holds(&bed, 5);
        (held[0]["kind"] == "too-many-deletes").then_some(())
    });
    assert!(bed.objects().join("d0/f2").exists());
    bed.ends(&["approve", &holds(&bed, 5)[0]["id"].to_string()], 0);
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
}

#[test]
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn a_folder_of_the_same_filesystem_is_mounted_there_or_not_like_any_other() {
    let bed = filled(RECYCLE);
    for name in ["mnt", "over", "itself"] {
        fs::create_dir(bed.root().join(name)).unwrap();
    }
    bed.write("over/hidden", "hidden");
    bed.write("itself/a", "a");
    let elsewhere = bed.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("b"), "b").unwrap();
    let bound = elsewhere.to_str().unwrap();
    let at = bed.root().join("mnt");
    if !mount(&["--bind", bound], &at) {
        println!("left out: a folder cannot be mounted here");
        return;
    }
    let mounted = Mounted(&at);
    bed.ends(&["sync"], 0);
    assert!(bed.objects().join("mnt/b").exists());
    assert!(Command::new("umount").arg(&at).status().unwrap().success());
    bed.ends(&["sync"], 5);
    let held = holds(&bed, 5);
    assert_eq!((&held[0]["kind"], &held[0]["path"]), (&json!("unmounted"), &json!("mnt")));
    assert!(mount(&["--bind", bound], &at));
    bed.ends(&["sync"], 0);
    assert_eq!(holds(&bed, 0), Vec::<Value>::new());

    // A folder that is mounted over itself hides nothing.
    let itself = bed.root().join("itself");
    assert!(mount(&["--bind", itself.to_str().unwrap()], &itself));
    let _itself = Mounted(&itself);
    bed.ends(&["sync"], 0);

    // Over what was mirrored, it hides it.
    let over = bed.root().join("over");
    assert!(mount(&["--bind", bound], &over));
    let hiding = Mounted(&over);
    bed.ends(&["sync"], 5);
    assert_eq!(holds(&bed, 5)[0]["kind"], "replaced");
    assert_eq!(deletes(&bed), 0);
    assert!(bed.objects().join("over/hidden").exists());
    drop(hiding);
    drop(mounted);
}

#[test]
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn another_filesystem_in_the_place_of_a_mounted_one_deletes_nothing() {
    let bed = filled(RECYCLE);
    let at = bed.root().join("disk");
    fs::create_dir(&at).unwrap();
    if !mount(&["-t", "tmpfs", "smh-mirror-test"], &at) {
        println!("left out: a filesystem cannot be mounted here");
        return;
    }
    let mounted = Mounted(&at);
    bed.write("disk/a", "a");
    bed.write("disk/b", "b");
    bed.ends(&["sync"], 0);
    // Nobody looks in between. The roots of both have the same number.
    assert!(Command::new("umount").arg(&at).status().unwrap().success());
    assert!(mount(&["-t", "tmpfs", "smh-mirror-test"], &at));
    bed.write("disk/c", "c");
    bed.ends(&["sync"], 5);
    let held = holds(&bed, 5);
    assert_eq!((&held[0]["kind"], &held[0]["path"]), (&json!("replaced"), &json!("disk")));
    assert_eq!(deletes(&bed), 0);
    bed.until_mirrored("disk/c", "c");
    // What is missing is there again.
    bed.write("disk/a", "a");
    bed.write("disk/b", "b");
    bed.ends(&["sync"], 0);
    assert_eq!(holds(&bed, 0), Vec::<Value>::new());
    drop(mounted);
}

#[test]
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn a_rejected_hold_keeps_what_lay_on_the_filesystem() {
    let bed = filled(RECYCLE);
    let at = bed.root().join("mnt");
    fs::create_dir(&at).unwrap();
    if !mount(&["-t", "tmpfs", "smh-mirror-test"], &at) {
        println!("left out: a filesystem cannot be mounted here");
        return;
    }
    let mounted = Mounted(&at);
    bed.write("mnt/deep/a", "a");
    bed.write("mnt/b", "b");
    bed.ends(&["sync"], 0);
    assert!(Command::new("umount").arg(&at).status().unwrap().success());
    drop(mounted);
    bed.ends(&["sync"], 5);
    bed.ends(&["reject", &holds(&bed, 5)[0]["id"].to_string()], 0);
    bed.ends(&["sync"], 0);
    assert_eq!(deletes(&bed), 0);
    assert_eq!(bed.extra(), ["mnt/b", "mnt/deep", "mnt/deep/a"]);
    bed.ends(&["sync"], 0);
    assert_eq!(deletes(&bed), 0);
}

#[test]
fn what_may_go_to_a_recycle_bin_does_not_go_for_good() {
    let bed = Bed::new();
    bed.configure(&RECYCLE.replace("1000", "2"));
    for n in 0..6 {
        bed.write(&format!("d/f{n}"), [n]);
    }
    bed.write("stays", "stays");
    bed.ends(&["sync"], 0);
    remove(&bed, "d");
    bed.ends(&["sync"], 5);
    let held = holds(&bed, 5);
    assert_eq!(held[0]["kind"], "too-many-deletes");
    bed.ends(&["approve", &held[0]["id"].to_string()], 0);
    bed.ends(&["sync"], 5);
    let held = holds(&bed, 5);
    assert_eq!((held.len(), &held[0]["kind"]), (1, &json!("no-recycle-bin")));
    assert_eq!(deletes(&bed), 0);
    bed.ends(&["approve", &held[0]["id"].to_string()], 0);
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
}
