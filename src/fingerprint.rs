//! What one `statx` tells about a file (pure). An equal fingerprint means an unchanged file.

/// Size, times and inode of a regular file. Never the device number, which changes with reboots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Bytes.
    pub size: u64,
    /// Last change of the content, nanoseconds since the Unix epoch.
    pub mtime_ns: i64,
    /// Last change of content or attributes, nanoseconds since the Unix epoch. Nobody can set it back.
    pub ctime_ns: i64,
    /// Number of the inode in its filesystem.
    pub inode: u64,
}
