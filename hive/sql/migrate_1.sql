-- From version 1 to 2: memory counts when a job is claimed; a person may hold and scale the queue.

ALTER TABLE jobs ADD COLUMN memory_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET memory_bytes = coalesce(json_extract(work, '$.limits.memory_bytes'), 0);
CREATE TABLE queue_control (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
