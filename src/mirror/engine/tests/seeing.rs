//! What is listed, and when.

use super::*;
use crate::tree::RootError;

fn dir(name: &str) -> Found {
    Found { name: name.as_bytes().to_vec(), kind: DIR }
}

fn page(path: &str, entries: Vec<Found>) -> Fact {
    Fact::Page { mirror: 0, dir: rel(path), entries, last: true, watched: Watching::Kept }
}

fn root_there() -> Fact {
    Fact::Root { mirror: 0, seen: Ok((RootId { inode: 2, fsid: 3 }, false)) }
}

/// The directories that are to be listed.
fn lists(turned: &Turned) -> Vec<String> {
    turned
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::List { dir, .. } => Some(dir.to_string()),
            _ => None,
        })
        .collect()
}

impl Hand {
    /// A complete scan of a root with these directories in it, each of them empty.
    fn scan_dirs(&mut self, names: &[&str]) {
        self.turn(Vec::new());
        self.turn(vec![root_there()]);
        let mut turned = self.turn(vec![page("", names.iter().map(|name| dir(name)).collect())]);
        for name in names {
            assert_eq!(lists(&turned), [*name]);
            turned = self.turn(vec![page(name, Vec::new())]);
        }
        assert_eq!(lists(&turned), Vec::<String>::new());
    }
}

#[test]
fn a_directory_in_the_place_of_another_is_listed() {
    let mut hand = Hand::new();
    hand.scan_dirs(&["site"]);
    // The name is known; what lies under it now is not.
    let turned = hand.looked("site", Ok(DIR));
    assert_eq!(lists(&turned), ["site"]);
}

#[test]
fn a_hint_on_a_root_that_is_another_one_or_was_away_leads_to_a_scan() {
    let here = RootId { inode: 2, fsid: 3 };
    let missing = Err(RootError::Missing("/m".into()));
    let others = [
        (Ok(RootId { inode: 4, fsid: 3 }), true),
        (Ok(RootId { inode: 2, fsid: 4 }), true),
        (Ok(here), false),
        (missing, true),
    ];
    for (seen, watched) in others {
        let mut hand = Hand::new();
        hand.scan_dirs(&["a"]);
        let mut effects = hand.turn(vec![Fact::RootLooked { mirror: 0, seen, watched }]).effects;
        hand.wait(5_000);
        effects.extend(hand.turn(Vec::new()).effects);
        assert_eq!(effects, [Effect::Root(0)]);
    }
    // Somebody touched the one that it was: what is below it is known, but for what its own listing shows.
    let mut hand = Hand::new();
    hand.scan_dirs(&["a"]);
    let touched = Fact::RootLooked { mirror: 0, seen: Ok(here), watched: true };
    assert_eq!(lists(&hand.turn(vec![touched])), ["."]);
    assert_eq!(lists(&hand.turn(vec![page("", vec![dir("a"), dir("b")])])), ["b"]);
    hand.turn(vec![page("b", Vec::new())]);
    hand.wait(5_000);
    assert!(!hand.turn(Vec::new()).effects.contains(&Effect::Root(0)));
}

#[test]
fn of_a_directory_that_is_the_same_and_watched_only_its_own_listing_is_read_again() {
    let marked = |inode| Kind::Dir(DirMark { inode, mounted: false, bound: false, fsid: 0 });
    let touched = |inode, watched, below: Option<Fact>| {
        let mut hand = Hand::new();
        hand.scan_dirs(&[]);
        hand.looked("a", Ok(marked(7)));
        hand.turn(vec![page("a", vec![dir("b")])]);
        hand.turn(vec![below.unwrap_or_else(|| page("a/b", Vec::new()))]);
        let what = Ok(marked(inode));
        let turned = hand.turn(vec![Fact::Looked { mirror: 0, path: rel("a"), what, watched }]);
        assert_eq!(lists(&turned), ["a"]);
        lists(&hand.turn(vec![page("a", vec![dir("b")])]))
    };
    assert_eq!(touched(7, true, None), Vec::<String>::new());
    assert_eq!(touched(7, false, None), ["a/b"], "watches below it were dropped");
    assert_eq!(touched(8, true, None), ["a/b"], "another one");
    let why = Absent::Unreadable("EACCES".into());
    let refused = Fact::ListFailed { mirror: 0, dir: rel("a/b"), why };
    assert_eq!(touched(7, true, Some(refused)), ["a/b"], "it may be readable now");
}

#[test]
fn a_tree_whose_attributes_change_is_listed_once() {
    let mut hand = Hand::new();
    hand.scan_dirs(&["a"]);
    let look =
        |path: &str| Fact::Looked { mirror: 0, path: rel(path), what: Ok(DIR), watched: false };
    // It begins to grow while it is looked at.
    let turned = hand.turn(vec![look("a"), look("a/b"), look("a/b/c"), look("a")]);
    assert_eq!(lists(&turned), ["a"]);
    let turned = hand.turn(vec![page("a", vec![dir("b")])]);
    assert_eq!(lists(&turned), ["a/b"]);
    let turned = hand.turn(vec![page("a/b", vec![dir("c")])]);
    assert_eq!(lists(&turned), ["a/b/c"]);
    let turned = hand.turn(vec![page("a/b/c", Vec::new())]);
    assert_eq!(lists(&turned), Vec::<String>::new());
}

#[test]
fn a_directory_that_is_there_and_never_opens_is_not_asked_for_ever() {
    let mut hand = Hand::new();
    hand.scan_dirs(&["odd"]);
    let mut turned = hand.looked("odd", Ok(DIR));
    for _ in 0..10 {
        if lists(&turned).is_empty() {
            break;
        }
        hand.turn(vec![Fact::ListFailed { mirror: 0, dir: rel("odd"), why: Absent::Gone }]);
        turned = hand.looked("odd", Ok(DIR));
    }
    let id = hand.engine.core.mirrors[0].id;
    let status = Reader::of(hand.engine.into_journal());
    let folder = status.below(id, &rel("odd")).expect("a state").expect("a folder");
    assert_eq!(folder.failed_directories, 1, "that is said");
}

#[test]
fn listing_a_new_directory_does_not_put_the_next_full_scan_off() {
    let mut hand = Hand::new();
    hand.scan_dirs(&[]);
    // The scan that heals is due within 1.1 hours, whatever appears in between.
    for n in 0..6 {
        hand.wait(700_000);
        let turned = hand.looked(&format!("d{n}"), Ok(DIR));
        if turned.effects.contains(&Effect::Root(0)) {
            return;
        }
        hand.turn(vec![page(&format!("d{n}"), Vec::new())]);
    }
    panic!("no full scan in 70 minutes");
}

#[test]
fn lost_hints_are_made_good_although_a_directory_is_being_listed() {
    let mut hand = Hand::new();
    hand.scan_dirs(&["a", "b"]);
    let turned = hand.looked("a", Ok(DIR));
    assert_eq!(lists(&turned), ["a"]);
    hand.turn(vec![Fact::Overflow]);
    hand.wait(2_000);
    // More waits to be listed: that does not put the full scan off either.
    let look = Fact::Looked { mirror: 0, path: rel("b"), what: Ok(DIR), watched: false };
    let turned = hand.turn(vec![look, page("a", Vec::new())]);
    assert!(turned.effects.contains(&Effect::Root(0)), "{:?}", turned.effects);
}

#[test]
fn what_was_lost_during_a_full_scan_leads_to_another() {
    let mut hand = Hand::new();
    hand.turn(Vec::new());
    hand.turn(vec![root_there()]);
    hand.turn(vec![Fact::Overflow]);
    hand.turn(vec![page("", Vec::new())]);
    hand.wait(2_000);
    assert_eq!(hand.turn(Vec::new()).effects, [Effect::Root(0)]);
}

#[test]
fn nobody_cares_what_happens_in_a_directory_that_is_left_out() {
    let mut hand = Hand::new();
    hand.scan_dirs(&["a", "out"]);
    // It is excluded from now on; its watch stays.
    hand.looked("out", Ok(Kind::Skipped(crate::tree::Skip::Excluded)));
    let turned = hand.looked("out/log", Ok(Kind::File(print(5, 9))));
    assert_eq!(turned.effects, []);
    let turned = hand.looked("out/deep/log", Ok(Kind::File(print(5, 9))));
    assert_eq!(turned.effects, []);
}

#[test]
fn what_lies_below_an_unknown_directory_is_found_without_listing_the_rest() {
    let mut hand = Hand::new();
    hand.scan_dirs(&["a", "b"]);
    let turned = hand.looked("new/f", Ok(Kind::File(print(5, 9))));
    assert_eq!(lists(&turned), [RelPath::root().to_string()]);
    let turned = hand.turn(vec![page("", vec![dir("a"), dir("b"), dir("new")])]);
    assert_eq!(lists(&turned), ["new"], "a and b are known");
    let turned = hand.turn(vec![page("new", vec![file("f", print(5, 9))])]);
    assert_eq!(lists(&turned), Vec::<String>::new());
}

/// The job of making a directory, if one was begun.
fn making(turned: &Turned) -> Option<DirJobId> {
    turned.effects.iter().find_map(|effect| match effect {
        Effect::Directory { job, .. } => Some(*job),
        _ => None,
    })
}

fn blocked(hand: Hand) -> u64 {
    let reader = Reader::of(hand.engine.into_journal());
    reader.mirrors().expect("an answer")[0].counts.blocked
}

impl Hand {
    /// A complete scan of a root with one directory, which cannot be read or is empty, and its making begun.
    fn one_directory(&mut self, readable: bool) -> DirJobId {
        self.turn(Vec::new());
        self.turn(vec![root_there()]);
        self.turn(vec![page("", vec![dir("d")])]);
        let why = Absent::Unreadable("permission denied".into());
        self.turn(vec![if readable {
            page("d", Vec::new())
        } else {
            Fact::ListFailed { mirror: 0, dir: rel("d"), why }
        }]);
        self.wait(5_000);
        let turned = self.turn(Vec::new());
        making(&turned).expect("the directory is made")
    }
}

#[test]
fn a_directory_that_cannot_be_read_is_said_to_be_whatever_becomes_of_its_copy() {
    let mut hand = Hand::new();
    let job = hand.one_directory(false);
    let result = Err(Failure::new(Class::Transient, "reset"));
    hand.turn(vec![Fact::Directory { job, result }]);
    hand.wait(600_000);
    let job = making(&hand.turn(Vec::new())).expect("it is tried again");
    hand.turn(vec![Fact::Directory { job, result: Ok(()) }]);
    assert_eq!(blocked(hand), 1, "nothing in it was ever read");
}

#[test]
fn a_directory_that_cannot_be_made_is_tried_again_whatever_else_was_wrong_with_it() {
    let mut hand = Hand::new();
    let job = hand.one_directory(true);
    let result = Err(Failure::new(Class::Permanent, "a file is in the way"));
    hand.turn(vec![Fact::Directory { job, result }]);
    // It cannot be read for a while.
    hand.looked("d", Ok(DIR));
    let why = Absent::Unreadable("permission denied".into());
    hand.turn(vec![Fact::ListFailed { mirror: 0, dir: rel("d"), why }]);
    hand.looked("d", Ok(DIR));
    hand.turn(vec![page("d", Vec::new())]);
    let turned = hand.turn(vec![Fact::Retry(Retry::All)]);
    let job = making(&turned).expect("a person asked for it");
    let result = Err(Failure::new(Class::Permanent, "a file is in the way"));
    hand.turn(vec![Fact::Directory { job, result }]);
    assert_eq!(blocked(hand), 1);
}

#[test]
fn directories_of_a_mirror_whose_root_is_gone_leave_room_for_others() {
    let mut hand = Hand::with_mirrors(2);
    hand.turn(Vec::new());
    for mirror in 0..2 {
        let seen = Ok((RootId { inode: 2, fsid: 3 }, false));
        hand.turn(vec![Fact::Root { mirror, seen }]);
    }
    let names: Vec<String> = (0..200).map(|n| format!("d{n:03}")).collect();
    for mirror in 0..2 {
        let entries = names.iter().map(|name| dir(name)).collect();
        let dir = RelPath::root();
        hand.turn(vec![Fact::Page { mirror, dir, entries, last: true, watched: Watching::Kept }]);
    }
    // The root of the first goes before anything was made.
    let why = Absent::Root("gone".into());
    hand.turn(vec![Fact::Looked { mirror: 0, path: rel("x"), what: Err(why), watched: false }]);
    // Longer than the running scan of the other keeps its directories waiting.
    hand.wait(70_000);
    let turned = hand.turn(Vec::new());
    assert!(making(&turned).is_some(), "{:?}", turned.effects);
}

#[test]
fn a_shortage_of_the_machine_holds_no_mirror() {
    let mut hand = Hand::new();
    hand.turn(Vec::new());
    let short = || crate::tree::RootError::Shortage("/m".into(), "too many open files".into());
    hand.turn(vec![Fact::Root { mirror: 0, seen: Err(short()) }]);
    assert!(!hand.engine.core.mirrors[0].scan.is_held());
    assert_eq!(hand.turn(Vec::new()).effects, [], "not at once");
    hand.wait(6_000);
    assert_eq!(hand.turn(Vec::new()).effects, [Effect::Root(0)]);
    // It goes on and on: that is said.
    for _ in 0..20 {
        hand.turn(vec![Fact::Root { mirror: 0, seen: Err(short()) }]);
        hand.wait(20_000);
        hand.turn(Vec::new());
    }
    assert!(hand.engine.core.mirrors[0].scan.is_held());
    hand.turn(vec![root_there()]);
    assert!(!hand.engine.core.mirrors[0].scan.is_held());
}

#[test]
fn a_shortage_of_the_machine_is_not_held_against_a_directory() {
    let mut hand = Hand::new();
    hand.turn(Vec::new());
    hand.turn(vec![root_there()]);
    let turned = hand.turn(vec![page("", vec![dir("a"), dir("b")])]);
    assert_eq!(lists(&turned), ["a"]);
    let why = || Absent::Short("too many open files".into());
    let turned = hand.turn(vec![Fact::ListFailed { mirror: 0, dir: rel("a"), why: why() }]);
    assert_eq!(lists(&turned), Vec::<String>::new(), "not at once");
    assert!(turned.wake_at_ms.is_some_and(|at| at <= hand.now.mono_ms + 10_000));
    hand.looked("f", Err(why()));
    hand.wait(6_000);
    let turned = hand.turn(Vec::new());
    assert_eq!(lists(&turned), ["a"]);
    let looks = Effect::Look { mirror: 0, paths: vec![rel("f")] };
    assert!(turned.effects.contains(&looks), "{:?}", turned.effects);
    hand.turn(vec![page("a", Vec::new())]);
    assert_eq!(blocked(hand), 0);
}

#[test]
fn hints_beyond_measure_are_one_scan() {
    let mut hand = Hand::new();
    hand.scan_dirs(&[]);
    for n in 0..80 {
        let paths = (0..1_000).map(|m| rel(&format!("f{n}-{m}"))).collect();
        hand.turn(vec![Fact::Hints { mirror: 0, paths }]);
        assert!(hand.engine.core.mirrors[0].hints.len() <= 66_000);
    }
    assert!(hand.engine.core.mirrors[0].looking.len() <= 4_096);
    hand.wait(2_000);
    assert!(hand.turn(Vec::new()).effects.contains(&Effect::Root(0)));
}

/// A complete scan of a root with one synced file and a second scan that has read its names.
fn names_were_read() -> Hand {
    let mut hand = Hand::new();
    hand.scan_dirs(&[]);
    hand.wait(2 * 3_600_000);
    hand.turn(Vec::new());
    let turned = hand.turn(vec![root_there()]);
    assert_eq!(lists(&turned), [RelPath::root().to_string()]);
    hand
}

#[test]
fn a_listing_that_is_older_than_a_look_takes_nothing_back() {
    for what in [DIR, Kind::File(print(5, 9))] {
        let mut hand = names_were_read();
        // It appears after the names were read, and is looked at before the page comes.
        hand.looked("new", Ok(what));
        let turned = hand.turn(vec![page("", Vec::new())]);
        let looks = Effect::Look { mirror: 0, paths: vec![rel("new")] };
        assert!(turned.effects.contains(&looks), "{what:?}: {:?}", turned.effects);
    }
}

#[test]
fn what_cannot_be_looked_at_does_not_go_round_with_the_listing_above_it() {
    let mut hand = names_were_read();
    let unknown = || vec![Found { name: b"x".to_vec(), kind: Kind::Unknown }];
    hand.looked("x", Err(Absent::Unreadable("i/o error".into())));
    let mut turned = hand.turn(vec![page("", unknown())]);
    for _ in 0..5 {
        let looks = turned.effects.iter().any(|effect| matches!(effect, Effect::Look { .. }));
        assert!(!looks, "{:?}", turned.effects);
        turned = hand.turn(vec![page("", unknown())]);
    }
    assert_eq!(lists(&turned), Vec::<String>::new());
}

#[test]
fn a_directory_that_went_while_it_was_to_be_made_is_not_in_trouble() {
    let mut hand = Hand::new();
    let job = hand.one_directory(false);
    hand.looked("d", Err(Absent::Gone));
    let result = Err(Failure::new(Class::Permanent, "the name is too long"));
    hand.turn(vec![Fact::Directory { job, result }]);
    assert_eq!(blocked(hand), 0);
}

#[test]
fn a_directory_that_is_left_out_while_it_is_listed_stays_out() {
    let mut hand = Hand::new();
    hand.scan_dirs(&["d"]);
    let turned = hand.looked("d", Ok(DIR));
    assert_eq!(lists(&turned), ["d"]);
    // A link stands in its place by now; its names come after that is known.
    hand.looked("d", Ok(Kind::Skipped(crate::tree::Skip::Symlink)));
    let file = Found { name: b"f".to_vec(), kind: Kind::File(print(5, 9)) };
    hand.turn(vec![page("d", vec![file])]);
    let turned = hand.looked("g", Ok(Kind::File(print(5, 9))));
    assert_eq!(lists(&turned), Vec::<String>::new());
    let id = hand.engine.core.mirrors[0].id;
    let status = Reader::of(hand.engine.into_journal());
    let root = status.below(id, &RelPath::root()).expect("a state").expect("a folder");
    assert_eq!(root.files, 1, "only the one beside it");
}

/// The page of a directory that is not watched.
fn polled(path: &str, entries: Vec<Found>) -> Fact {
    Fact::Page { mirror: 0, dir: rel(path), entries, last: true, watched: Watching::No }
}

fn watched(directories: u64) -> Fact {
    Fact::Watched { mirror: 0, directories }
}

#[test]
fn only_what_is_not_watched_is_polled() {
    let mut hand = Hand::new();
    hand.turn(Vec::new());
    hand.turn(vec![root_there()]);
    hand.turn(vec![watched(3), page("", vec![dir("a"), dir("b"), dir("c")])]);
    hand.turn(vec![page("a", Vec::new())]);
    hand.turn(vec![polled("b", Vec::new())]);
    hand.turn(vec![page("c", Vec::new())]);
    for _ in 0..3 {
        hand.wait(40_000);
        assert_eq!(lists(&hand.turn(Vec::new())), Vec::<String>::new(), "not yet");
        hand.wait(30_000);
        let turned = hand.turn(Vec::new());
        assert_eq!(lists(&turned), ["b"]);
        assert!(!turned.effects.contains(&Effect::Root(0)));
        hand.turn(vec![polled("b", Vec::new())]);
    }
    // What is new in it is listed with it, and polled if it is not watched.
    hand.wait(70_000);
    hand.turn(Vec::new());
    assert_eq!(lists(&hand.turn(vec![polled("b", vec![dir("new")])])), ["b/new"]);
    hand.turn(vec![polled("b/new", Vec::new())]);
    hand.wait(70_000);
    assert_eq!(lists(&hand.turn(Vec::new())), ["b"]);
    assert_eq!(lists(&hand.turn(vec![polled("b", vec![dir("new")])])), ["b/new"]);
    hand.turn(vec![polled("b/new", Vec::new())]);
    // There is a watch for it after all; and the other goes.
    hand.wait(70_000);
    hand.turn(Vec::new());
    hand.turn(vec![watched(4), page("b", Vec::new())]);
    hand.wait(70_000);
    assert_eq!(lists(&hand.turn(Vec::new())), Vec::<String>::new(), "nothing is left to poll");
    let status = &Reader::of(hand.engine.into_journal()).mirrors().expect("an answer")[0];
    assert_eq!((status.watched, status.polled), (4, 0));
}

#[test]
fn where_hardly_anything_is_watched_everything_is_polled_at_once() {
    let mut hand = Hand::new();
    for _ in 0..3 {
        let turned = hand.turn(Vec::new());
        assert!(turned.effects.contains(&Effect::Root(0)), "{:?}", turned.effects);
        hand.turn(vec![root_there()]);
        hand.turn(vec![polled("", vec![dir("a")])]);
        hand.turn(vec![polled("a", Vec::new())]);
        hand.wait(70_000);
    }
}

#[test]
fn who_insists_on_watching_is_told_what_is_not() {
    let mut hand = Hand::new();
    hand.engine.core.settings.mirrors[0].watch = WatchMode::Inotify;
    hand.turn(Vec::new());
    hand.turn(vec![root_there()]);
    hand.turn(vec![watched(1), page("", vec![dir("a")])]);
    hand.turn(vec![polled("a", Vec::new())]);
    let said = |hand: &mut Hand| hand.engine.journal().copy().expect("a copy");
    let conditions = |journal| {
        Reader::of(journal).mirrors().expect("an answer")[0]
            .conditions
            .iter()
            .map(|condition| condition.message.clone())
            .collect::<Vec<_>>()
    };
    let before = conditions(said(&mut hand));
    assert!(before[0].starts_with("1 of 2 directories cannot be watched"), "{before:?}");
    hand.wait(70_000);
    hand.turn(Vec::new());
    hand.turn(vec![watched(2), page("a", Vec::new())]);
    assert_eq!(conditions(said(&mut hand)), Vec::<String>::new());
}

#[test]
fn scans_for_hints_that_are_lost_again_and_again_come_less_and_less_often() {
    let mut hand = Hand::new();
    let mut waits = Vec::new();
    for _ in 0..8 {
        let began = hand.now.mono_ms;
        while !hand.turn(Vec::new()).effects.contains(&Effect::Root(0)) {
            hand.wait(500);
        }
        waits.push(hand.now.mono_ms - began);
        hand.turn(vec![root_there()]);
        hand.turn(vec![Fact::Overflow]);
        hand.turn(vec![page("", Vec::new())]);
    }
    assert_eq!(waits, [0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000]);
}

#[test]
fn a_root_that_is_heard_of_again_does_not_wait_for_its_turn() {
    let mut hand = Hand::new();
    hand.scan_dirs(&[]);
    hand.looked("x", Err(Absent::Root("gone".into())));
    assert!(hand.engine.core.mirrors[0].scan.is_held());
    hand.turn(vec![Fact::Hints { mirror: 0, paths: vec![RelPath::root()] }]);
    hand.wait(2_000);
    assert_eq!(hand.turn(Vec::new()).effects, [Effect::Root(0)]);
}
