-- Version 1. A column never changes its meaning; a new version is a new file and a new migration.
-- Times are milliseconds since the Unix epoch unless the name says otherwise. Names and paths are bytes.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE mirror (
    id            INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    local         BLOB    NOT NULL,
    -- Where the copies go: endpoint, library, space and folder. Another target is another set of copies.
    target        TEXT    NOT NULL,
    -- Identity of the root; NULL before the first scan.
    root_inode    INTEGER,
    root_fsid     INTEGER,
    -- End of the last complete scan.
    scanned_at_ms INTEGER,
    -- 1 while something was missed and a scan must heal it.
    dirty         INTEGER NOT NULL DEFAULT 1 CHECK (dirty IN (0, 1)),
    watched       INTEGER NOT NULL DEFAULT 0,
    polled        INTEGER NOT NULL DEFAULT 0,
    overflows     INTEGER NOT NULL DEFAULT 0,
    missed        INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE dir (
    id            INTEGER PRIMARY KEY,
    mirror_id     INTEGER NOT NULL REFERENCES mirror (id),
    -- NULL for the root of a mirror, whose path is empty.
    parent_id     INTEGER REFERENCES dir (id),
    path          BLOB    NOT NULL,
    -- When the service acknowledged it; NULL: not known to exist on the remote.
    created_at_ms INTEGER,
    -- When to create it; NULL: nothing to do.
    next_at_ms    INTEGER,
    gone_at_ms    INTEGER,
    UNIQUE (mirror_id, path)
) STRICT;

CREATE INDEX dir_parent ON dir (parent_id);
CREATE INDEX dir_due ON dir (next_at_ms) WHERE next_at_ms IS NOT NULL;

CREATE TABLE file (
    dir_id             INTEGER NOT NULL REFERENCES dir (id),
    name               BLOB    NOT NULL,
    -- What was last seen on disk.
    size               INTEGER NOT NULL CHECK (size >= 0),
    mtime_ns           INTEGER NOT NULL,
    ctime_ns           INTEGER NOT NULL,
    inode              INTEGER NOT NULL,
    -- What the service last acknowledged; all NULL: never.
    confirmed_size     INTEGER CHECK (confirmed_size >= 0),
    confirmed_mtime_ns INTEGER,
    confirmed_ctime_ns INTEGER,
    confirmed_inode    INTEGER,
    full_hash          BLOB    CHECK (length(full_hash) = 32),
    crc64              INTEGER,
    confirmed_at_ms    INTEGER,
    -- Since when it is not mirrored; NULL: it is.
    changed_at_ms      INTEGER,
    -- When to act (settled, retry, or never for a blocked one); NULL: nothing to do.
    next_at_ms         INTEGER,
    gone_at_ms         INTEGER,
    PRIMARY KEY (dir_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX file_due ON file (next_at_ms) WHERE next_at_ms IS NOT NULL;

-- One row per started upload, from before its first byte leaves until it is confirmed or given up.
CREATE TABLE upload (
    dir_id        INTEGER NOT NULL,
    name          BLOB    NOT NULL,
    confirm_key   TEXT    NOT NULL,
    stage         TEXT    NOT NULL CHECK (stage IN ('started', 'posted')),
    started_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    size          INTEGER NOT NULL CHECK (size >= 0),
    mtime_ns      INTEGER NOT NULL,
    ctime_ns      INTEGER NOT NULL,
    inode         INTEGER NOT NULL,
    full_hash     BLOB    CHECK (length(full_hash) = 32),
    crc64         INTEGER,
    PRIMARY KEY (dir_id, name),
    CHECK (stage = 'started' OR (full_hash IS NOT NULL AND crc64 IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- What went wrong with an entry; an empty name is the directory itself.
CREATE TABLE trouble (
    dir_id      INTEGER NOT NULL,
    name        BLOB    NOT NULL,
    class       TEXT    NOT NULL,
    code        TEXT,
    message     TEXT    NOT NULL,
    request_id  TEXT,
    attempts    INTEGER NOT NULL,
    -- 1: not tried again until the file, the configuration or a person changes something.
    blocked     INTEGER NOT NULL CHECK (blocked IN (0, 1)),
    first_at_ms INTEGER NOT NULL,
    last_at_ms  INTEGER NOT NULL,
    PRIMARY KEY (dir_id, name)
) STRICT, WITHOUT ROWID;

-- What is on disk and not mirrored on purpose.
CREATE TABLE skipped (
    dir_id INTEGER NOT NULL,
    name   BLOB    NOT NULL,
    reason TEXT    NOT NULL,
    PRIMARY KEY (dir_id, name)
) STRICT, WITHOUT ROWID;

-- What stops more than one entry: offline, refused credentials, a full space, a missing root.
CREATE TABLE condition (
    mirror_id INTEGER NOT NULL, -- 0: the whole daemon
    kind      TEXT    NOT NULL,
    since_ms  INTEGER NOT NULL,
    message   TEXT    NOT NULL,
    PRIMARY KEY (mirror_id, kind)
) STRICT, WITHOUT ROWID;

-- What happened, newest last; old rows are pruned.
CREATE TABLE activity (
    id        INTEGER PRIMARY KEY,
    at_ms     INTEGER NOT NULL,
    mirror_id INTEGER NOT NULL,
    path      BLOB    NOT NULL,
    what      TEXT    NOT NULL,
    detail    TEXT    NOT NULL
) STRICT;
