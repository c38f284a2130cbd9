-- From version 2 to 3: a generation remembers which one it went back to; what an artifact depends on; pins; sources.

ALTER TABLE generations ADD COLUMN origin INTEGER;

ALTER TABLE artifacts ADD COLUMN depends TEXT NOT NULL DEFAULT '[]';
UPDATE artifacts SET depends = (SELECT json_group_array(key) FROM json_each(build, '$.dependencies'));
CREATE INDEX artifacts_name ON artifacts (name);
CREATE TABLE pins (name TEXT PRIMARY KEY, at REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE sources (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('folder', 'git')),
    location TEXT NOT NULL,
    ref TEXT NOT NULL DEFAULT '',
    "commit" TEXT NOT NULL DEFAULT ''
) STRICT;
