-- Version 5. A test shows that the migrations end here.

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    build_key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 2),
    attempt INTEGER NOT NULL DEFAULT 0,
    charged INTEGER NOT NULL DEFAULT 0,
    cpus INTEGER NOT NULL,
    memory_bytes INTEGER NOT NULL DEFAULT 0,
    build TEXT NOT NULL,
    work TEXT NOT NULL,
    created_at REAL NOT NULL,
    not_before REAL NOT NULL DEFAULT 0,
    started_at REAL,
    finished_at REAL,
    failure TEXT,
    artifact TEXT
) STRICT;

-- at most one live job a build key: the second install attaches to the first. A job is live while finished_at is NULL
CREATE UNIQUE INDEX jobs_live_key ON jobs (build_key) WHERE finished_at IS NULL;
-- claims look only at what waits, however long queue and history are. What runs stands right before what is claimed next:
-- a claim moves its job within one page
CREATE INDEX jobs_live ON jobs (priority, state DESC, id) WHERE finished_at IS NULL;
CREATE INDEX jobs_key ON jobs (build_key);
CREATE INDEX jobs_name ON jobs (name, id);

CREATE TABLE job_needs (
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    needs_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (job_id, needs_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_needs_needed ON job_needs (needs_id);

CREATE TABLE attempts (
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    started_at REAL NOT NULL,
    runner TEXT NOT NULL DEFAULT '',
    isolation TEXT NOT NULL DEFAULT '',
    handle TEXT NOT NULL DEFAULT '',
    ended_at REAL,
    outcome TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    peak_memory_bytes INTEGER NOT NULL DEFAULT 0,
    cpu_s REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (job_id, attempt)
) STRICT, WITHOUT ROWID;

-- all but the beginning of attempts
CREATE TABLE job_events (
    id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    at REAL NOT NULL,
    event TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX job_events_job ON job_events (job_id, id);

-- how many jobs are over in each way, and how many are not, kept by triggers so that status costs the same after a
-- million jobs
CREATE TABLE job_totals (state TEXT PRIMARY KEY, jobs INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO job_totals VALUES ('live', 0), ('succeeded', 0), ('failed', 0), ('cancelled', 0);
CREATE TRIGGER jobs_counted_in AFTER INSERT ON jobs BEGIN
    UPDATE job_totals SET jobs = jobs + 1 WHERE state = iif(NEW.finished_at IS NULL, 'live', NEW.state);
END;
CREATE TRIGGER jobs_counted_out AFTER DELETE ON jobs BEGIN
    UPDATE job_totals SET jobs = jobs - 1 WHERE state = iif(OLD.finished_at IS NULL, 'live', OLD.state);
END;
CREATE TRIGGER jobs_counted_over AFTER UPDATE OF finished_at ON jobs
WHEN (OLD.finished_at IS NULL) <> (NEW.finished_at IS NULL) BEGIN
    UPDATE job_totals SET jobs = jobs - 1 WHERE state = iif(OLD.finished_at IS NULL, 'live', OLD.state);
    UPDATE job_totals SET jobs = jobs + 1 WHERE state = iif(NEW.finished_at IS NULL, 'live', NEW.state);
END;

-- what a person said about the queue as a whole: see model.QueueControl
CREATE TABLE queue_control (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
    digest TEXT PRIMARY KEY CHECK (digest GLOB 'sha256:*' AND length(digest) = 71),
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    build_key TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    created_at REAL NOT NULL,
    real INTEGER NOT NULL,
    build TEXT NOT NULL,
    metrics TEXT NOT NULL,
    pins TEXT NOT NULL,
    isolation TEXT NOT NULL,
    wall_s REAL NOT NULL,
    depends TEXT NOT NULL DEFAULT '[]',
    determinism TEXT NOT NULL DEFAULT '',
    libraries TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX artifacts_key ON artifacts (build_key);
CREATE INDEX artifacts_name ON artifacts (name);

CREATE TABLE generations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    reason TEXT NOT NULL,
    origin INTEGER -- of a rollback: the generation gone back to
) STRICT;

CREATE TABLE generation_packages (
    generation INTEGER NOT NULL REFERENCES generations (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    artifact TEXT NOT NULL REFERENCES artifacts (digest),
    automatic INTEGER NOT NULL,
    installed_at REAL NOT NULL,
    PRIMARY KEY (generation, name)
) STRICT, WITHOUT ROWID;

-- what is installed is what the newest generation holds
CREATE VIEW packages AS
SELECT p.name, p.version, p.artifact, p.automatic, p.installed_at
FROM generation_packages p
WHERE p.generation = (SELECT max(id) FROM generations);

-- names that upgrade leaves alone
CREATE TABLE pins (name TEXT PRIMARY KEY, at REAL NOT NULL) STRICT, WITHOUT ROWID;

-- where recipes come from, besides the built-in ones, which are at position 0: what is below is searched before them
CREATE TABLE sources (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('folder', 'git')),
    location TEXT NOT NULL,
    ref TEXT NOT NULL DEFAULT '',
    "commit" TEXT NOT NULL DEFAULT ''
) STRICT;
