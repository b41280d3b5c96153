-- Version 2: what the remote already holds is adopted instead of sent again, after a lost or damaged journal and
-- at a first run.

-- 1 from the moment a mirror is new to the journal until everything below its root was compared with the remote.
ALTER TABLE mirror ADD COLUMN adopting INTEGER NOT NULL DEFAULT 0 CHECK (adopting IN (0, 1));

-- When the remote was asked what it holds in the directory; NULL: it was not.
ALTER TABLE dir ADD COLUMN listed_at_ms INTEGER;

-- What a listing of the remote showed, for entries that are not known to be mirrored yet.
CREATE TABLE remote (
    dir_id INTEGER NOT NULL REFERENCES dir (id),
    name   BLOB    NOT NULL,
    -- Both NULL: a directory, or a file of which the service does not say enough to compare.
    size   INTEGER CHECK (size >= 0),
    crc64  INTEGER,
    PRIMARY KEY (dir_id, name)
) STRICT, WITHOUT ROWID;
