//! Mirrors that all have something to send: none of them waits until another has nothing more.

use super::*;
use crate::mirror::step::Reply;

/// What a service that takes everything answers.
pub(super) fn answers(turned: &Turned) -> Vec<Fact> {
    let answer = |effect: &Effect| match effect {
        Effect::ListRemote { job, .. } => {
            let result = Ok(RemoteListing::Page { entries: Vec::new(), last: true });
            Some(Fact::RemoteListed { job: *job, result })
        }
        Effect::Directory { job, .. } => Some(Fact::Directory { job: *job, result: Ok(()) }),
        Effect::Step { transfer, target, fingerprint, step, .. } => {
            let size = fingerprint.size;
            let outcome = match step {
                Step::Start(_) => Outcome::Started {
                    confirm_key: format!("key of {transfer:?}"),
                    expires_at_ms: None,
                },
                Step::Post => Outcome::Posted { digest: digest(size), crc64: Some(9) },
                Step::Confirm { .. } => Outcome::Confirmed(Reply {
                    path: Some(target.clone()),
                    size: Some(size),
                    crc64: Some(9),
                }),
                other => panic!("nobody asked for {other:?}"),
            };
            Some(Fact::Step { transfer: *transfer, outcome })
        }
        _ => None,
    };
    turned.effects.iter().filter_map(answer).collect()
}

/// Goes on until an upload of mirror 1 starts; gives how many milliseconds that took.
fn waited(hand: &mut Hand, mut turned: Turned) -> i64 {
    let began_ms = hand.now.mono_ms;
    let of_other =
        |effect: &Effect| matches!(effect, Effect::Step { mirror: 1, step: Step::Start(_), .. });
    while !turned.effects.iter().any(of_other) {
        let facts = answers(&turned);
        assert!(!facts.is_empty(), "nothing goes on at {} ms", hand.now.mono_ms);
        hand.wait(10);
        turned = hand.turn(facts);
    }
    hand.now.mono_ms - began_ms
}

#[test]
fn a_mirror_with_much_to_send_keeps_no_other_waiting() {
    let mut hand = Hand::with_mirrors(2);
    hand.turn(Vec::new());
    hand.turn(vec![root(1)]);
    let first = file("first", print(5, 6));
    let turned = hand.turn(vec![page(1, RelPath::root(), vec![first])]);
    waited(&mut hand, turned);
    hand.turn(vec![root(0)]);
    let mut turned = hand.turn(vec![page(0, RelPath::root(), many(5_000))]);
    for _ in 0..20 {
        let facts = answers(&turned);
        hand.wait(10);
        turned = hand.turn(facts);
    }
    // Due long after all of the other, and larger than all of them.
    let mut facts = answers(&turned);
    hand.wait(60_000);
    let what = Ok(Kind::File(print(50_000, 7)));
    facts.push(Fact::Looked { mirror: 1, path: rel("f"), what, watched: false });
    let turned = hand.turn(facts);
    let ms = waited(&mut hand, turned);
    assert!(ms < 1_200, "it waited for {ms} ms");
    assert!(hand.engine.core.small.len() > 100, "the other has much to send still");
}
