-- Version 7: a confirmed state that is the one last seen is stored once.
--
-- Where confirmed_at_ms is set and confirmed_size, confirmed_mtime_ns, confirmed_ctime_ns and confirmed_inode are NULL, what
-- was confirmed is what size, mtime_ns, ctime_ns and inode say: some 20 bytes less in nearly every row. A row that has both
-- says what it said before, and is shortened when it is written next.

-- Whether anything could not be read here.
CREATE INDEX trouble_local ON trouble (dir_id) WHERE class = 'local';
