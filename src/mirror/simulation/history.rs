//! What happens in a history: changes of the folder, time, crashes, answers; then healing, and the end.

use super::check;
use super::disk::{Content, Node};
use super::world::{Mood, World};
use crate::config::{Delete, MaxDelete, Names};
use crate::digest::BEGINNING_LEN;
use crate::failure::Class;
use crate::relpath::RelPath;

/// Turns after which a history that heals must have come to rest.
const HEAL_TURNS: usize = 20_000;
/// Simulated time after which it must: blocked retries, back-off and a full scan fit in.
const HEAL_MS: i64 = 12 * 3_600_000;
/// Names are few, so that the changes meet.
const NAMES: &[&[u8]] = &[b"a", b"b", b"c", b"d", b"poison"];
/// Names of mirrors that escape them: two that look like one another's copy, and one that is not UTF-8.
const ESCAPED: &[&[u8]] = &[b"a:b", b"a%3Ab", b"\xff", b"d.", b"poison?"];
/// Names that are always taken, and not always written in the same way.
const EITHER: &[&[u8]] = &[b"a", b"a%3Ab", b" c", b"d.", b"poison"];
const SIZES: &[u64] =
    &[0, 7, 7, 100, BEGINNING_LEN, BEGINNING_LEN + 5, 2 * BEGINNING_LEN + 5, 9 * BEGINNING_LEN];

/// A history that is made again from its seed.
#[derive(Debug, Clone, Copy)]
pub(super) struct History {
    pub(super) seed: u64,
    /// Crash before this step, whatever the dice say.
    pub(super) crash_at: Option<usize>,
}

impl History {
    pub(super) fn run(self) -> World {
        let mut world = self.begin();
        world.loud = std::env::var_os("SMH_SIM_TRACE").is_some();
        world.tracing = world.loud;
        let steps = 30 + world.rng.usize(0..60);
        let mut whims = self.whims();
        for at in 0..steps {
            if let Some(whims) = &mut whims
                && whims.u8(0..12) == 0
            {
                world.whim(whims);
            }
            if self.crash_at == Some(at) {
                world.crash();
            }
            step(&mut world);
            check::invariants(&mut world);
            check::nothing_unseen(&mut world);
        }
        heal(&mut world);
        check::converged(&mut world);
        again(&mut world);
        world
    }

    /// In a quarter of the histories a person pauses the mirror at times. With dice of its own.
    fn whims(self) -> Option<fastrand::Rng> {
        let mut whims = fastrand::Rng::with_seed(self.seed.rotate_left(32) ^ 0x70a5);
        (whims.u8(0..4) == 0).then_some(whims)
    }

    /// The same, and what happened.
    pub(super) fn trace(self) -> Vec<String> {
        let mut world = self.begin();
        world.tracing = true;
        for _ in 0..60 {
            step(&mut world);
        }
        world.trace
    }

    fn begin(self) -> World {
        let mut dice = fastrand::Rng::with_seed(self.seed);
        let mood = Mood {
            faults: *dice.choice(&[0.0, 0.02, 0.1, 0.3]).unwrap_or(&0.0),
            lost_hints: *dice.choice(&[0.0, 0.1, 0.5]).unwrap_or(&0.0),
            power_cuts: dice.u8(0..4) == 0,
            delete: *dice
                .choice(&[Delete::Keep, Delete::Keep, Delete::Recycle, Delete::Permanent])
                .unwrap_or(&Delete::Keep),
            grace_ms: *dice.choice(&[1_000, 10_000, 300_000]).unwrap_or(&1_000),
            max_delete: MaxDelete {
                files: dice.bool().then(|| dice.u64(1..4)),
                percent: dice.bool().then_some(50),
            },
            watches: *dice.choice(&[usize::MAX, usize::MAX, usize::MAX, 2]).unwrap_or(&2),
        };
        let root: &[&str] = if dice.bool() { &["base", "deep"] } else { &[] };
        // With dice of its own: the rest of a history does not depend on it.
        let (names, changes) = match fastrand::Rng::with_seed(!self.seed).u8(0..6) {
            0 | 1 => (Names::Escape, false),
            2 => (Names::Skip, true),
            _ => (Names::Skip, false),
        };
        let mut world = World::new(dice.u64(..), mood, root, names);
        (world.changes_names, world.both_names) = (changes, changes);
        // Something is there from the beginning, on both sides.
        for _ in 0..world.rng.usize(0..6) {
            change(&mut world);
        }
        if dice.u8(0..3) == 0 {
            already_there(&mut world);
        }
        let ms = world.rng.i64(0..10_000);
        world.wait(ms);
        world
    }
}

/// Another tool, or a lost journal, left copies in the library.
fn already_there(world: &mut World) {
    for path in world.disk.paths(|node| matches!(node, Node::File { .. })) {
        let Some((content, ..)) = world.disk.file(&path) else { continue };
        let target = world.target(&path);
        if world.rng.bool() && !target.iter().any(|name| name.contains("poison")) {
            let made =
                world.service.create_directory(target.get(..target.len() - 1).unwrap_or_default());
            if made.is_ok() {
                world.service.files.insert(target, content);
            }
        }
    }
}

fn step(world: &mut World) {
    world.mind_what_is_absent();
    match world.rng.u8(0..100) {
        0..22 => change(world),
        22..24 => take_back(world),
        24..27 => quiet(world),
        27..29 => rename_dir(world, None),
        29..32 => mirrored_and_renamed(world),
        32..65 => {
            let nth = world.rng.usize(..);
            world.progress(nth);
        }
        65..80 => world.turn(),
        80..88 => {
            let ms = world.rng.i64(1..4_000);
            world.wait(ms);
        }
        88..91 => {
            world.wait_for_wake();
        }
        91..93 => world.crash(),
        93 => world.ghost(),
        94 => world.overflow(),
        95 => {
            let classes =
                [Class::Transient, Class::Offline, Class::Auth, Class::Defect, Class::Throttled];
            world.outage = match world.outage {
                None if world.mood.faults > 0.0 => world.rng.choice(&classes).copied(),
                _ => None,
            };
        }
        96 => {
            let nth = world.rng.usize(0..1000);
            if world.rng.bool() {
                world.service.forget_upload(nth);
            } else {
                world.service.lose_empty_directory(nth);
                world.dirs_lost = true;
            }
        }
        97 => {
            // The clock is set, forward or back.
            world.now.unix_ms += world.rng.i64(-40_000..40_000);
            world.time_is_unsure = true;
        }
        98 => {
            world.service.room = match world.service.room {
                None => Some(50),
                Some(_) => None,
            };
        }
        _ => {
            if world.rng.u8(0..4) == 0 {
                world.answer();
            } else if world.rng.bool() {
                world.retry();
                if world.rng.bool() {
                    world.repair();
                }
            } else if world.disk.root.is_some() {
                world.lose_root();
            } else {
                world.root_is_back();
            }
        }
    }
    // Most of the time the engine turns soon.
    if world.rng.u8(0..3) == 0 {
        world.turn();
    }
}

/// Nobody touches anything for a while, so that what was begun comes to an end.
fn quiet(world: &mut World) {
    world.mind_what_is_absent();
    for round in 0..40 {
        world.turn();
        if round % 8 == 0 {
            check::invariants(world);
        }
        if world.in_flight() > 0 {
            let nth = world.rng.usize(..);
            world.progress(nth);
        } else if world.is_idle() {
            let ms = world.rng.i64(1..3_000);
            world.wait(ms);
        }
    }
}

/// A directory is filled, mirrored if all goes well, and renamed or moved; perhaps while something of it is sent.
fn mirrored_and_renamed(world: &mut World) {
    if world.disk.root.is_none() {
        return;
    }
    let dir = some_path(world);
    if !matches!(world.disk.nodes.get(&dir), None | Some(Node::Dir { .. })) {
        return;
    }
    if !world.disk.is_dir(&dir) {
        world.disk.make_dir(&dir);
        world.hint(&dir);
    }
    let inner = dir.join(b"in");
    if world.rng.bool() && !world.disk.nodes.contains_key(&inner) {
        world.disk.make_dir(&inner);
        world.hint(&inner);
    }
    for name in ["a", "b", "in/c"] {
        let size = *world.rng.choice(SIZES).unwrap_or(&7);
        let path = dir.join(name.as_bytes());
        if path.parent().is_some_and(|dir| world.disk.is_dir(&dir)) {
            world.wait(25);
            let content = world.disk.fresh_content(size);
            let now_ms = world.now.unix_ms;
            world.disk.write(&path, content, false, false, now_ms);
            world.hint(&path);
        }
    }
    for _ in 0..world.rng.usize(0..3) {
        quiet(world);
    }
    rename_dir(world, Some(dir));
    if world.rng.bool() {
        quiet(world);
    }
}

/// A directory with something in it gets another name, or another place, and perhaps another change at once.
fn rename_dir(world: &mut World, which: Option<RelPath>) {
    if world.disk.root.is_none() {
        return;
    }
    world.wait(25);
    let dirs = world.disk.paths(|node| matches!(node, Node::Dir { .. }));
    let Some(from) = which.or_else(|| world.rng.choice(&dirs).cloned()) else { return };
    let to = some_path(world);
    if world.disk.nodes.contains_key(&to) {
        return;
    }
    rename(world, &from, &to);
    match world.rng.u8(0..4) {
        0 => change(world),
        // And back again, or on.
        1 => {
            let on = some_path(world);
            if world.rng.bool() {
                rename(world, &to, &from);
            } else if !world.disk.nodes.contains_key(&on) {
                rename(world, &to, &on);
            }
        }
        _ => {}
    }
}

/// Somebody takes a change back, just when its upload is under way: a file gets the content again that the journal
/// calls confirmed.
fn take_back(world: &mut World) {
    let rows = world.engine().journal().all_files().expect("the journal can be read");
    let changed: Vec<(RelPath, Content)> = rows
        .into_iter()
        .filter_map(|(path, row)| {
            let crc64 = row.confirmed?.crc64;
            let (now, ..) = world.disk.file(&path)?;
            let before = world
                .disk
                .ever
                .iter()
                .find(|(other, content)| *other == path && content.crc64() == crc64)?
                .1;
            (now != before).then_some((path, before))
        })
        .collect();
    if let Some((path, content)) = world.rng.choice(&changed).cloned() {
        world.wait(25);
        let now_ms = world.now.unix_ms;
        world.disk.write(&path, content, true, false, now_ms);
        world.hint(&path);
    }
}

fn some_dir(world: &mut World) -> RelPath {
    let mut dirs = world.disk.paths(|node| matches!(node, Node::Dir { .. }));
    dirs.push(RelPath::root());
    world.rng.choice(&dirs).cloned().unwrap_or_else(RelPath::root)
}

fn some_path(world: &mut World) -> RelPath {
    let dir = some_dir(world);
    let name = some_name(world);
    if dir.segments().count() > 3 { RelPath::root().join(name) } else { dir.join(name) }
}

fn some_name(world: &mut World) -> &'static [u8] {
    let names = match (world.changes_names, world.names) {
        (true, _) => EITHER,
        (false, Names::Escape) => ESCAPED,
        (false, Names::Skip) => NAMES,
    };
    world.rng.choice(names).copied().unwrap_or(b"a")
}

fn some_file(world: &mut World) -> Option<RelPath> {
    let files = world.disk.paths(|node| matches!(node, Node::File { .. }));
    world.rng.choice(&files).cloned()
}

fn some_entry(world: &mut World) -> Option<RelPath> {
    let all = world.disk.paths(|_| true);
    world.rng.choice(&all).cloned()
}

/// One change of the folder, as a program would make it.
fn change(world: &mut World) {
    if world.disk.root.is_none() {
        return;
    }
    world.wait(25);
    let now_ms = world.now.unix_ms;
    let size = *world.rng.choice(SIZES).unwrap_or(&7);
    match world.rng.u8(0..22) {
        // A new file, or another content in its place.
        0..6 => {
            let path = some_path(world);
            let content = world.disk.fresh_content(size);
            world.disk.write(&path, content, false, false, now_ms);
            world.hint(&path);
        }
        // Another content of the same size, in place.
        6..9 => {
            let Some(path) = some_file(world) else { return };
            let Some((content, ..)) = world.disk.file(&path) else { return };
            let other = world.disk.fresh_content(content.size);
            let keep_mtime = world.rng.bool();
            world.disk.write(&path, other, true, keep_mtime, now_ms);
            world.hint(&path);
        }
        // Touched, or taken back: the same content or an earlier one, other times.
        9 => {
            let Some(path) = some_file(world) else { return };
            let Some((content, ..)) = world.disk.file(&path) else { return };
            let earlier: Vec<Content> = world
                .disk
                .ever
                .iter()
                .filter(|(other, _)| *other == path)
                .map(|(_, content)| *content)
                .collect();
            let content = world.rng.choice(&earlier).copied().unwrap_or(content);
            world.disk.write(&path, content, true, false, now_ms);
            world.hint(&path);
        }
        // A copy of what is there already.
        10 => {
            let Some(from) = some_file(world) else { return };
            let Some((content, ..)) = world.disk.file(&from) else { return };
            let path = some_path(world);
            world.disk.write(&path, content, false, false, now_ms);
            world.hint(&path);
        }
        11..14 => {
            let Some(from) = some_entry(world) else { return };
            let to = some_path(world);
            rename(world, &from, &to);
        }
        14..16 => {
            let Some(path) = some_entry(world) else { return };
            world.disk.remove(&path);
            world.hint(&path);
        }
        16 | 17 => {
            let path = some_path(world);
            if world.disk.nodes.get(&path).is_none_or(|node| !matches!(node, Node::Dir { .. })) {
                world.disk.make_dir(&path);
                world.hint(&path);
            }
        }
        20 => swap(world),
        21 => make_anew(world, size),
        18 => {
            let Some(path) = some_entry(world) else { return };
            let readable = world.rng.bool();
            world.disk.set_readable(&path, readable, now_ms);
            world.hint(&path);
        }
        _ => {
            let path = some_path(world);
            world.disk.remove(&path);
            world.disk.put(&path, Node::Link);
            world.hint(&path);
        }
    }
}

fn rename(world: &mut World, from: &RelPath, to: &RelPath) {
    let now_ms = world.now.unix_ms;
    world.mind_what_is_absent();
    world.disk.rename(from, to, now_ms);
    world.moved(from, to);
    world.hint(from);
    world.hint(to);
}

/// `mv a old; mv b a`: before anybody looks, another directory stands under a known name.
fn swap(world: &mut World) {
    let dirs = world.disk.paths(|node| matches!(node, Node::Dir { .. }));
    let (Some(a), Some(b)) = (world.rng.choice(&dirs).cloned(), world.rng.choice(&dirs).cloned())
    else {
        return;
    };
    if a == b || a.is_within(&b) || b.is_within(&a) {
        return;
    }
    let old = RelPath::root().join(b"old");
    if a.is_within(&old) || b.is_within(&old) {
        return;
    }
    rename(world, &a, &old);
    rename(world, &b, &a);
}

/// `rm -rf a; mkdir a`, and at once something in it.
fn make_anew(world: &mut World, size: u64) {
    let dirs = world.disk.paths(|node| matches!(node, Node::Dir { .. }));
    let Some(path) = world.rng.choice(&dirs).cloned() else { return };
    world.disk.remove(&path);
    world.hint(&path);
    world.disk.make_dir(&path);
    world.hint(&path);
    let now_ms = world.now.unix_ms;
    let file = path.join(some_name(world));
    let content = world.disk.fresh_content(size);
    world.disk.write(&file, content, false, false, now_ms);
    world.hint(&file);
}

/// Everything works again, and nobody changes anything. Runs until nothing is left to do.
fn heal(world: &mut World) {
    world.mood.faults = 0.0;
    world.mood.lost_hints = 0.0;
    world.mood.power_cuts = false;
    world.changes_names = false;
    world.outage = None;
    world.service.room = None;
    world.root_is_back();
    while world.ghosts_left() {
        world.ghost();
    }
    for path in world.disk.paths(|_| true) {
        let now_ms = world.now.unix_ms;
        if !is_readable(world, &path) {
            world.disk.set_readable(&path, true, now_ms);
            world.hint(&path);
        }
    }
    world.go_on();
    // What was given up for want of sense in the answers is tried again when a person says so.
    world.retry();
    rest(world);
    // What is held waits for a person; answers may show more that has to be decided.
    for _ in 0..10 {
        if world.engine().journal().all_holds().expect("the journal can be read").is_empty() {
            return;
        }
        world.answer();
        rest(world);
    }
    panic!("holds come again and again");
}

fn is_readable(world: &World, path: &RelPath) -> bool {
    match world.disk.nodes.get(path) {
        Some(Node::File { readable, .. } | Node::Dir { readable, .. }) => *readable,
        Some(Node::Link) | None => true,
    }
}

/// Runs until a full scan has ended and nothing moves.
fn rest(world: &mut World) {
    let until_ms = world.now.mono_ms + HEAL_MS;
    let mut scans = 0;
    let mut waited_ms = 0;
    for _ in 0..HEAL_TURNS {
        world.mind_what_is_absent();
        world.turn();
        if !world.is_idle() {
            while world.in_flight() > 0 {
                world.progress(0);
            }
            continue;
        }
        // Idle: two full scans after the last change have seen everything.
        assert!(world.now.mono_ms <= until_ms, "does not come to rest in time");
        check::nothing_unseen(world);
        let before = world.now.mono_ms;
        if !world.wait_for_wake() {
            return;
        }
        if world.now.mono_ms - before > 600_000 {
            scans += 1;
        }
        // Where little is watched, it is polled in between.
        waited_ms += world.now.mono_ms - before;
        if scans > 2 || waited_ms > 3 * 3_600_000 {
            return;
        }
    }
    panic!("does not come to rest");
}

/// (6) A restart without changes asks for nothing and reads nothing.
fn again(world: &mut World) {
    // A person asks for nothing more: what is blocked stays blocked.
    world.crash();
    let (calls, hashed) = (world.service.calls, world.hashed);
    rest(world);
    assert_eq!(world.service.calls - calls, 0, "a restart without changes asks the service");
    assert_eq!(world.hashed - hashed, 0, "a restart without changes reads files");
    check::converged(world);
}
