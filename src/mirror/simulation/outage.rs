//! Nothing is burnt while the service does not work: a few calls a minute, whatever is wrong, however much waits.

use super::disk::Node;
use super::world::{Mood, World};
use crate::failure::Class;
use crate::relpath::RelPath;

const FILES: usize = 300;
const MINUTE_MS: i64 = 60_000;

/// A service that has not worked for a while, with many files waiting.
fn outage(class: Class) -> World {
    let mood = Mood { faults: 0.0, lost_hints: 0.0, power_cuts: false, watches: usize::MAX };
    let mut world = World::new(7, mood, &["base"]);
    for n in 0..FILES {
        let path = RelPath::root().join(format!("f{n}").as_bytes());
        let content = world.disk.fresh_content(100 + n as u64);
        let now_ms = world.now.unix_ms;
        world.disk.write(&path, content, false, false, now_ms);
    }
    world.wait(10_000);
    if class == Class::Quota {
        world.service.room = Some(0);
    } else {
        world.outage = Some(class);
    }
    world
}

fn run_for(world: &mut World, ms: i64) {
    let until_ms = world.now.mono_ms + ms;
    while world.now.mono_ms < until_ms {
        world.turn();
        while world.in_flight() > 0 {
            world.progress(0);
        }
        if world.is_idle() && !world.wait_for_wake() {
            return;
        }
    }
}

#[test]
fn a_service_that_does_not_work_is_asked_a_few_times_a_minute() {
    for class in [
        Class::Offline,
        Class::Transient,
        Class::Auth,
        Class::Defect,
        Class::Throttled,
        Class::Quota,
    ] {
        let mut world = outage(class);
        run_for(&mut world, 10 * MINUTE_MS);
        let before = world.service.calls;
        run_for(&mut world, 60 * MINUTE_MS);
        let calls = world.service.calls - before;
        assert!(calls <= 60 * 5, "{class}: {calls} calls in an hour");
        assert!(calls >= 1, "{class}: nobody finds out that it works again");
        // It works again: everything goes on.
        world.outage = None;
        world.service.room = None;
        run_for(&mut world, 120 * MINUTE_MS);
        assert_eq!(world.service.files.len(), FILES, "{class}");
    }
}

#[test]
fn one_poisoned_file_delays_nobody() {
    let mood = Mood { faults: 0.0, lost_hints: 0.0, power_cuts: false, watches: usize::MAX };
    let mut world = World::new(7, mood, &["base"]);
    for n in 0..FILES {
        let name = if n == 0 { "poison".to_owned() } else { format!("f{n}") };
        let path = RelPath::root().join(name.as_bytes());
        let content = world.disk.fresh_content(100);
        let now_ms = world.now.unix_ms;
        world.disk.write(&path, content, false, false, now_ms);
    }
    world.wait(10_000);
    run_for(&mut world, MINUTE_MS);
    let files = world.disk.paths(|node| matches!(node, Node::File { .. })).len();
    assert_eq!(world.service.files.len(), files - 1);
    // Refused once, and not asked again.
    let before = world.service.calls;
    run_for(&mut world, 60 * MINUTE_MS);
    assert_eq!(world.service.calls, before);
}
