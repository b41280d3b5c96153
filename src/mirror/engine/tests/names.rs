//! Names that the service does not tell apart, which only its answers show.

use super::*;

/// Brings a transfer to its confirm, which answers that the file is visible at `place`.
fn stored(hand: &mut Hand, transfer: TransferId, place: &str) -> Turned {
    posted(hand, transfer);
    hand.turn(vec![Fact::Step { transfer, outcome: confirmed(place, 5) }])
}

fn posted(hand: &mut Hand, transfer: TransferId) {
    for outcome in [
        Outcome::Started { confirm_key: "k".into(), expires_at_ms: None },
        Outcome::Posted { digest: digest(5), crc64: Some(9) },
    ] {
        hand.turn(vec![Fact::Step { transfer, outcome }]);
    }
}

fn transfer_of(turned: &Turned, name: &str) -> TransferId {
    let of = |effect: &Effect| match effect {
        Effect::Step { transfer, path, .. } if *path == rel(name) => Some(*transfer),
        _ => None,
    };
    turned.effects.iter().find_map(of).expect("it is sent")
}

#[test]
fn a_copy_that_was_replaced_by_that_of_another_file_is_not_called_synced() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("A", print(5, 10)), file("a", print(5, 11))]);
    let (upper, lower) = (transfer_of(&turned, "A"), transfer_of(&turned, "a"));
    stored(&mut hand, lower, "a");
    // The service takes them for one: nothing is removed, and the copy of `a` is doubted and sent again.
    let turned = stored(&mut hand, upper, "a");
    let removes = |turned: &Turned| {
        steps(turned).iter().any(|(_, step)| matches!(step, Step::DeleteCopy { .. }))
    };
    assert!(!removes(&turned), "{:?}", turned.effects);
    let again = transfer_of(&turned, "a");
    stored(&mut hand, again, "a");
    assert_eq!(hand.state("a"), (EntryState::Synced, None));
}

#[test]
fn whose_copy_came_last_is_not_guessed() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("A", print(5, 10)), file("a", print(5, 11))]);
    let (upper, lower) = (transfer_of(&turned, "A"), transfer_of(&turned, "a"));
    posted(&mut hand, lower);
    stored(&mut hand, upper, "a");
    // That of `a` may have been confirmed before: its answer proves nothing.
    hand.turn(vec![Fact::Step { transfer: lower, outcome: confirmed("a", 5) }]);
    assert_ne!(hand.state("a").0, EntryState::Synced);
}
