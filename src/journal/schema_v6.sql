-- Version 6: large files are sent in parts, and what was read and sent of them survives a restart.

-- Bytes of each part but the last; NULL: one form takes all.
ALTER TABLE upload ADD COLUMN part_size INTEGER CHECK (part_size > 0);

-- Parts of started uploads that were read.
CREATE TABLE part (
    confirm_key TEXT    NOT NULL,
    number      INTEGER NOT NULL CHECK (number > 0),
    -- Of this part.
    crc64       INTEGER NOT NULL,
    -- The chained hash of the file up to the end of this part.
    full_hash   BLOB    NOT NULL CHECK (length(full_hash) = 32),
    -- 1: COS has it, as far as we were told.
    sent        INTEGER NOT NULL DEFAULT 0 CHECK (sent IN (0, 1)),
    PRIMARY KEY (confirm_key, number)
) STRICT, WITHOUT ROWID;

-- When a directory was made on the remote, while its copy is being moved: until the end of that is known, created_at_ms
-- says nothing.
ALTER TABLE dir ADD COLUMN created_before_ms INTEGER;

-- Uploads of mirrors that are no longer configured, or lead elsewhere now: to be cancelled.
CREATE TABLE abandoned (
    confirm_key TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TRIGGER upload_over AFTER DELETE ON upload
BEGIN
    DELETE FROM part WHERE confirm_key = OLD.confirm_key;
END;
