//! What is listed, and when.

use super::*;

fn dir(name: &str) -> Found {
    Found { name: name.as_bytes().to_vec(), kind: Kind::Dir }
}

fn page(path: &str, entries: Vec<Found>) -> Fact {
    Fact::Page { mirror: 0, dir: rel(path), entries, last: true, watched: true }
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
    let turned = hand.looked("site", Ok(Kind::Dir));
    assert_eq!(lists(&turned), ["site"]);
}

#[test]
fn a_hint_on_the_root_itself_leads_to_a_scan() {
    let mut hand = Hand::new();
    hand.scan_dirs(&[]);
    hand.looked("", Ok(Kind::Dir));
    hand.wait(5_000);
    assert_eq!(hand.turn(Vec::new()).effects, [Effect::Root(0)]);
}

#[test]
fn a_tree_whose_attributes_change_is_listed_once() {
    let mut hand = Hand::new();
    hand.scan_dirs(&["a"]);
    let look = |path: &str| Fact::Looked { mirror: 0, path: rel(path), what: Ok(Kind::Dir) };
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
    let mut turned = hand.looked("odd", Ok(Kind::Dir));
    for _ in 0..10 {
        if lists(&turned).is_empty() {
            break;
        }
        hand.turn(vec![Fact::ListFailed { mirror: 0, dir: rel("odd"), why: Absent::Gone }]);
        turned = hand.looked("odd", Ok(Kind::Dir));
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
        let turned = hand.looked(&format!("d{n}"), Ok(Kind::Dir));
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
    let turned = hand.looked("a", Ok(Kind::Dir));
    assert_eq!(lists(&turned), ["a"]);
    hand.turn(vec![Fact::Overflow]);
    hand.wait(2_000);
    // More waits to be listed: that does not put the full scan off either.
    let look = Fact::Looked { mirror: 0, path: rel("b"), what: Ok(Kind::Dir) };
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
