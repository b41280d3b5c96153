-- Version 4: that a directory cannot be read here, and that it cannot be made on the remote, are two things; and
-- indexes that serve the order in which directories are asked for.

-- Directories that could not be listed, or not completely: what lies in them is not known.
CREATE TABLE unreadable (
    dir_id      INTEGER PRIMARY KEY REFERENCES dir (id),
    message     TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    first_at_ms INTEGER NOT NULL,
    last_at_ms  INTEGER NOT NULL
) STRICT;

-- Until now both stood in `trouble`, under the empty name, and overwrote one another.
INSERT INTO unreadable (dir_id, message, attempts, first_at_ms, last_at_ms)
SELECT dir_id, message, attempts, first_at_ms, last_at_ms FROM trouble
 WHERE name = x'' AND class = 'local' AND dir_id IN (SELECT id FROM dir);
DELETE FROM trouble WHERE name = x'' AND class = 'local';

-- The directories of a directory, a range of names at a time.
DROP INDEX dir_parent;
CREATE INDEX dir_parent_path ON dir (parent_id, path);
-- Directories to be made, in the order in which they are: without those that wait for a change
-- (9223372036854775807 is never).
CREATE INDEX dir_wanted ON dir (mirror_id, path, next_at_ms)
 WHERE next_at_ms IS NOT NULL AND next_at_ms < 9223372036854775807;
