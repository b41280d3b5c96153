//! What must hold after every step, and what must hold in the end. Design section 14.

use super::disk::Node;
use super::world::{CONCURRENCY, World};
use crate::journal::NEVER_MS;
use crate::mirror::facts::TransferId;
use crate::relpath::RelPath;

/// After every step.
pub(super) fn invariants(world: &mut World) {
    // (8) bounded; and two uploads of one path never race.
    let mut running = world.transfers_in_flight();
    assert!(running.len() <= CONCURRENCY, "{} connections at a time", running.len());
    running.sort();
    running.dedup();
    let of_one_path = |pair: &[(RelPath, TransferId)]| pair[0].0 == pair[1].0;
    assert!(!running.windows(2).any(of_one_path), "two uploads of one path: {running:?}");
    let rows = world.engine().journal().all_files().expect("the journal can be read");
    for (path, row) in &rows {
        let target = world.target(path);
        if row.gone_at_ms.is_none() && row.next_at_ms.is_none() {
            // (5) synced implies that the service acknowledged it, and still has it: nobody took it away.
            let Some(confirmed) = row.confirmed else { panic!("{path}: synced without evidence") };
            assert_eq!(confirmed.fingerprint, row.seen, "{path}: synced as something else");
            let remote = world.service.files.get(&target);
            assert_eq!(
                remote.map(|content| (content.size, content.crc64())),
                Some((confirmed.fingerprint.size, confirmed.crc64)),
                "{path}: called synced, and the library holds something else"
            );
            // (9) what is called synced and has not changed is what lies there.
            if let Some((content, print, _)) = world.disk.file(path)
                && print == row.seen
            {
                assert_eq!(remote, Some(&content), "{path}: the copy is not the file");
            }
        }
        assert!(
            row.gone_at_ms.is_none() || row.next_at_ms.is_none(),
            "{path}: something is planned for a file that is gone"
        );
    }
    // (2) nothing is invented: every copy is one whole state that was once at that path.
    for (target, content) in &world.service.files {
        if world.service.copies.contains(target) {
            continue;
        }
        let paths = world.paths_of(target);
        assert!(
            paths.iter().any(|path| world.disk.ever.contains(&(path.clone(), *content))),
            "{paths:?}: the library holds what never was there"
        );
    }
    // (3), (4) nothing is ever removed but a copy under a wrong name, and what `World::delete` checks.
    assert_eq!(world.service.removed_wrongly, Vec::<Vec<String>>::new());
}

/// (9) When nothing is on its way, a complete scan was made and nothing is known to be missed, then every file that
/// lies there was seen as it is: otherwise `current` would be a lie. Histories in which the kernel does not tell of
/// everything are not asked; there the next full scan finds it.
pub(super) fn nothing_unseen(world: &mut World) {
    if world.hints_lost || !world.is_idle() || world.disk.root.is_none() {
        return;
    }
    if !world.engine().journal().says_all_was_seen().expect("the journal can be read") {
        return;
    }
    let rows = world.engine().journal().all_files().expect("the journal can be read");
    let files = world.disk.paths(|node| matches!(node, Node::File { .. }));
    for path in &files {
        let row = rows.iter().find(|(known, _)| known == path).map(|(_, row)| row);
        let Some(row) = row else { panic!("{path}: nobody saw it, and nothing says so") };
        let (_, print, _) = world.disk.file(path).expect("it is there");
        assert_eq!(row.seen, print, "{path}: nobody saw its last change, and nothing says so");
    }
    for (path, row) in &rows {
        assert!(
            row.gone_at_ms.is_some() || files.contains(path),
            "{path}: nobody saw that it went, and nothing says so"
        );
    }
}

/// In the end: everything that can be mirrored is, and whatever is not is named.
pub(super) fn converged(world: &mut World) {
    invariants(world);
    let rows = world.engine().journal().all_files().expect("the journal can be read");
    let uploads = world.engine().journal().all_uploads().expect("the journal can be read");
    assert_eq!(uploads, [], "uploads are left in the journal");
    if !world.keys_leaked {
        let open = world.service.left_open();
        assert_eq!(open, Vec::<String>::new(), "uploads are left on the service");
    }
    let files = world.disk.paths(|node| matches!(node, Node::File { .. }));
    for path in &files {
        let row = rows.iter().find(|(known, _)| known == path).map(|(_, row)| row);
        let Some(row) = row else { panic!("{path}: never seen") };
        if row.next_at_ms.is_none() {
            let (_, print, _) = world.disk.file(path).expect("it is there");
            assert_eq!(row.seen, print, "{path}: the journal is behind");
            continue;
        }
        assert_eq!(row.next_at_ms, Some(NEVER_MS), "{path}: still waits");
        assert!(may_be_blocked(world, path), "{path}: blocked for no reason");
    }
    for (path, row) in &rows {
        assert!(
            row.gone_at_ms.is_some() || files.contains(path),
            "{path}: called there, and it is not"
        );
    }
    let doomed = world.engine().journal().waiting_deletes().expect("the journal can be read");
    assert_eq!(doomed, Vec::<RelPath>::new(), "copies are left to be deleted");
    if !world.dirs_lost {
        for dir in world.disk.paths(|node| matches!(node, Node::Dir { .. })) {
            let there = world.service.dirs.contains(&world.target(&dir));
            assert!(there || may_be_blocked(world, &dir), "{dir}: not made");
        }
    }
}

/// Refused for good: a poisoned name, or something of another kind is in the way and is never removed.
fn may_be_blocked(world: &World, path: &RelPath) -> bool {
    let target = world.target(path);
    let poisoned = target.iter().any(|name| name.contains("poison"));
    let file_above = (1..=target.len()).any(|upto| match target.get(..upto) {
        Some(part) => {
            world.service.files.contains_key(part)
                && (upto < target.len() || world.disk.is_dir(path))
        }
        None => false,
    });
    poisoned || file_above || world.service.dirs.contains(&target) && !world.disk.is_dir(path)
}
