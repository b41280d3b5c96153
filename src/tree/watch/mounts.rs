//! What is mounted where (pure): the kernel tells nobody who watches a directory that another one covers it now, but
//! it tells that its table of mounts changed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A line of `/proc/self/mountinfo`, as far as it matters: which mount, of what, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mount {
    point: PathBuf,
    id: Vec<u8>,
    device: Vec<u8>,
    root: Vec<u8>,
}

/// All mounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mounts(BTreeSet<Mount>);

impl Mounts {
    pub(super) fn parse(mountinfo: &[u8]) -> Mounts {
        Mounts(mountinfo.split(|byte| *byte == b'\n').filter_map(mount).collect())
    }

    /// Where something was mounted or unmounted since `before`.
    pub(super) fn changed_since(&self, before: &Mounts) -> BTreeSet<PathBuf> {
        self.0.symmetric_difference(&before.0).map(|mount| mount.point.clone()).collect()
    }
}

fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = fields.next()?.to_vec();
    let _parent = fields.next()?;
    let device = fields.next()?.to_vec();
    let root = fields.next()?.to_vec();
    let point = PathBuf::from(OsString::from_vec(unescaped(fields.next()?)));
    Some(Mount { point, id, device, root })
}

/// Spaces, tabs, newlines and backslashes stand as `\` and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit));
        let value = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match value {
            Some(value) if *first == b'\\' => {
                bytes.push(value);
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &[u8] = b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        30 22 0:25 / /srv/a\\040b rw - tmpfs none rw\n";

    #[test]
    fn only_what_was_mounted_or_unmounted_has_changed() {
        let before = Mounts::parse(BEFORE);
        assert_eq!(before.changed_since(&before), BTreeSet::new());
        // Options may change; that moves no directory.
        let text = String::from_utf8(BEFORE.to_vec()).unwrap();
        let ro = Mounts::parse(text.replace("rw", "ro").as_bytes());
        assert_eq!(ro.changed_since(&before), BTreeSet::new());
        let gone = Mounts::parse(text.lines().next().unwrap().as_bytes());
        assert_eq!(gone.changed_since(&before), [PathBuf::from("/srv/a b")].into());
        // Unmounted and mounted again between two looks: another mount.
        let again = Mounts::parse(text.replace("30 22", "31 22").as_bytes());
        assert_eq!(again.changed_since(&before), [PathBuf::from("/srv/a b")].into());
        let over = Mounts::parse(format!("{text}40 22 0:31 / /srv rw - tmpfs n rw\n").as_bytes());
        assert_eq!(over.changed_since(&before), [PathBuf::from("/srv")].into());
    }

    #[test]
    fn names_are_read_as_they_are() {
        assert_eq!(unescaped(b"/a\\040\\134b\\x\\9"), b"/a \\b\\x\\9");
    }
}
