//! What kind of filesystem a folder lies on.

use std::path::Path;

use crate::tree::Root;

/// A filesystem, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filesystem {
    /// Its name, for people.
    pub(super) name: &'static str,
    /// Whether it is the machine's own: neither on the network nor in a program.
    pub(super) local: bool,
    /// Whether the kernel tells of all changes.
    pub(super) gives_hints: bool,
}

/// The numbers of `statfs(2)` that people have.
const NAMES: &[(u64, &str)] = &[
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x2fc1_2fc1, "zfs"),
    (0xf2f5_2010, "f2fs"),
    (0xca45_1a4e, "bcachefs"),
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
    (0x794c_7630, "overlayfs"),
    (0x4d44, "vfat"),
    (0x2011_bab0, "exfat"),
    (0x7366_746e, "ntfs"),
    (0x7371_7368, "squashfs"),
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "ceph"),
    (0x5346_414f, "afs"),
    (0x0bd0_0bd0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x7461_636f, "ocfs2"),
    (0x0116_1970, "gfs2"),
    (0x1983_0326, "beegfs"),
    (0x786f_4256, "vboxsf"),
];

fn name(kind: u64) -> &'static str {
    NAMES.iter().find(|(known, _)| *known == kind).map_or("an unknown filesystem", |(_, name)| name)
}

/// Where the folder at `path` lies; `None`: it cannot be looked at.
pub(super) fn of(path: &Path) -> Option<Filesystem> {
    // The room that reads the folder decides whether it trusts the filesystem; this only names it.
    let root = Root::open(path).ok()?;
    let kind = rustix::fs::statfs(path).ok()?.f_type;
    // Some systems sign-extend the number.
    let kind = u64::from(u32::try_from(kind.cast_unsigned() & 0xffff_ffff).unwrap_or(0));
    let (local, gives_hints) = (root.is_stable(), root.gives_hints());
    Some(Filesystem { name: name(kind), local, gives_hints })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_stands_twice() {
        for (at, (kind, _)) in NAMES.iter().enumerate() {
            assert!(!NAMES.iter().skip(at + 1).any(|(other, _)| other == kind), "{kind:#x}");
        }
        assert_eq!(name(0xef53), "ext4");
        assert_eq!(name(1), "an unknown filesystem");
    }

    #[test]
    fn a_temporary_folder_is_local() {
        let dir = tempfile::tempdir().unwrap();
        assert!(of(dir.path()).is_some_and(|filesystem| filesystem.local));
        assert_eq!(of(&dir.path().join("none")), None);
    }
}
