//! The names of files that are not finished (pure).

/// Names that programs use while they write or lock, and that nobody wants back. Deliberately short:
/// leaving out too much loses a file, leaving out too little costs an upload. So no `*.tmp`, `*.bak` or `*~`, which
/// people use too, and nothing that holds the only copy of somebody's work after a crash, like `#draft#` of Emacs.
pub const TEMPORARY_NAMES: &[&str] = &[
    // vim, nano
    ".*.sw[opx]",
    // Kate
    ".*.kate-swp",
    // Emacs
    ".#*",
    // LibreOffice, Microsoft Office
    ".~lock.*#",
    "~$*",
    // Atomic saves: GLib, JetBrains, Sublime Text
    ".goutputstream-??????",
    "*___jb_tmp___",
    "*___jb_old___",
    ".subl???.tmp",
    // A file that is open somewhere and was deleted, on NFS, SMB and FUSE
    ".nfs0000*",
    ".smbdelete*",
    ".fuse_hidden*",
    // Downloads that are not complete: Chrome, Firefox and KDE, Opera, WinSCP, aria2, qBittorrent
    "*.crdownload",
    "*.part",
    "*.opdownload",
    "*.filepart",
    "*.aria2",
    "*.!qB",
    // Copies that are not complete: Syncthing, Unison
    ".syncthing.*.tmp",
    "~syncthing~*.tmp",
    ".unison.*.unison.tmp",
];
