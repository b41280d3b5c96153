//! Uploads in parts: what a transfer does with what comes of them.

use super::confirming::CONFIRM_PAUSES;
use super::tests::{failed, known, refused, row, target};
use super::*;
use crate::digest::Hash;
use crate::journal::PartRow;
use crate::mirror::step::{Arrived, Part};

const MIB: u64 = 1024 * 1024;
/// Three parts: two of 1 MiB, and a rest.
const SIZE: u64 = 2 * MIB + 7;

fn hash(byte: u8) -> Hash {
    Hash::from_bytes([byte; 32])
}

fn part(number: u32) -> Part {
    let offset = u64::from(number - 1) * MIB;
    Part { number, of: 3, offset, len: MIB.min(SIZE - offset) }
}

fn read(number: u32) -> Step {
    let after = (number > 1).then(|| hash(u8::try_from(number - 1).expect("small")));
    Step::ReadPart { part: part(number), after }
}

fn was_read(number: u32) -> Outcome {
    let byte = u8::try_from(number).expect("small");
    Outcome::PartRead { number, crc64: u64::from(number), full_hash: hash(byte) }
}

/// So many parts arrived before, with so many bytes.
fn send(key: &str, number: u32, parts: u32, bytes: u64) -> Step {
    let (part, crc64) = (part(number), u64::from(number));
    Step::SendPart { confirm_key: key.into(), part, crc64, arrived: Arrived { parts, bytes } }
}

fn begin(from: u64) -> (Transfer, Decision) {
    let known = Known { multipart_from: from, ..known(SIZE) };
    Transfer::begin(target(), known, None, 0, None)
}

/// Started, with the first part read and being sent, and the second being read.
fn under_way() -> Transfer {
    let (mut transfer, first) = begin(MIB);
    transfer.allow(4);
    assert_eq!(first.next, Next::Step(Step::StartParts { hashes: Hashes::Beginning, parts: 3 }));
    let started = Outcome::Started { confirm_key: "k".into(), expires_at_ms: None };
    let decision = transfer.on(started);
    assert!(matches!(decision.note, Some(Note::Started { part_size: Some(MIB), .. })));
    assert_eq!(decision.next, Next::Steps(vec![read(1)]));
    let decision = transfer.on(was_read(1));
    assert_eq!(decision.next, Next::Steps(vec![send("k", 1, 0, 0), read(2)]));
    transfer
}

fn upload(parts: Vec<PartRow>) -> UploadRow {
    UploadRow { part_size: Some(MIB), parts, ..row(UploadStage::Started, SIZE) }
}

fn whole_crc64() -> u64 {
    let joined = crate::digest::crc64_of_joined(1, 2, MIB);
    crate::digest::crc64_of_joined(joined, 3, 7)
}

fn confirms(decision: &Decision, key: &str) -> bool {
    matches!(&decision.next, Next::Step(Step::Confirm { confirm_key, crc64, .. })
        if confirm_key == key && *crc64 == whole_crc64())
}

#[test]
fn only_large_files_are_sent_in_parts() {
    assert!(matches!(begin(SIZE).1.next, Next::Step(Step::StartParts { .. })));
    assert_eq!(begin(SIZE + 1).1.next, Next::Step(Step::Start(Hashes::Beginning)));
    let beyond_a_form = Transfer::begin(target(), known(FORM_MAX + 1), None, 0, None).1;
    assert!(matches!(beyond_a_form.next, Next::Step(Step::StartParts { .. })));
    let beyond_cos = Transfer::begin(target(), known((50_000 << 30) + 1), None, 0, None).1;
    assert_eq!(failed(&beyond_cos), Some(Class::Permanent));
}

#[test]
fn parts_are_sent_side_by_side_and_confirmed_together() {
    let mut transfer = under_way();
    assert_eq!(transfer.streams(), 1);
    let decision = transfer.on(was_read(2));
    assert_eq!(decision.next, Next::Steps(vec![send("k", 2, 0, 0), read(3)]));
    assert_eq!(transfer.streams(), 2);
    assert_eq!(transfer.on(was_read(3)).next, Next::Steps(vec![send("k", 3, 0, 0)]));
    for number in [3, 1] {
        let decision = transfer.on(Outcome::PartSent { number });
        assert_eq!(decision.note, Some(Note::PartSent { number }));
        assert_eq!(decision.next, Next::Steps(Vec::new()), "others are under way");
    }
    let last = transfer.on(Outcome::PartSent { number: 2 });
    assert!(confirms(&last, "k"), "{last:?}");
    assert_eq!(last.note, Some(Note::Posted { full_hash: hash(3), crc64: whole_crc64() }));
}

#[test]
fn one_connection_is_used_when_others_wait_for_one() {
    let mut transfer = under_way();
    transfer.allow(1);
    assert_eq!(transfer.on(was_read(2)).next, Next::Steps(vec![read(3)]));
    assert_eq!(transfer.on(was_read(3)).next, Next::Steps(Vec::new()), "two are read ahead");
    let next = transfer.on(Outcome::PartSent { number: 1 }).next;
    assert_eq!(next, Next::Steps(vec![send("k", 2, 1, MIB)]));
}

#[test]
fn what_fails_ends_the_transfer_when_nothing_is_under_way_any_more() {
    for (class, code, ends) in [
        (Class::Transient, "InternalError", "kept"),
        (Class::Throttled, "SlowDown", "kept"),
        (Class::Defect, "InvalidArgument", "cancelled"),
        (Class::Stale, "AccessDenied", "kept"),
        (Class::Stale, "NoSuchUpload", "begun anew"),
    ] {
        let mut transfer = under_way();
        let first = transfer.on(refused(class, code));
        assert_eq!(first.next, Next::Steps(Vec::new()), "{code}: part 2 is still being read");
        let last = transfer.on(was_read(2));
        match ends {
            "kept" => {
                assert_eq!(failed(&last), Some(class), "{code}");
                assert!(matches!(last.note, Some(Note::PartRead { number: 2, .. })), "{code}");
            }
            "cancelled" => {
                assert_eq!(last.next, Next::Step(Step::Cancel { confirm_key: "k".into() }));
                assert_eq!(failed(&transfer.on(Outcome::Done)), Some(class));
            }
            _ => {
                assert_eq!(last.next, Next::Step(Step::Cancel { confirm_key: "k".into() }));
                let again = transfer.on(Outcome::Done);
                assert!(matches!(again.next, Next::Step(Step::StartParts { .. })), "{again:?}");
            }
        }
    }
}

#[test]
fn a_file_that_changed_meanwhile_is_never_confirmed() {
    let mut transfer = under_way();
    transfer.on(Outcome::PartSent { number: 1 });
    let last = transfer.on(Outcome::Changed);
    assert_eq!(last.next, Next::Step(Step::Cancel { confirm_key: "k".into() }));
    let end = transfer.on(Outcome::Done);
    assert_eq!((end.note, end.next), (Some(Note::Forgotten), Next::End(End::Changed)));
}

#[test]
fn what_is_under_way_ends_and_the_rest_waits_when_the_work_is_to_end() {
    let mut transfer = under_way();
    transfer.allow(0);
    assert_eq!(transfer.on(was_read(2)).next, Next::Steps(Vec::new()));
    let last = transfer.on(Outcome::PartSent { number: 1 });
    assert_eq!(last.next, Next::End(End::Parked));
    assert_eq!(last.note, Some(Note::PartSent { number: 1 }));
}

#[test]
fn an_upload_goes_on_with_what_the_service_has_and_what_was_read() {
    let known = || Known { multipart_from: MIB, ..known(SIZE) };
    let kept = |number: u32| PartRow {
        number,
        crc64: u64::from(number),
        full_hash: hash(u8::try_from(number).expect("small")),
    };
    let queried = |parts: &[(u32, u64)]| Outcome::Queried { confirmed: false, parts: parts.into() };

    // The third had arrived before the second, and nobody heard that the second arrived too.
    let row = upload(vec![kept(1), kept(2), kept(3)]);
    let (mut transfer, first) = Transfer::begin(target(), known(), Some(&row), 0, None);
    assert_eq!(first.next, Next::Step(Step::Query { confirm_key: "old".into() }));
    let all = transfer.on(queried(&[(1, MIB), (2, MIB), (3, 7)]));
    assert!(confirms(&all, "old"), "nothing is read or sent: {all:?}");
    assert_eq!(transfer.resumed(), SIZE);

    // What did not arrive whole is sent again, and what was not read is read.
    let row = upload(vec![kept(1), kept(3)]);
    let (mut transfer, _) = Transfer::begin(target(), known(), Some(&row), 0, None);
    transfer.allow(4);
    let next = transfer.on(queried(&[(1, MIB), (2, MIB), (3, 6)])).next;
    assert_eq!(next, Next::Steps(vec![send("old", 3, 2, 2 * MIB), read(2)]));
    assert_eq!(transfer.resumed(), 2 * MIB);

    // Another state of the file: the old upload is cancelled.
    let newer = Known { multipart_from: MIB, ..super::tests::known(SIZE + 1) };
    let (_, first) = Transfer::begin(target(), newer, Some(&row), 0, None);
    assert_eq!(first.next, Next::Step(Step::Cancel { confirm_key: "old".into() }));
}

#[test]
fn parts_that_are_missing_at_the_confirm_are_asked_for_once() {
    let mut transfer = under_way();
    for outcome in [was_read(2), was_read(3)] {
        transfer.on(outcome);
    }
    for number in 1..=3 {
        transfer.on(Outcome::PartSent { number });
    }
    let incomplete = || refused(Class::Transient, "MultipartUploadIncomplete");
    for _ in CONFIRM_PAUSES {
        let next = transfer.on(incomplete()).next;
        assert!(matches!(next, Next::Step(Step::Confirm { pause_ms: 500.., .. })), "{next:?}");
    }
    let query = Next::Step(Step::Query { confirm_key: "k".into() });
    assert_eq!(transfer.on(incomplete()).next, query);
    let lost = Outcome::Queried { confirmed: false, parts: vec![(1, MIB), (3, 7)] };
    assert_eq!(transfer.on(lost).next, Next::Steps(vec![send("k", 2, 2, MIB + 7)]));
    assert!(confirms(&transfer.on(Outcome::PartSent { number: 2 }), "k"));
    for _ in CONFIRM_PAUSES {
        transfer.on(incomplete());
    }
    let again = transfer.on(incomplete()).next;
    assert_eq!(again, Next::Step(Step::Cancel { confirm_key: "k".into() }), "it goes nowhere");
}

#[test]
fn what_arrived_is_no_progress_when_it_is_thrown_away() {
    let arrived = || {
        let mut transfer = under_way();
        for outcome in [was_read(2), was_read(3)] {
            transfer.on(outcome);
        }
        for number in 1..=3 {
            transfer.on(Outcome::PartSent { number });
        }
        transfer
    };
    let mut kept = arrived();
    kept.on(refused(Class::Transient, "InternalServerError"));
    assert!(kept.progressed());
    for outcome in [refused(Class::Defect, "BadCrc64"), refused(Class::Permanent, "X")] {
        let mut lost = arrived();
        lost.on(outcome);
        assert!(!lost.progressed());
    }
}

#[test]
fn an_upload_that_cannot_be_cancelled_is_remembered() {
    let mut transfer = under_way();
    transfer.on(Outcome::PartSent { number: 1 });
    transfer.on(Outcome::Changed);
    let end = transfer.on(refused(Class::Offline, "no route"));
    assert_eq!((end.note, end.next), (Some(Note::Abandoned), Next::End(End::Changed)));
}

#[test]
fn a_weak_fingerprint_proves_nothing_after_a_restart() {
    let weak = |size| Fingerprint { inode: 0, ..super::tests::known(size).seen };
    let kept = PartRow { number: 1, crc64: 1, full_hash: hash(1) };
    let row = UploadRow { fingerprint: weak(SIZE), ..upload(vec![kept]) };
    let known = Known { seen: weak(SIZE), multipart_from: MIB, ..known(SIZE) };
    let (mut transfer, _) = Transfer::begin(target(), known, Some(&row), 0, None);
    transfer.allow(4);
    let all = vec![(1, MIB), (2, MIB), (3, 7)];
    let next = transfer.on(Outcome::Queried { confirmed: false, parts: all }).next;
    assert_eq!(next, Next::Steps(vec![read(1)]), "it is read again from the beginning");
    for number in 1..=3 {
        transfer.on(was_read(number));
    }
    // It is another state: sent anew, and nobody's fault.
    let again = transfer.on(refused(Class::Defect, "BadCrc64"));
    assert_eq!(again.next, Next::Step(Step::Cancel { confirm_key: "old".into() }));
    assert!(matches!(transfer.on(Outcome::Done).next, Next::Step(Step::StartParts { .. })));
}
