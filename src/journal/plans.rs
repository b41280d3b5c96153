//! How SQLite goes about the statements of a turn (tests only): none of them may read or sort more than it gives.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use rusqlite::trace::{TraceEvent, TraceEventCodes};

use super::*;
use crate::failure::Class;
use crate::fingerprint::Fingerprint;
use crate::relpath::RelPath;

fn rel(text: &str) -> RelPath {
    RelPath::from_bytes(text.as_bytes().to_vec())
}

/// Everything that is asked for each directory, page, hint and step.
fn everything(turn: &Turn<'_>) -> Result<(), JournalError> {
    let mirror = turn.adopt_mirror("m", b"/m", "t")?.id;
    let root = turn.dir_at(mirror, &RelPath::root())?.expect("a root").id;
    let dir = turn.insert_dir(mirror, Some(root), &rel("d"), Some(1))?;
    let inner = turn.insert_dir(mirror, Some(dir), &rel("d/e"), Some(1))?;
    let id = EntryId { dir, name: b"f".to_vec() };
    let seen = Fingerprint { size: 1, mtime_ns: 1, ctime_ns: 1, inode: 1 };
    let row = FileRow {
        id: id.clone(),
        seen,
        confirmed: None,
        changed_at_ms: Some(1),
        next_at_ms: Some(1),
        gone_at_ms: None,
        unsure: false,
    };
    turn.put_file(&row)?;
    turn.file(&id)?;
    turn.set_file_next(&id, 5)?;
    for (after, upto) in [("a", Some("b")), ("a", None)] {
        turn.files_between(dir, Some(after.as_bytes()), upto.map(str::as_bytes))?;
        turn.skipped_between(dir, Some(after.as_bytes()), upto.map(str::as_bytes))?;
        turn.dirs_between(dir, Some(&rel(after)), upto.map(rel).as_ref())?;
    }
    turn.put_skipped(&SkippedRow { id: id.clone(), reason: SkipReason::Excluded })?;
    turn.skipped(&id)?;
    turn.remove_skipped(&id)?;
    turn.put_trouble(&TroubleRow {
        id: id.clone(),
        class: Class::Local,
        code: None,
        message: String::new(),
        request_id: None,
        attempts: 1,
        blocked: true,
        first_at_ms: 1,
        last_at_ms: 1,
    })?;
    turn.trouble(&id)?;
    turn.remove_trouble(&id)?;
    turn.unblock_files(dir, "code", 1)?;
    turn.put_unreadable(&UnreadableRow {
        dir,
        message: String::new(),
        attempts: 1,
        first_at_ms: 1,
        last_at_ms: 1,
    })?;
    turn.unreadable(dir)?;
    turn.remove_unreadable(dir)?;
    for share in [Share::Small, Share::Large] {
        turn.due_files(&[mirror], share, 5, 10)?;
    }
    turn.newest_due(5, 10)?;
    turn.set_unsure(&id, 5)?;
    turn.next_file_due(5)?;
    turn.due_dirs(mirror, 5, 10)?;
    turn.next_dir_due(5)?;
    turn.due_now(1, 2)?;
    turn.set_dir_next(dir, Some(5))?;
    turn.first_missing(inner)?;
    turn.first_unlisted(inner)?;
    turn.dir_listed(dir, 5)?;
    turn.put_remote(&id, RemoteRow { size: None, crc64: None })?;
    turn.remote(&id)?;
    turn.remove_remote(&id)?;
    turn.upload(&id)?;
    turn.remove_upload(&id)?;
    turn.tree_listed(dir, 5)?;
    turn.dir_created(inner, 5)?;
    turn.dir_lost(dir, 5)?;
    let (old, new) = (turn.dir(dir)?.expect("a row"), turn.dir(inner)?.expect("a row"));
    turn.set_dir_mark(dir, 7, false, 0)?;
    turn.unblock_dirs(&old, 5)?;
    turn.mounted_below(&old)?;
    turn.has_fresh_work(mirror)?;
    turn.delay_file(&id, 5)?;
    turn.dir_of_inode(mirror, 7, inner)?;
    turn.gone_alike(mirror, &seen)?;
    turn.is_unsettled(&old)?;
    turn.is_moved(&old, &new)?;
    turn.moving()?;
    turn.holds(mirror)?;
    turn.tree_gone(dir, 5, Some(6))?;
    turn.set_file_delete(&id, Some(6))?;
    turn.set_dir_delete(dir, Some(6))?;
    turn.due_file_deletes(mirror, 9, None, 10)?;
    turn.due_dir_deletes(mirror, 9, 10)?;
    turn.next_delete_due(5)?;
    turn.planned_deletes(mirror, Approval::Delete)?;
    turn.dir_is_back(dir, None)?;
    turn.put_condition(Some(mirror), ConditionKind::Root, "", 1)?;
    turn.remove_condition(Some(mirror), ConditionKind::Root)?;
    turn.pause(mirror, Some(9), "", 1)?;
    turn.paused(mirror)?;
    turn.resume(mirror)?;
    turn.record(1, mirror, &rel("d"), Activity::Gone, "")?;
    turn.tree_left_out(dir, 5)?;
    turn.remove_file(&id)
}

#[test]
fn no_statement_of_a_turn_reads_or_sorts_more_than_it_gives() {
    let mut journal = Journal::in_memory().expect("a journal");
    let heard = Arc::new(Mutex::new(BTreeSet::new()));
    let statements = Arc::clone(&heard);
    let listen = move |event: TraceEvent<'_>| {
        if let TraceEvent::Stmt(_, sql) = event {
            statements.lock().expect("nobody panics").insert(sql.to_owned());
        }
    };
    let events = TraceEventCodes::SQLITE_TRACE_STMT;
    journal.connection.trace_v2(events, Some(listen)).expect("it listens");
    let turn = journal.turn().expect("a turn");
    everything(&turn).expect("statements");
    turn.commit().expect("committed");
    let statements = std::mem::take(&mut *heard.lock().expect("nobody panics"));
    assert!(statements.len() > 40, "{} statements", statements.len());
    let mut bad = Vec::new();
    for sql in statements {
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        let Ok(mut statement) = journal.connection.prepare(&explain) else { continue };
        let lines: Vec<String> = statement
            .raw_query()
            .mapped(|row| row.get(3))
            .collect::<Result<_, _>>()
            .expect("a plan");
        // A range of a mirror's directories is bounded on both sides.
        let half = sql.contains("path >=") && lines.iter().any(|l| l.contains("(mirror_id=?)"));
        let sorts = lines.iter().any(|line| line.contains("TEMP B-TREE"));
        let scans = lines.iter().any(|line| line.starts_with("SCAN") && !line.contains("CONSTANT"));
        if half || sorts || scans {
            bad.push(format!("{sql}\n    {}", lines.join("\n    ")));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
