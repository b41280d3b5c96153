//! The way to what lies below a root (shell): from the root inwards, one directory after the other.
//!
//! Each step opens one name and follows no link, so that nobody who moves things about meanwhile can lead it outside,
//! and a path may be longer than the kernel takes at once. A link is followed by finding out where it leads
//! (`follow`) and going there in the same way.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::entry::{Absent, DirMark, Kind, Skip, kind};
use super::follow::{self, Lead};
use super::root::{HANDLE, Root, is_plain, open_name};
use super::twins;
use crate::relpath::RelPath;

/// Links to directories on the way to one entry. What more of them lead to lies below the root anyway, and is mirrored
/// where it lies; directories full of links to each other would be mirrored in every order.
const JUMPS: usize = 4;
/// What a link leads to may become another link while one looks.
const TRIES: usize = 3;

/// A place was not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Astray {
    /// The system says no.
    Errno(Errno),
    /// A link that is not followed, or a directory that holds itself, stands on the way.
    Barred(Skip),
}

impl From<Errno> for Astray {
    fn from(errno: Errno) -> Astray {
        Astray::Errno(errno)
    }
}

impl From<Astray> for Absent {
    /// A link on the way says nothing about what was behind it: that is not gone.
    fn from(astray: Astray) -> Absent {
        match astray {
            Astray::Errno(errno) => Absent::of(errno),
            Astray::Barred(_) => {
                Absent::Unreadable("a link that is not followed stands on the way".to_owned())
            }
        }
    }
}

/// Which directory it is, while it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
}

impl Mark {
    fn of(stat: &Stat) -> Mark {
        Mark { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// A directory below a root, and how it was reached.
#[derive(Debug)]
pub(super) struct Way<'a> {
    root: &'a Root,
    follow: bool,
    fd: OwnedFd,
    /// Its path without links.
    real: RelPath,
    /// The directories on the way, from the root on; it is the last.
    marks: Vec<Mark>,
    /// The real paths of those from which a link led on.
    jumps: Vec<RelPath>,
}

/// What an entry is.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) kind: Kind,
    /// Where it leads, if it is a link that was followed.
    pub(super) lead: Option<Lead>,
    /// The file, if it has other names, and how many it has.
    pub(super) twin: Option<(twins::File, u64)>,
}

impl<'a> Way<'a> {
    /// At the root.
    pub(super) fn at_root(root: &'a Root, follow: bool) -> Result<Way<'a>, Errno> {
        let fd = rustix::io::fcntl_dupfd_cloexec(root.fd(), 0)?;
        let mark = Mark { device: root.device(), inode: root.id().inode };
        Ok(Way { root, follow, fd, real: RelPath::root(), marks: vec![mark], jumps: Vec::new() })
    }

    /// To the directory `path`.
    pub(super) fn to(root: &'a Root, follow: bool, path: &RelPath) -> Result<Way<'a>, Astray> {
        let mut way = Way::at_root(root, follow)?;
        for name in path.segments() {
            way.enter(name)?;
        }
        Ok(way)
    }

    /// Goes into the directory `name`.
    pub(super) fn enter(&mut self, name: &[u8]) -> Result<(), Astray> {
        match open_name(&self.fd, name, HANDLE) {
            Ok(fd) => {
                let mark = Mark::of(&rustix::fs::fstat(&fd)?);
                if self.comes_back(mark) {
                    return Err(Astray::Barred(Skip::Loop));
                }
                self.real = self.real.join(name);
                self.fd = fd;
                self.marks.push(mark);
                Ok(())
            }
            Err(errno @ (Errno::NOTDIR | Errno::LOOP)) => match self.lead(name)? {
                None => Err(Astray::Errno(errno)),
                Some(_) if !self.follow => Err(Astray::Barred(Skip::Symlink)),
                Some(lead) => {
                    let target = lead.end.clone().map_err(Astray::Barred)?;
                    self.jump(target)
                }
            },
            Err(errno) => Err(Astray::Errno(errno)),
        }
    }

    fn jump(&mut self, target: RelPath) -> Result<(), Astray> {
        let fd = self.root.open_dir(&target)?;
        let mark = Mark::of(&rustix::fs::fstat(&fd)?);
        if self.jumps_back(&target, mark) {
            return Err(Astray::Barred(Skip::SymlinkLoop));
        }
        self.jumps.push(std::mem::replace(&mut self.real, target));
        self.fd = fd;
        self.marks.push(mark);
        Ok(())
    }

    /// Whether a directory is one of those that hold this one. Where inodes mean nothing, that cannot be told.
    fn comes_back(&self, mark: Mark) -> bool {
        self.root.is_stable() && self.marks.contains(&mark)
    }

    /// Whether a link from here to the directory `target` leads back to where it came from, or is one too many.
    fn jumps_back(&self, target: &RelPath, mark: Mark) -> bool {
        self.jumps.len() >= JUMPS
            || self.comes_back(mark)
            || self.real.is_within(target)
            || self.jumps.iter().any(|from| from.is_within(target))
    }

    /// The directory, open for reading its names.
    pub(super) fn open(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, ".", flags, Mode::empty())
    }

    /// Its path without links.
    pub(super) fn real(&self) -> &RelPath {
        &self.real
    }

    /// What the entry `name` is, rules aside. `heed` hears where a link leads before that is looked at, so that
    /// whatever happens there from then on can be noticed.
    pub(super) fn look(&self, name: &[u8], heed: &mut dyn FnMut(&Lead)) -> Result<Seen, Astray> {
        let stat = stat_in(&self.fd, name)?;
        if !self.follow || FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            let many = stat.st_nlink > 1 && self.root.is_stable();
            let kind = self.kind(&stat, &self.fd, name);
            #[expect(clippy::allow_attributes, reason = "the type of st_nlink differs")]
            #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
            let twin = (many && matches!(kind, Kind::File(_)))
                .then_some(((stat.st_dev, stat.st_ino), stat.st_nlink as u64));
            return Ok(Seen { kind, lead: None, twin });
        }
        let mut kind = Kind::Unknown;
        let mut lead = None;
        for _ in 0..TRIES {
            let Some(found) = self.lead(name)? else { break };
            heed(&found);
            let there = self.behind(&found)?;
            lead = Some(found);
            if let Some(there) = there {
                kind = there;
                break;
            }
        }
        Ok(Seen { kind, lead, twin: None })
    }

    /// What stands where a link leads; `None`: another link by now.
    fn behind(&self, lead: &Lead) -> Result<Option<Kind>, Astray> {
        let target = match &lead.end {
            Ok(target) => target,
            Err(skip) => return Ok(Some(Kind::Skipped(*skip))),
        };
        let dangling = Ok(Some(Kind::Skipped(Skip::SymlinkDangling)));
        let Some((dir, name)) = target.split() else {
            return Ok(Some(Kind::Skipped(Skip::SymlinkLoop)));
        };
        let found = self.root.open_dir(&dir).and_then(|fd| Ok((stat_in(&fd, name)?, fd)));
        let (stat, holder) = match found {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => return dangling,
            Err(errno) => return Err(Astray::Errno(errno)),
        };
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => None,
            FileType::Directory if self.jumps_back(target, Mark::of(&stat)) => {
                Some(Kind::Skipped(Skip::SymlinkLoop))
            }
            _ => Some(self.kind(&stat, &holder, name)),
        })
    }

    /// `stat` is of the entry `name` in the directory `dir`.
    fn kind(&self, stat: &Stat, dir: &OwnedFd, name: &[u8]) -> Kind {
        let holder = self.marks.last().map_or(stat.st_dev, |mark| mark.device);
        match kind(stat, self.root.is_stable(), holder, || is_mount_point(dir, name)) {
            Kind::Dir(_) if self.comes_back(Mark::of(stat)) => Kind::Skipped(Skip::Loop),
            Kind::Dir(mark) if mark.mounted => {
                Kind::Dir(DirMark { fsid: filesystem_at(dir, name).unwrap_or(0), ..mark })
            }
            kind => kind,
        }
    }

    /// Where the link `name` leads; `None`: it is no link.
    fn lead(&self, name: &[u8]) -> Result<Option<Lead>, Errno> {
        match rustix::fs::readlinkat(&self.fd, name, Vec::new()) {
            Ok(text) if self.follow => {
                follow::lead(self.root, &self.real, name, text.as_bytes()).map(Some)
            }
            Ok(_) => Ok(Some(Lead { passed: Vec::new(), end: Err(Skip::Symlink) })),
            Err(Errno::INVAL) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Opens the regular file `name`. Nothing else is ever opened: a FIFO would wake who waits for a reader, a device
    /// may do anything. `None`: it is something else.
    pub(super) fn open_file(&self, name: &[u8]) -> Result<Option<File>, Astray> {
        let handle = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut fd = open_name(&self.fd, name, handle)?;
        let mut type_of = file_type(&fd)?;
        let mut holder = None;
        let mut last = name.to_vec();
        if type_of == FileType::Symlink {
            let Some(lead) = self.lead(name)? else { return Ok(None) };
            let target = lead.end.map_err(Astray::Barred)?;
            let Some((dir, name)) = target.split() else { return Ok(None) };
            let dir = self.root.open_dir(&dir)?;
            fd = open_name(&dir, name, handle)?;
            type_of = file_type(&fd)?;
            last = name.to_vec();
            holder = Some(dir);
        }
        if type_of != FileType::RegularFile {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        // The very file that was looked at.
        let itself = format!("/proc/self/fd/{}", fd.as_raw_fd());
        match rustix::fs::openat(CWD, itself, flags, Mode::empty()) {
            Ok(file) => Ok(Some(File::from(file))),
            // There is no /proc, or the server of a network filesystem has another file there by now: by its name, and
            // whoever reads looks again.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::STALE) => {
                let by_name = open_name(holder.as_ref().unwrap_or(&self.fd), &last, flags);
                Ok(Some(File::from(by_name?)))
            }
            Err(errno) => Err(Astray::Errno(errno)),
        }
    }
}

/// Whether something is mounted at the entry `name`, of whatever filesystem. A kernel older than 5.8 does not say; then only
/// another device tells of a mount.
fn is_mount_point(dir: &OwnedFd, name: &[u8]) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(dir, name, flags, StatxFlags::TYPE)
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// The number of the filesystem at the directory `name`.
fn filesystem_at(dir: &OwnedFd, name: &[u8]) -> Result<u64, Errno> {
    Ok(rustix::fs::fstatvfs(open_name(dir, name, HANDLE)?)?.f_fsid)
}

fn file_type(fd: &OwnedFd) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode))
}

/// Looks at one entry by its directory.
fn stat_in(dir: &OwnedFd, name: &[u8]) -> Result<Stat, Errno> {
    if !is_plain(name) {
        return Err(Errno::NOENT);
    }
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}
