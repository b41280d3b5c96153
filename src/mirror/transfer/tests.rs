use super::confirming::CONFIRM_PAUSES;
use super::*;
use crate::digest::Hash;
use crate::journal::{DirId, EntryId};
use crate::mirror::step::{Remote, Reply};

const CRC: u64 = 42;

fn print(size: u64) -> Fingerprint {
    Fingerprint { size, mtime_ns: 1, ctime_ns: 2, inode: 3 }
}

fn digest(size: u64) -> Digest {
    let hash = Hash::from_bytes([9; 32]);
    Digest { size, beginning: hash, full: hash, crc64: CRC }
}

pub(super) fn target() -> Vec<String> {
    vec!["base".into(), "f".into()]
}

fn reply(size: u64) -> Reply {
    Reply { path: Some(target()), size: Some(size), crc64: Some(CRC) }
}

pub(super) fn refused(class: Class, code: &str) -> Outcome {
    Outcome::Failed(Failure { code: Some(code.into()), ..Failure::new(class, "no") })
}

fn started() -> Outcome {
    Outcome::Started { confirm_key: "k".into(), expires_at_ms: None }
}

fn posted(size: u64) -> Outcome {
    Outcome::Posted { digest: digest(size), crc64: Some(CRC) }
}

pub(super) fn known(size: u64) -> Known {
    Known {
        seen: print(size),
        confirmed: None,
        remote: None,
        unsure: false,
        multipart_from: u64::MAX,
    }
}

fn begin(size: u64) -> (Transfer, Decision) {
    Transfer::begin(target(), known(size), None, 0, None)
}

fn take_up(size: u64, upload: &UploadRow) -> (Transfer, Decision) {
    Transfer::begin(target(), known(size), Some(upload), 0, None)
}

pub(super) fn row(stage: UploadStage, size: u64) -> UploadRow {
    UploadRow {
        id: EntryId { dir: DirId(1), name: b"f".to_vec() },
        confirm_key: "old".into(),
        stage,
        started_at_ms: 1,
        expires_at_ms: None,
        fingerprint: print(size),
        part_size: None,
        parts: Vec::new(),
    }
}

pub(super) fn failed(decision: &Decision) -> Option<Class> {
    match &decision.next {
        Next::End(End::Failed(failure)) => Some(failure.class),
        _ => None,
    }
}

/// Brings a transfer of 7 bytes to its confirm.
fn confirming() -> Transfer {
    let (mut transfer, _) = begin(7);
    transfer.on(started());
    transfer.on(posted(7));
    transfer
}

#[test]
fn a_small_file_is_three_calls() {
    let (mut transfer, first) = begin(7);
    assert_eq!(first.next, Next::Step(Step::Start(Hashes::None)));
    let second = transfer.on(started());
    assert_eq!(
        second.note,
        Some(Note::Started { confirm_key: "k".into(), expires_at_ms: None, part_size: None })
    );
    assert_eq!(second.next, Next::Step(Step::Post));
    let third = transfer.on(posted(7));
    assert!(matches!(third.note, Some(Note::Posted { crc64: CRC, .. })));
    assert!(matches!(third.next, Next::Step(Step::Confirm { crc64: CRC, pause_ms: 0, .. })));
    let last = transfer.on(Outcome::Confirmed(reply(7)));
    assert_eq!(last.note, Some(Note::Forgotten));
    assert!(matches!(last.next, Next::End(End::Synced { how: How::Sent, crc64: CRC, .. })));
}

#[test]
fn a_large_file_may_be_instant() {
    let (mut transfer, first) = begin(BEGINNING_LEN);
    assert_eq!(first.next, Next::Step(Step::Start(Hashes::Beginning)));
    assert_eq!(transfer.on(Outcome::NeedFullHash).next, Next::Step(Step::Start(Hashes::Full)));
    let size = BEGINNING_LEN;
    let last = transfer.on(Outcome::Instant { digest: digest(size), reply: reply(size) });
    assert!(matches!(last.next, Next::End(End::Synced { how: How::Instant, .. })));
}

#[test]
fn a_touched_file_is_not_sent() {
    let confirmed = ConfirmedRow {
        fingerprint: Fingerprint { mtime_ns: 0, ..print(7) },
        full_hash: digest(7).full,
        crc64: CRC,
        at_ms: 0,
    };
    let (mut transfer, first) =
        Transfer::begin(target(), Known { confirmed: Some(confirmed), ..known(7) }, None, 0, None);
    assert_eq!(first.next, Next::Step(Step::Digest));
    let last = transfer.on(Outcome::Digested(digest(7)));
    assert!(matches!(last.next, Next::End(End::Synced { how: How::Unchanged, .. })));
    // Another content of the same size is sent.
    let other = ConfirmedRow { crc64: 1, ..confirmed };
    let (mut transfer, _) =
        Transfer::begin(target(), Known { confirmed: Some(other), ..known(7) }, None, 0, None);
    assert_eq!(
        transfer.on(Outcome::Digested(digest(7))).next,
        Next::Step(Step::Start(Hashes::None))
    );
}

#[test]
fn what_changed_while_it_was_sent_is_cancelled_and_never_confirmed() {
    let (mut transfer, _) = begin(7);
    transfer.on(started());
    let cancel = transfer.on(Outcome::Changed);
    assert_eq!(cancel.next, Next::Step(Step::Cancel { confirm_key: "k".into() }));
    let last = transfer.on(refused(Class::Transient, "x"));
    assert_eq!((last.note, last.next), (Some(Note::Forgotten), Next::End(End::Changed)));
}

#[test]
fn other_bytes_are_never_confirmed() {
    let (mut transfer, _) = begin(7);
    transfer.on(started());
    let cancel = transfer.on(Outcome::Posted { digest: digest(7), crc64: Some(CRC + 1) });
    assert_eq!(cancel.next, Next::Step(Step::Cancel { confirm_key: "k".into() }));
    assert_eq!(failed(&transfer.on(Outcome::Done)), Some(Class::Defect));
    let mut transfer = confirming();
    transfer.on(refused(Class::Defect, "BadCrc64"));
    assert_eq!(failed(&transfer.on(Outcome::Done)), Some(Class::Defect));
}

#[test]
fn an_answer_that_shows_other_content_is_no_success() {
    for wrong in [
        Reply { crc64: Some(1), ..reply(7) },
        Reply { size: Some(8), ..reply(7) },
        Reply { size: Some(8), crc64: None, ..reply(7) },
    ] {
        let decision = confirming().on(Outcome::Confirmed(wrong));
        assert_eq!(failed(&decision), Some(Class::Defect));
        assert_eq!(decision.note, Some(Note::Forgotten));
    }
    // Silence is not proof: look.
    let mut transfer = confirming();
    let look = transfer.on(Outcome::Confirmed(Reply { size: None, crc64: None, ..reply(7) }));
    assert_eq!(look.next, Next::Step(Step::Look));
}

#[test]
fn a_renamed_copy_is_removed_and_reported() {
    let copy = vec!["base".to_owned(), "f (1)".to_owned()];
    let mut transfer = confirming();
    let decision = transfer.on(Outcome::Confirmed(Reply { path: Some(copy.clone()), ..reply(7) }));
    assert_eq!(decision.next, Next::Step(Step::DeleteCopy { path: copy, size: 7, crc64: CRC }));
    assert_eq!(failed(&transfer.on(Outcome::Done)), Some(Class::Defect));
    // A path somewhere else is not ours to remove.
    let far = vec!["elsewhere".to_owned(), "f".to_owned()];
    let decision = confirming().on(Outcome::Confirmed(Reply { path: Some(far), ..reply(7) }));
    assert_eq!(failed(&decision), Some(Class::Defect));
}

#[test]
fn a_lost_directory_is_made_again() {
    let decision = confirming().on(Outcome::Confirmed(Reply { path: None, ..reply(7) }));
    assert_eq!(decision.next, Next::End(End::DirectoryLost));
    for code in ["DirectoryNotFound", "InvalidSpaceOrDirectoryPath"] {
        let (mut transfer, _) = begin(7);
        assert_eq!(transfer.on(refused(Class::Stale, code)).next, Next::End(End::DirectoryLost));
    }
}

#[test]
fn a_confirm_that_comes_too_soon_is_repeated_with_pauses() {
    let mut transfer = confirming();
    for pause in CONFIRM_PAUSES {
        let decision = transfer.on(refused(Class::Transient, "UploadIncomplete"));
        assert!(
            matches!(decision.next, Next::Step(Step::Confirm { pause_ms, .. }) if pause_ms == pause)
        );
    }
    let cancel = transfer.on(refused(Class::Transient, "UploadIncomplete"));
    assert_eq!(cancel.next, Next::Step(Step::Cancel { confirm_key: "k".into() }));
    let again = transfer.on(Outcome::Done);
    assert_eq!(
        (again.note, again.next),
        (Some(Note::Forgotten), Next::Step(Step::Start(Hashes::None)))
    );
}

#[test]
fn a_used_up_key_is_proven_by_the_remote_file() {
    for code in ["UploadComplete", "ConfirmKeyNotFound", "UploadNotFound", "CosObjectNonexistent"] {
        let mut transfer = confirming();
        assert_eq!(transfer.on(refused(Class::Stale, code)).next, Next::Step(Step::Look), "{code}");
        let mut wrong = transfer.clone();
        let ours = Remote { is_file: true, size: Some(7), crc64: Some(CRC) };
        assert!(matches!(
            transfer.on(Outcome::Looked(Some(ours.clone()))).next,
            Next::End(End::Synced { how: How::Recovered, .. })
        ));
        let other = Remote { crc64: Some(1), ..ours };
        assert_eq!(
            wrong.on(Outcome::Looked(Some(other))).next,
            Next::Step(Step::Start(Hashes::None))
        );
    }
}

#[test]
fn an_expired_form_is_asked_for_again_but_not_for_ever() {
    let (mut transfer, _) = begin(7);
    let cancel = Next::Step(Step::Cancel { confirm_key: "k".into() });
    for _ in 1..STARTS_MAX {
        transfer.on(started());
        assert_eq!(transfer.on(refused(Class::Stale, "AccessDenied")).next, cancel);
        assert_eq!(transfer.on(Outcome::Done).next, Next::Step(Step::Start(Hashes::None)));
    }
    transfer.on(started());
    assert_eq!(transfer.on(refused(Class::Stale, "AccessDenied")).next, cancel);
    assert_eq!(failed(&transfer.on(Outcome::Done)), Some(Class::Stale));
}

#[test]
fn after_a_crash_what_was_posted_is_confirmed_not_sent() {
    let stage = UploadStage::Posted { full_hash: digest(7).full, crc64: CRC };
    // The file is another one now; the bytes on COS are a whole state all the same.
    let upload = row(stage, 7);
    let (mut transfer, first) = take_up(100, &upload);
    assert!(
        matches!(first.next, Next::Step(Step::Confirm { ref confirm_key, .. }) if confirm_key == "old")
    );
    assert_eq!(transfer.fingerprint, print(7));
    let last = transfer.on(Outcome::Confirmed(reply(7)));
    assert!(matches!(last.next, Next::End(End::Synced { how: How::Recovered, .. })));
}

#[test]
fn after_a_crash_what_was_started_is_tried_and_then_sent_again() {
    let upload = row(UploadStage::Started, 7);
    let (mut transfer, first) = take_up(7, &upload);
    assert_eq!(first.next, Next::Step(Step::Query { confirm_key: "old".into() }));
    assert_eq!(
        transfer.on(Outcome::Queried { confirmed: false, parts: Vec::new() }).next,
        Next::Step(Step::Digest)
    );
    let confirm = transfer.on(Outcome::Digested(digest(7)));
    assert!(matches!(confirm.next, Next::Step(Step::Confirm { pause_ms: 0, .. })));
    let cancel = transfer.on(refused(Class::Transient, "UploadIncomplete"));
    assert_eq!(cancel.next, Next::Step(Step::Cancel { confirm_key: "old".into() }));
    let again = transfer.on(Outcome::Done);
    assert_eq!(
        (again.note, again.next),
        (Some(Note::Forgotten), Next::Step(Step::Start(Hashes::None)))
    );
}

#[test]
fn after_a_crash_an_upload_of_an_older_state_is_cancelled() {
    let upload = row(UploadStage::Started, 7);
    let (mut transfer, first) = take_up(8, &upload);
    assert_eq!(first.next, Next::Step(Step::Cancel { confirm_key: "old".into() }));
    let next = transfer.on(Outcome::Done);
    assert_eq!(
        (next.note, next.next),
        (Some(Note::Forgotten), Next::Step(Step::Start(Hashes::None)))
    );
}

#[test]
fn a_passing_failure_at_confirm_keeps_the_key() {
    let decision = confirming().on(refused(Class::Transient, "InternalServerError"));
    assert_eq!(decision.note, None);
    assert_eq!(failed(&decision), Some(Class::Transient));
}

#[test]
fn an_upload_that_the_service_calls_confirmed_or_forgot_is_proven_by_the_remote_file() {
    let ours = Remote { is_file: true, size: Some(7), crc64: Some(CRC) };
    for answer in [
        Outcome::Queried { confirmed: true, parts: Vec::new() },
        refused(Class::Stale, "UploadNotFound"),
    ] {
        let upload = row(UploadStage::Started, 7);
        let (mut transfer, _) = take_up(7, &upload);
        assert_eq!(transfer.on(answer).next, Next::Step(Step::Digest));
        assert_eq!(transfer.on(Outcome::Digested(digest(7))).next, Next::Step(Step::Look));
        let mut without = transfer.clone();
        let last = transfer.on(Outcome::Looked(Some(ours.clone())));
        assert!(matches!(last.next, Next::End(End::Synced { how: How::Recovered, .. })));
        // Nothing there, or something else: from the beginning.
        assert_eq!(without.on(Outcome::Looked(None)).next, Next::Step(Step::Start(Hashes::None)));
    }
}

#[test]
fn a_key_whose_fate_cannot_be_asked_now_is_kept() {
    let upload = row(UploadStage::Started, 7);
    let (mut transfer, _) = take_up(7, &upload);
    let decision = transfer.on(refused(Class::Transient, "InternalServerError"));
    assert_eq!((decision.note.clone(), failed(&decision)), (None, Some(Class::Transient)));
}

#[test]
fn recovered_bytes_that_differ_are_sent_again() {
    let upload = row(UploadStage::Started, 7);
    let (mut transfer, _) = take_up(7, &upload);
    transfer.on(Outcome::Queried { confirmed: false, parts: Vec::new() });
    transfer.on(Outcome::Digested(digest(7)));
    let cancel = transfer.on(refused(Class::Defect, "BadCrc64"));
    assert_eq!(cancel.next, Next::Step(Step::Cancel { confirm_key: "old".into() }));
    assert_eq!(transfer.on(Outcome::Done).next, Next::Step(Step::Start(Hashes::None)));
}

#[test]
fn a_post_without_an_answer_is_settled_by_its_confirm() {
    let unanswered = Outcome::PostUnanswered {
        digest: digest(7),
        failure: Failure::new(Class::Transient, "the connection broke"),
    };
    let (mut transfer, _) = begin(7);
    transfer.on(started());
    let confirm = transfer.on(unanswered);
    // Not proven to have arrived, so not written down as that.
    assert_eq!(confirm.note, None);
    assert!(matches!(confirm.next, Next::Step(Step::Confirm { crc64: CRC, .. })));
    let mut lost = transfer.clone();
    let last = transfer.on(Outcome::Confirmed(reply(7)));
    assert!(matches!(last.next, Next::End(End::Synced { how: How::Sent, .. })));
    // It did not arrive: the failure of the post is the failure.
    let cancel = lost.on(refused(Class::Transient, "UploadIncomplete"));
    assert_eq!(cancel.next, Next::Step(Step::Cancel { confirm_key: "k".into() }));
    let last = lost.on(Outcome::Done);
    assert!(
        matches!(last.next, Next::End(End::Failed(Failure { message, .. })) if message == "the connection broke")
    );
}

#[test]
fn what_a_listing_showed_is_compared_and_not_sent() {
    let listed = RemoteRow { size: Some(7), crc64: Some(CRC) };
    let (mut transfer, first) =
        Transfer::begin(target(), Known { remote: Some(listed), ..known(7) }, None, 0, None);
    assert_eq!(first.next, Next::Step(Step::Digest));
    let mut other = transfer.clone();
    let last = transfer.on(Outcome::Digested(digest(7)));
    assert!(matches!(last.next, Next::End(End::Synced { how: How::Adopted, .. })));
    let differs = Digest { crc64: 1, ..digest(7) };
    assert_eq!(other.on(Outcome::Digested(differs)).next, Next::Step(Step::Start(Hashes::None)));
    // Too little said, or another size: nothing to compare.
    for remote in [
        RemoteRow { size: Some(8), crc64: Some(CRC) },
        RemoteRow { size: Some(7), crc64: None },
        RemoteRow { size: None, crc64: None },
    ] {
        let (_, first) =
            Transfer::begin(target(), Known { remote: Some(remote), ..known(7) }, None, 0, None);
        assert_eq!(first.next, Next::Step(Step::Start(Hashes::None)));
    }
}

#[test]
fn what_was_started_for_a_file_that_is_gone_is_settled() {
    let (mut transfer, first) = Transfer::settle(target(), &row(UploadStage::Started, 7));
    assert_eq!(first.next, Next::Step(Step::Cancel { confirm_key: "old".into() }));
    let last = transfer.on(Outcome::Done);
    assert_eq!((last.note, last.next), (Some(Note::Forgotten), Next::End(End::Dropped)));
    let stage = UploadStage::Posted { full_hash: digest(7).full, crc64: CRC };
    let (mut transfer, first) = Transfer::settle(target(), &row(stage, 7));
    assert!(matches!(first.next, Next::Step(Step::Confirm { .. })));
    // Nothing can be sent again of what is gone.
    assert_eq!(
        transfer.on(refused(Class::Stale, "ConfirmKeyNotFound")).next,
        Next::Step(Step::Look)
    );
    assert_eq!(transfer.on(Outcome::Looked(None)).next, Next::End(End::Dropped));
}

#[test]
fn what_was_confirmed_proves_nothing_while_another_state_may_be_visible() {
    let confirmed = ConfirmedRow {
        fingerprint: Fingerprint { mtime_ns: 0, ..print(7) },
        full_hash: digest(7).full,
        crc64: CRC,
        at_ms: 0,
    };
    let remote = RemoteRow { size: Some(7), crc64: Some(CRC) };
    let unsure =
        Known { confirmed: Some(confirmed), remote: Some(remote), unsure: true, ..known(7) };
    let (_, first) = Transfer::begin(target(), unsure, None, 0, None);
    assert_eq!(first.next, Next::Step(Step::Start(Hashes::None)));
    // The journal hears of it before the step that may make it visible.
    let (mut transfer, _) = begin(7);
    transfer.on(started());
    assert!(!transfer.may_be_visible());
    transfer.on(posted(7));
    assert!(transfer.may_be_visible());
    let (mut transfer, _) = begin(BEGINNING_LEN);
    assert!(!transfer.may_be_visible());
    transfer.on(Outcome::NeedFullHash);
    assert!(transfer.may_be_visible());
}

fn gone(crc64: u64) -> Source {
    let confirmed =
        ConfirmedRow { fingerprint: print(7), full_hash: digest(7).full, crc64, at_ms: 0 };
    Source { path: vec!["base".into(), "old".into()], confirmed }
}

#[test]
fn only_the_content_proves_that_a_file_was_renamed() {
    let begin = |source| Transfer::begin(target(), known(7), None, 0, Some(source));
    let (mut other, first) = begin(gone(1));
    assert_eq!(first.next, Next::Step(Step::Digest));
    let next = other.on(Outcome::Digested(digest(7))).next;
    assert_eq!(next, Next::Step(Step::Start(Hashes::None)), "it only looks alike");

    let (mut same, _) = begin(gone(CRC));
    let moved = same.on(Outcome::Digested(digest(7))).next;
    let from = vec!["base".to_owned(), "old".to_owned()];
    assert_eq!(moved, Next::Step(Step::Move { from, size: 7, crc64: CRC }));
    assert!(same.may_be_visible());
    // Believed only when it is seen there.
    assert_eq!(same.on(Outcome::Done).next, Next::Step(Step::Look));
    let there = Remote { is_file: true, size: Some(7), crc64: Some(CRC) };
    let last = same.on(Outcome::Looked(Some(there)));
    assert!(matches!(last.next, Next::End(End::Synced { how: How::Moved, .. })));
}

#[test]
fn a_move_without_an_answer_is_looked_for_and_one_that_was_refused_is_sent() {
    for (outcome, looks) in [
        (refused(Class::Stale, "SourceFileNotFound"), true),
        (refused(Class::Permanent, "SameNameDirectoryOrFileExists"), true),
        (refused(Class::Auth, "NoPermission"), true),
        (refused(Class::Transient, "InternalServerError"), false),
        (refused(Class::Auth, "InvalidAccessToken"), false),
    ] {
        let (mut transfer, _) = Transfer::begin(target(), known(7), None, 0, Some(gone(CRC)));
        transfer.on(Outcome::Digested(digest(7)));
        let next = transfer.on(outcome.clone());
        if !looks {
            assert!(failed(&next).is_some(), "{outcome:?}: tried again later");
            continue;
        }
        assert_eq!(next.next, Next::Step(Step::Look), "{outcome:?}");
        let there = Remote { is_file: true, size: Some(7), crc64: Some(CRC) };
        let was_moved = outcome == refused(Class::Stale, "SourceFileNotFound");
        let found = transfer.clone().on(Outcome::Looked(Some(there)));
        let Next::End(End::Synced { how, .. }) = found.next else { panic!("{found:?}") };
        assert_eq!(how, if was_moved { How::Moved } else { How::Adopted }, "{outcome:?}");
        let next = transfer.on(Outcome::Looked(None));
        assert_eq!(next.next, Next::Step(Step::Start(Hashes::None)), "{outcome:?}");
    }
}
