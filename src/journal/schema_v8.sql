-- Version 8: which filesystem was mounted at a directory, so that another one in its place is noticed.
--
-- The number that the system has for it, as for the root; 0: nothing was mounted there, or nobody knows.
ALTER TABLE dir ADD COLUMN fsid INTEGER NOT NULL DEFAULT 0;
