use super::*;

const CREATED_DIR: ReadFlags = ReadFlags::CREATE.union(ReadFlags::ISDIR);
const MOVED_DIR: ReadFlags = ReadFlags::MOVED_FROM.union(ReadFlags::ISDIR);

fn rel(text: &str) -> RelPath {
    RelPath::from_bytes(text.as_bytes().to_vec())
}

/// A tree with these directories, watched as 1, 2, 3 and so on.
fn watching(paths: &[&str]) -> Table {
    let mut table = Table::new(2);
    for (wd, path) in (1..).zip(paths) {
        assert_eq!(table.added(0, &rel(path), wd, 9), Added::Begun);
    }
    table
}

fn hints(heard: &Heard) -> Vec<String> {
    assert!(!heard.lost);
    heard.hints.iter().map(|(tree, path)| format!("{tree}:{path}")).collect()
}

fn released(table: &mut Table) -> Vec<i32> {
    let mut all: Vec<i32> = std::iter::from_fn(|| table.next_release()).collect();
    all.sort_unstable();
    all
}

#[test]
fn an_event_is_a_hint_on_a_path() {
    let mut table = watching(&["", "a"]);
    let heard = table.heard(2, ReadFlags::CLOSE_WRITE, Some(b"f"));
    assert_eq!(hints(&heard), ["0:a/f"]);
    let heard = table.heard(1, CREATED_DIR, Some(b"b"));
    assert_eq!(hints(&heard), ["0:b"]);
    assert_eq!(hints(&table.heard(1, ReadFlags::ATTRIB, None)), ["0:."]);
    assert_eq!(table.count(0), 2);
    assert_eq!(table.count(1), 0);
}

#[test]
fn what_is_renamed_is_dropped_with_all_below_and_nothing_beside() {
    let mut table = watching(&["", "a", "a/x", "a/x/y", "a b", "a0", "ab"]);
    let heard = table.heard(1, MOVED_DIR, Some(b"a"));
    assert_eq!(hints(&heard), ["0:a"]);
    assert_eq!(table.count(0), 4);
    assert_eq!(released(&mut table), [2, 3, 4]);
    // What was on its way from them says nothing any more, and is no surprise.
    assert_eq!(table.heard(3, ReadFlags::MODIFY, Some(b"f")), Heard::default());
    assert_eq!(table.heard(2, ReadFlags::MOVE_SELF, None), Heard::default());
    for wd in [2, 3, 4] {
        assert_eq!(table.heard(wd, ReadFlags::IGNORED, None), Heard::default());
    }
    assert_eq!(table.held(), 4);
    // Under its new name.
    assert_eq!(table.added(0, &rel("c"), 8, 9), Added::Begun);
    assert_eq!(hints(&table.heard(8, ReadFlags::CREATE, Some(b"f"))), ["0:c/f"]);
}

#[test]
fn a_watch_that_is_wanted_again_before_it_was_given_back_stays() {
    let mut table = watching(&["", "a"]);
    table.heard(1, MOVED_DIR, Some(b"a"));
    assert_eq!(table.added(0, &rel("b"), 2, 9), Added::Begun);
    assert_eq!(released(&mut table), Vec::<i32>::new());
    assert_eq!(hints(&table.heard(2, ReadFlags::CREATE, Some(b"f"))), ["0:b/f"]);
}

#[test]
fn another_directory_under_a_known_name_is_noticed() {
    let mut table = watching(&["", "a", "a/x"]);
    assert_eq!(table.added(0, &rel("a"), 7, 9), Added::Replaced);
    assert_eq!(table.added(0, &rel("a"), 7, 9), Added::Kept);
    assert_eq!(released(&mut table), [2, 3]);
    assert!(!table.is_watched(0, &rel("a/x")));
    assert_eq!(table.count(0), 2);
}

#[test]
fn what_was_away_is_not_whole_although_it_is_watched_again() {
    let mut table = watching(&["", "a", "a/x"]);
    assert!(table.is_whole(0, &rel("a")) && !table.is_whole(0, &rel("b")));
    // Renamed and back, and listed before anybody looks: a/x is not watched.
    assert_eq!(hints(&table.heard(1, MOVED_DIR, Some(b"a"))), ["0:a"]);
    assert_eq!(table.added(0, &rel("a"), 2, 9), Added::Begun);
    assert!(!table.is_whole(0, &rel("a")), "whoever looks is told");
    assert!(table.is_whole(0, &rel("a")), "and has it listed, with all below");
    // The same of another directory in its place, and of the way to the root.
    assert_eq!(table.added(0, &rel("a"), 7, 9), Added::Replaced);
    table.set_anchors(0, vec![(20, b"root".to_vec())]);
    assert_eq!(hints(&table.heard(20, MOVED_DIR, Some(b"root"))), ["0:."]);
    assert_eq!(table.added(0, &rel(""), 1, 9), Added::Begun);
    assert!(!table.is_whole(0, &RelPath::root()));
    // A full scan comes to everything.
    assert_eq!(table.added(0, &rel("a"), 8, 9), Added::Begun);
    table.heard(1, MOVED_DIR, Some(b"a"));
    table.begin_scan(0);
    assert_eq!(table.added(0, &rel("a"), 8, 9), Added::Begun);
    assert!(table.is_whole(0, &rel("a")));
}

#[test]
fn one_directory_under_two_names_tells_of_both() {
    let mut table = watching(&["", "a"]);
    assert_eq!(table.added(0, &rel("bound"), 2, 9), Added::Begun);
    assert_eq!(table.added(1, &rel("far"), 2, 9), Added::Begun);
    let heard = table.heard(2, ReadFlags::CREATE, Some(b"f"));
    assert_eq!(hints(&heard), ["0:a/f", "0:bound/f", "1:far/f"]);
    table.drop_below(0, &rel("a"));
    table.drop_below(1, &RelPath::root());
    assert_eq!(released(&mut table), Vec::<i32>::new());
    assert_eq!(hints(&table.heard(2, ReadFlags::CREATE, Some(b"f"))), ["0:bound/f"]);
    table.drop_below(0, &rel("bound"));
    assert_eq!(released(&mut table), [2]);
}

#[test]
fn a_watch_that_ends_is_a_hint() {
    for end in [ReadFlags::IGNORED, ReadFlags::UNMOUNT] {
        let mut table = watching(&["", "a", "a/x"]);
        assert_eq!(hints(&table.heard(2, end, None)), ["0:a"]);
        assert_eq!(table.heard(2, ReadFlags::IGNORED, None), Heard::default());
        assert_eq!(table.count(0), 2);
        assert_eq!(released(&mut table), Vec::<i32>::new(), "the kernel has done it");
    }
}

#[test]
fn what_moves_without_a_word_of_its_directory_is_dropped() {
    let mut table = watching(&["", "a", "a/x"]);
    assert_eq!(hints(&table.heard(2, ReadFlags::MOVE_SELF, None)), ["0:a"]);
    assert_eq!(table.count(0), 1);
    assert_eq!(hints(&table.heard(1, ReadFlags::MOVE_SELF, None)), ["0:."]);
    assert_eq!(table.count(0), 0);
    assert_eq!(released(&mut table), [1, 2, 3]);
}

#[test]
fn what_is_not_understood_is_lost() {
    let mut table = watching(&["", "a"]);
    assert!(table.heard(-1, ReadFlags::QUEUE_OVERFLOW, None).lost);
    assert!(table.heard(99, ReadFlags::MODIFY, Some(b"f")).lost);
    assert!(table.heard(1, ReadFlags::from_bits_retain(0x0200_0000), None).lost);
    assert!(!table.heard(99, ReadFlags::IGNORED, None).lost);
}

#[test]
fn a_full_scan_sweeps_what_it_did_not_come_to() {
    let mut table = watching(&["", "a", "b", "b/c"]);
    table.begin_scan(0);
    assert_eq!(table.added(0, &rel(""), 1, 9), Added::Kept);
    // Given up: nothing can be said.
    table.begin_scan(0);
    assert_eq!(table.added(0, &rel(""), 1, 9), Added::Kept);
    assert_eq!(table.added(0, &rel("a"), 2, 9), Added::Kept);
    table.end_scan(0);
    assert_eq!(table.count(0), 2);
    assert_eq!(released(&mut table), [3, 4]);
}

#[test]
fn whatever_happens_on_the_way_to_a_root_is_a_hint_on_it() {
    let mut table = watching(&["", "a"]);
    table.set_anchors(0, vec![(20, b"srv".to_vec()), (21, b"docs".to_vec())]);
    assert_eq!(table.heard(21, CREATED_DIR, Some(b"other")), Heard::default());
    assert_eq!(hints(&table.heard(21, ReadFlags::MOVED_TO, Some(b"docs"))), ["0:."]);
    assert_eq!(table.count(0), 2);
    assert_eq!(hints(&table.heard(20, MOVED_DIR, Some(b"srv"))), ["0:."]);
    assert_eq!(table.count(0), 0, "it is elsewhere now");
    assert_eq!(released(&mut table), [1, 2]);
    assert_eq!(hints(&table.heard(21, ReadFlags::UNMOUNT, None)), ["0:."]);
    table.set_anchors(0, Vec::new());
    assert_eq!(released(&mut table), [20]);
}

#[test]
fn a_directory_on_the_way_to_one_root_may_be_watched_for_another() {
    let mut table = watching(&["", "a"]);
    table.set_anchors(1, vec![(2, b"root".to_vec())]);
    let heard = table.heard(2, ReadFlags::MOVED_TO, Some(b"root"));
    assert_eq!(hints(&heard), ["1:.", "0:a/root"]);
    table.drop_below(0, &rel("a"));
    assert_eq!(released(&mut table), Vec::<i32>::new());
    assert_eq!(hints(&table.heard(2, ReadFlags::CREATE, Some(b"root"))), ["1:."]);
    table.set_anchors(1, Vec::new());
    assert_eq!(released(&mut table), [2]);
}

#[test]
fn a_silent_filesystem_is_given_up_from_its_top() {
    let mut table = Table::new(1);
    for (wd, path, device) in
        [(1, "", 5), (2, "m", 6), (3, "m/x", 6), (4, "m/x/y", 6), (5, "n", 5), (6, "m0", 6)]
    {
        table.added(0, &rel(path), wd, device);
    }
    table.begin_scan(0);
    assert_eq!(table.missed(0, &rel("m/x")), []);
    table.begin_scan(0);
    let mut tops = table.missed(0, &rel("m/x"));
    tops.sort();
    assert_eq!(tops, [(0, rel("m")), (0, rel("m0"))]);
    assert!(table.is_silent(6));
    assert_eq!(table.count(0), 2);
    assert_eq!(released(&mut table), [2, 3, 4, 6]);
}
