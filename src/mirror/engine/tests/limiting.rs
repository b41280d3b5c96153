//! How much is under way at a time, as the service bears it.

use super::fairness::answers;
use super::*;

/// What a service does to the steps of uploads.
#[derive(Clone, Copy, PartialEq)]
enum Service {
    Quick,
    /// Each call of it is answered after six seconds.
    SlowCalls,
    /// Content takes six seconds, however little it is.
    SlowContent,
    /// Every second start fails.
    Failing,
}

/// Sends small files until so many were begun. Gives how many were under way at most meanwhile.
fn under_way(
    hand: &mut Hand,
    mut turned: Turned,
    service: Service,
    begun: usize,
) -> (Turned, usize) {
    let mut starts = 0;
    let mut most = 0;
    while starts < begun {
        let mut facts = answers(&turned);
        let posts =
            |fact: &&Fact| matches!(fact, Fact::Step { outcome: Outcome::Posted { .. }, .. });
        let content = facts.iter().any(|fact| posts(&fact));
        for fact in &mut facts {
            if let Fact::Step { outcome, .. } = fact
                && matches!(outcome, Outcome::Started { .. })
            {
                starts += 1;
                if service == Service::Failing && starts % 2 == 0 {
                    *outcome = Outcome::Failed(Failure::new(Class::Transient, "refused"));
                }
            }
        }
        most = most.max(turned.load.transfers);
        hand.wait(match service {
            Service::SlowContent if content => 6_000,
            Service::SlowCalls if !content => 6_000,
            // What fails is tried again after a while.
            Service::Failing => 400,
            _ => 10,
        });
        turned = hand.turn(facts);
    }
    (turned, most)
}

#[test]
fn fewer_are_under_way_while_calls_or_content_are_slow_or_fail() {
    for service in [Service::SlowCalls, Service::SlowContent, Service::Failing] {
        let mut hand = Hand::new();
        let turned = hand.scan(many(2_000));
        let (turned, most) = under_way(&mut hand, turned, Service::Quick, 40);
        assert_eq!((most, turned.load.limit), (4, 4), "as many as are allowed");
        let (turned, _) = under_way(&mut hand, turned, service, 40);
        assert!(turned.load.limit < 4, "{}", turned.load.limit);
        let (turned, most) = under_way(&mut hand, turned, service, 40);
        assert!(most < 4, "{most}");
        // It recovers, one step at a time.
        let (turned, _) = under_way(&mut hand, turned, Service::Quick, 400);
        assert_eq!(turned.load.limit, 4);
    }
}
