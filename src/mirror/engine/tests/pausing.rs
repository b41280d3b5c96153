//! Nothing new is sent while a person wants it so, and nothing is forgotten meanwhile.

use super::*;
use crate::mirror::requests::{Pause, Rescan, Resume};

fn pause(until_ms: Option<i64>) -> Fact {
    Fact::Pause(Pause { mirror: "m".into(), until_ms })
}

fn resume() -> Fact {
    Fact::Resume(Resume { mirror: "m".into() })
}

/// A first scan, of a mirror that is paused before it begins.
fn scan_when_paused(hand: &mut Hand, pause: Fact) -> Turned {
    assert_eq!(hand.turn(vec![pause]).effects, [Effect::Root(0)]);
    hand.turn(vec![root(0)]);
    hand.turn(vec![page(0, RelPath::root(), vec![file("f", print(5, 10))])])
}

#[test]
fn what_is_found_waits_and_what_runs_is_brought_to_its_end() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    let transfer = steps(&turned)[0].0;
    hand.turn(vec![pause(None)]);
    let turned = hand.looked("g", Ok(Kind::File(print(6, 11))));
    assert_eq!(turned.effects, [], "it begins nothing");
    let last = finish(&mut hand, transfer, 5);
    assert!(matches!(last.events.as_slice(), [Event::Synced { bytes: 5, .. }]));
    assert_eq!(steps(&last), [], "the next one waits");
    assert_eq!(last.wake_at_ms.filter(|at| *at <= hand.now.mono_ms), None, "nothing is turned for");
    let turned = hand.turn(vec![resume()]);
    assert_eq!(steps(&turned).len(), 1);
}

#[test]
fn a_pause_ends_by_the_clock_also_after_a_restart() {
    let mut hand = Hand::new();
    let until_ms = hand.now.unix_ms + 1_800_000;
    assert_eq!(steps(&scan_when_paused(&mut hand, pause(Some(until_ms)))), []);
    let mut hand = hand.restarted();
    assert_eq!(steps(&hand.scan(vec![file("f", print(5, 10))])), [], "the journal remembers");
    let turned = hand.turn(Vec::new());
    assert!(turned.wake_at_ms.is_some_and(|at| at <= hand.now.mono_ms + 60_000));
    hand.wait(1_800_000);
    let turned = hand.turn(Vec::new());
    let turned = hand.adopt(turned);
    assert_eq!(steps(&turned).len(), 1);
    // What was asked for before a long standstill may be over when it is heard.
    let turned = hand.turn(vec![pause(None), pause(Some(hand.now.unix_ms - 1))]);
    assert_eq!(turned.effects, []);
    assert!(!hand.engine.pauses());
}

#[test]
fn the_other_mirrors_go_on() {
    let mut hand = Hand::with_mirrors(2);
    hand.turn(vec![pause(None)]);
    let turned = [0, 1].map(|mirror| {
        hand.turn(vec![root(mirror)]);
        hand.turn(vec![page(mirror, RelPath::root(), many(1))])
    });
    let asks = |turned: &Turned| {
        turned.effects.iter().any(|effect| matches!(effect, Effect::ListRemote { .. }))
    };
    assert_eq!(turned.map(|turned| asks(&turned)), [false, true]);
    let unknown = Fact::Pause(Pause { mirror: "nobody".into(), until_ms: None });
    hand.turn(vec![unknown]);
}

#[test]
fn a_pass_ends_although_something_is_paused() {
    let mut hand = Hand::new();
    hand.engine.core.settings.once = true;
    let turned = scan_when_paused(&mut hand, pause(None));
    assert_eq!(turned.finished, Some(Finished::Drained));
    assert_eq!(hand.state("f").0, EntryState::Pending);
}

#[test]
fn a_rescan_is_a_scan_now_and_of_a_folder_a_look_at_it() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    finish(&mut hand, steps(&turned)[0].0, 5);
    let rescan = |path| Fact::Rescan(Rescan { mirror: "m".into(), path: rel(path) });
    let turned = hand.turn(vec![rescan("d")]);
    assert_eq!(turned.effects, [Effect::Look { mirror: 0, paths: vec![rel("d")] }]);
    let turned = hand.looked("d", Ok(DIR));
    assert!(turned.effects.contains(&Effect::List { mirror: 0, dir: rel("d") }));
    hand.turn(vec![page(0, rel("d"), Vec::new())]);
    assert_eq!(hand.turn(vec![rescan("")]).effects, [Effect::Root(0)]);
}
