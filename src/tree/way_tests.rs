//! Ways that are long, that lead round, and that somebody moves about meanwhile.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags};

use super::list::{Lister, Selection};
use super::{Absent, Kind, Skip};
use crate::fingerprint::Fingerprint;
use crate::relpath::RelPath;

fn rel(text: &str) -> RelPath {
    RelPath::from_bytes(text.as_bytes().to_vec())
}

fn lister(root: &Path, follow: bool) -> Lister {
    Lister::new(root.to_path_buf(), Selection { follow, ..Selection::default() })
}

fn list(lister: &Lister, dir: &RelPath) -> Result<Vec<(String, Kind)>, Absent> {
    let mut all = Vec::new();
    lister.list(
        dir,
        |_| {},
        |found, _| {
            let entries = found.into_iter();
            all.extend(entries.map(|e| (String::from_utf8_lossy(&e.name).into_owned(), e.kind)));
            true
        },
    )?;
    Ok(all)
}

#[test]
fn a_path_that_is_longer_than_the_kernel_takes_is_listed_looked_at_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut fd = rustix::fs::open(folder.path(), flags, Mode::empty()).unwrap();
    let name = "n".repeat(255);
    let mut path = RelPath::root();
    for _ in 0..40 {
        rustix::fs::mkdirat(&fd, &name, Mode::RWXU).unwrap();
        fd = rustix::fs::openat(&fd, &name, flags, Mode::empty()).unwrap();
        path = path.join(name.as_bytes());
    }
    let new = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&fd, "f", new, Mode::RUSR).unwrap();
    rustix::io::write(&file, b"deep").unwrap();
    assert!(path.as_bytes().len() > 2 * 4096);
    for follow in [false, true] {
        let lister = lister(folder.path(), follow);
        let listed = list(&lister, &path).unwrap();
        let [(name, Kind::File(print))] = &listed[..] else { panic!("{listed:?}") };
        assert_eq!(name, "f");
        let file = path.join(b"f");
        assert_eq!(lister.look(&file, |_| {}), Ok(Kind::File(*print)));
        let (bytes, _) = lister.open(&file, *print).unwrap().whole().unwrap();
        assert_eq!(&bytes[..], b"deep");
        assert_eq!(lister.look(&path.join(b"none"), |_| {}), Err(Absent::Gone));
    }
}

#[test]
fn what_lies_behind_a_link_is_not_gone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("d")).unwrap();
    for (target, name) in [("d", "in"), ("/", "out"), ("none", "dangling"), (".", "loop")] {
        symlink(target, root.join(name)).unwrap();
    }
    fs::write(root.join("file"), "").unwrap();
    let gone = |follow: bool, path: &str| {
        lister(root, follow).look(&rel(path), |_| {}) == Err(Absent::Gone)
    };
    for path in ["in/x", "out/x", "dangling/x", "loop/x"] {
        assert!(!gone(false, path), "{path}");
        // Through a link that is followed one sees that there is nothing.
        assert_eq!(gone(true, path), path == "in/x", "{path}");
    }
    for follow in [false, true] {
        for path in ["x", "d/x", "file/x", "none/x", "d/../file", ".."] {
            assert!(gone(follow, path), "{path}");
        }
    }
}

#[test]
fn nothing_is_read_through_a_link_that_leads_outside() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    symlink(&secret, root.join("l")).unwrap();
    symlink("..", root.join("up")).unwrap();
    let print = super::entry::fingerprint(&rustix::fs::stat(&secret).unwrap(), true);
    for follow in [false, true] {
        let lister = lister(&root, follow);
        for path in ["l", "up/secret", "../secret"] {
            assert!(lister.open(&rel(path), print).is_err(), "{path}");
        }
        assert_eq!(list(&lister, &rel("up")), Err(Absent::Gone));
    }
}

/// Somebody swaps a directory with a link to another one, as fast as he can.
#[test]
fn a_race_with_links_leads_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let outside = folder.path().join("outside");
    fs::create_dir_all(root.join("d")).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(root.join("d/f"), "inside").unwrap();
    fs::write(outside.join("f"), "secret").unwrap();
    let secret = super::entry::fingerprint(&rustix::fs::stat(outside.join("f")).unwrap(), true);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fs::rename(root.join("d"), root.join("aside")).unwrap();
                symlink(&outside, root.join("d")).unwrap();
                fs::remove_file(root.join("d")).unwrap();
                fs::rename(root.join("aside"), root.join("d")).unwrap();
            }
        });
        let mut seen = 0;
        for round in 0..4_000 {
            let lister = lister(&root, round % 2 == 0);
            match lister.look(&rel("d/f"), |_| {}) {
                Ok(Kind::File(Fingerprint { inode, .. })) => {
                    seen += 1;
                    assert_ne!(inode, secret.inode);
                }
                Ok(other) => panic!("{other:?}"),
                Err(Absent::Gone | Absent::Unreadable(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
            assert!(lister.open(&rel("d/f"), secret).is_err());
        }
        stop.store(true, Ordering::Relaxed);
        assert!(seen > 0);
    });
}

#[test]
fn a_link_is_what_it_points_to() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("d")).unwrap();
    fs::write(root.join("d/f"), "content").unwrap();
    symlink("d/f", root.join("l")).unwrap();
    symlink("d", root.join("t")).unwrap();
    let skip = list(&lister(root, false), &RelPath::root()).unwrap();
    assert_eq!(skip[1], ("l".into(), Kind::Skipped(Skip::Symlink)));
    assert_eq!(skip[2], ("t".into(), Kind::Skipped(Skip::Symlink)));
    let lister = lister(root, true);
    let follow = list(&lister, &RelPath::root()).unwrap();
    let file = lister.look(&rel("d/f"), |_| {}).unwrap();
    assert_eq!(follow[1], ("l".into(), file));
    assert!(follow[2].1.is_dir());
    assert_eq!(list(&lister, &rel("t")).unwrap(), [("f".into(), file)]);
    let mut place = None;
    let opened = |real: &RelPath, _: std::os::fd::BorrowedFd<'_>| place = Some(real.clone());
    lister.list_opened(&rel("t"), opened, |_| {}, |_, _| true).unwrap();
    assert_eq!(place, Some(rel("d")));
    assert_eq!(lister.names_of(&rel("d/f")), [rel("l"), rel("t/f")]);
    let Kind::File(print) = file else { panic!("a file") };
    // Led elsewhere since: that is another file, of the same content.
    fs::write(root.join("other"), "content").unwrap();
    fs::remove_file(root.join("l")).unwrap();
    symlink("other", root.join("l")).unwrap();
    assert!(lister.open(&rel("l"), print).is_err());
    assert_ne!(lister.look(&rel("l"), |_| {}), Ok(file));
    assert_eq!(lister.names_of(&rel("d/f")), [rel("t/f")]);
    assert_eq!(lister.names_of(&rel("other")), [rel("l")]);
}
