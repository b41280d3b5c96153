-- Version 3: what may have become visible is not forgotten, and large files are found without reading the small ones.

-- 1 while an attempt that nobody heard the end of may have replaced the confirmed content on the remote: then the
-- confirmed state proves nothing.
ALTER TABLE file ADD COLUMN unsure INTEGER NOT NULL DEFAULT 0 CHECK (unsure IN (0, 1));

-- 8 MiB: see LARGE in the engine. A query must say the same number for this index to be used.
CREATE INDEX file_due_large ON file (next_at_ms) WHERE next_at_ms IS NOT NULL AND size >= 8388608;
