//! Which filesystems tell of changes (shell): a table of numbers from `statfs(2)`.

use std::os::fd::{AsFd, BorrowedFd};

/// Filesystems whose inodes and ctimes are not the same from one look to the next: NFS, SMB, CIFS,
/// SMB2, FUSE, 9p, Ceph, AFS (the numbers are those of `statfs(2)`).
pub(super) const UNSTABLE: &[u64] =
    &[0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x6573_5546, 0x0102_1997, 0x00c3_6400, 0x5346_414f];

/// Filesystems of several machines, or of the other side of a virtual machine: the kernel tells only of what this
/// machine changes. Those whose inodes mean nothing either stand in [`UNSTABLE`].
const SHARED: &[u32] = &[
    0x7375_7245, // Coda
    0x1983_0326, // BeeGFS
    0x0116_1970, // GFS
    0x4750_4653, // GPFS
    0x0131_11a8, // Ibrix
    0x6b41_4653, // kAFS
    0x0bd0_0bd0, // Lustre
    0x564c,      // NCP
    0x7461_636f, // OCFS2
    0x2003_0528, // OrangeFS
    0xaad7_aaea, // PanFS
    0x7c7c_6673, // Parallels
    0xbeef_dead, // SNFS
    0x786f_4256, // VirtualBox
    0xbacb_acbc, // VMware
];

/// The number of the filesystem that something lies on, from what is open.
pub(super) fn magic(fd: impl AsFd) -> rustix::io::Result<u32> {
    // Some systems sign-extend the number.
    let kind = rustix::fs::fstatfs(fd)?.f_type;
    Ok(u32::try_from(i128::from(kind) & 0xffff_ffff).unwrap_or(0))
}

/// Whether the kernel tells of all changes in an open directory.
#[must_use]
pub fn fd_gives_hints(fd: BorrowedFd<'_>) -> bool {
    magic(fd).is_ok_and(gives_hints)
}

/// Whether hints come from a directory on such a filesystem.
pub(super) fn gives_hints(magic: u32) -> bool {
    !UNSTABLE.contains(&u64::from(magic)) && !SHARED.contains(&magic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_change_unseen_is_not_watched() {
        for local in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1] {
            assert!(gives_hints(local), "{local:#x}");
        }
        for remote in [0x6969, 0xff53_4d42, 0x6573_5546, 0x0bd0_0bd0, 0x0102_1997] {
            assert!(!gives_hints(remote), "{remote:#x}");
        }
        assert!(SHARED.iter().all(|kind| !UNSTABLE.contains(&u64::from(*kind))));
    }

    #[test]
    fn the_number_is_that_of_where_it_lies() {
        let proc = std::fs::File::open("/proc").unwrap();
        assert_eq!(magic(&proc), Ok(0x9fa0));
    }
}
