-- Version 5: copies follow what is deleted, renamed and moved on disk, and what looks wrong waits for a person.

-- When to delete the copy of a file that is gone; NULL: it is kept, or the file is there.
ALTER TABLE file ADD COLUMN delete_at_ms INTEGER;
ALTER TABLE dir ADD COLUMN delete_at_ms INTEGER;
-- The directory as last seen; NULL: not known, or inodes mean nothing there.
ALTER TABLE dir ADD COLUMN inode INTEGER;
-- 1: another filesystem was mounted there when it was last seen.
ALTER TABLE dir ADD COLUMN mounted INTEGER NOT NULL DEFAULT 0 CHECK (mounted IN (0, 1));
-- The directory whose copy is being moved here: set before the call, until its end is known.
ALTER TABLE dir ADD COLUMN move_from INTEGER;
-- What a person allowed for the copy of a file that is gone: 1: it may be deleted, however many others are; 2: for good.
ALTER TABLE file ADD COLUMN approved INTEGER NOT NULL DEFAULT 0;
-- 1: what is gone is deleted; when that changes, so does what is planned for what was gone before.
ALTER TABLE mirror ADD COLUMN deletes INTEGER NOT NULL DEFAULT 0 CHECK (deletes IN (0, 1));

-- Files that are gone, to be found by a file that looks like one of them.
CREATE INDEX file_gone ON file (inode, size) WHERE gone_at_ms IS NOT NULL;
CREATE INDEX file_delete ON file (delete_at_ms) WHERE delete_at_ms IS NOT NULL;
CREATE INDEX dir_inode ON dir (inode) WHERE inode IS NOT NULL;
CREATE INDEX dir_delete ON dir (mirror_id, path) WHERE delete_at_ms IS NOT NULL;
CREATE INDEX dir_moving ON dir (move_from) WHERE move_from IS NOT NULL;

-- Why deletes wait for a person. A number is never used again: an answer can only mean what was asked.
CREATE TABLE hold (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    mirror_id INTEGER NOT NULL REFERENCES mirror (id),
    kind      TEXT    NOT NULL,
    -- The directory that it is about; the root, unless it is mounted below.
    path      BLOB    NOT NULL,
    since_ms  INTEGER NOT NULL,
    message   TEXT    NOT NULL,
    UNIQUE (mirror_id, kind, path)
) STRICT;
