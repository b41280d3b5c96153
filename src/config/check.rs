//! What only shows when values are seen together (pure).

use std::path::Path;

use super::document::Reader;
use super::draft::Draft;
use super::error::Wrong;
use super::units;

/// Mirrors against each other and against the state folder.
pub(super) fn across(reader: &mut Reader<'_>, drafts: &[Draft], state_dir: Option<&Path>) {
    for (index, draft) in drafts.iter().enumerate() {
        within(reader, draft);
        for earlier in &drafts[..index] {
            pair(reader, earlier, draft);
        }
        if let Some(state_dir) = state_dir.filter(|_| draft.has_local) {
            apart_from_state(reader, draft, state_dir);
        }
    }
}

fn within(reader: &mut Reader<'_>, draft: &Draft) {
    let mirror = &draft.mirror;
    if mirror.settle > mirror.settle_max {
        let key = format!("{}.settle", draft.key);
        let max = format!("{}.settle_max", draft.key);
        let line = reader.lines.of(&key).or(reader.lines.of(&max)).or(draft.line);
        reader.report.add(
            line,
            key,
            Wrong::new(
                format!(
                    "{} is longer than settle_max, which is {}",
                    units::duration_text(mirror.settle),
                    units::duration_text(mirror.settle_max)
                ),
                "lower settle or raise settle_max",
            ),
        );
    }
}

fn pair(reader: &mut Reader<'_>, earlier: &Draft, later: &Draft) {
    let (one, other) = (&earlier.mirror, &later.mirror);
    if !other.name.is_empty() && one.name == other.name {
        let key = format!("{}.name", later.key);
        let first = reader.lines.of(&format!("{}.name", earlier.key)).unwrap_or_default();
        reader.report.add(
            reader.lines.of(&key),
            key,
            Wrong::new(
                format!("{:?} is the name of the mirror in line {first} as well", other.name),
                "give each mirror its own name",
            ),
        );
    }
    if earlier.has_local && later.has_local {
        let how = if one.local == other.local {
            Some("is the same folder as")
        } else if other.local.starts_with(&one.local) {
            Some("lies inside")
        } else if one.local.starts_with(&other.local) {
            Some("contains")
        } else {
            None
        };
        if let Some(how) = how {
            let key = format!("{}.local", later.key);
            let what = format!(
                "{} of {} {how} {} of {}",
                other.local.display(),
                later.key,
                one.local.display(),
                earlier.key
            );
            let next = "mirror the outer folder only, or folders that lie beside each other";
            reader.report.add(reader.lines.of(&key), key, Wrong::new(what, next));
        }
    }
    if earlier.has_remote && later.has_remote {
        let how = if one.remote == other.remote {
            Some("is the same folder as")
        } else if other.remote.starts_with(&one.remote) {
            Some("lies inside")
        } else if one.remote.starts_with(&other.remote) {
            Some("contains")
        } else {
            None
        };
        if let Some(how) = how {
            let key = format!("{}.remote", later.key);
            let what = format!(
                "{:?} of {} {how} {:?} of {}",
                other.remote.join("/"),
                later.key,
                one.remote.join("/"),
                earlier.key
            );
            let next = "give each mirror a folder of its own in the library";
            reader.report.add(reader.lines.of(&key), key, Wrong::new(what, next));
        }
    }
}

fn apart_from_state(reader: &mut Reader<'_>, draft: &Draft, state_dir: &Path) {
    let local = &draft.mirror.local;
    if let Some(wrong) = state_apart(&draft.key, local, state_dir) {
        let local_key = format!("{}.local", draft.key);
        let line = reader.lines.of("state_dir").or(reader.lines.of(&local_key));
        reader.report.add(line, "state_dir", wrong);
    }
}

/// The journal changes with every upload: mirroring it would never end.
pub(super) fn state_apart(mirror: &str, local: &Path, state_dir: &Path) -> Option<Wrong> {
    if state_dir.starts_with(local) {
        let what = format!("{} lies inside {} of {mirror}", state_dir.display(), local.display());
        return Some(Wrong::new(what, "put the state outside of every mirrored folder"));
    }
    if local.starts_with(state_dir) {
        let what = format!("{} contains {} of {mirror}", state_dir.display(), local.display());
        return Some(Wrong::new(what, "give the state a folder of its own"));
    }
    None
}
