-- name: insert
-- A new job at the end of its priority.
INSERT INTO jobs (name, version, build_key, state, priority, cpus, memory_bytes, build, work, created_at)
VALUES (:name, :version, :build_key, 'queued', :priority, :cpus, :memory_bytes, :build, :work, :now)
RETURNING id;

-- name: number_from
-- In a database that has had no job yet: the first will be the one after :last.
INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', :last);

-- name: insert_need
INSERT OR IGNORE INTO job_needs (job_id, needs_id) VALUES (:job_id, :needs_id);

-- name: live_by_key
-- The job that is building this key, if one is.
SELECT * FROM jobs WHERE build_key = :build_key AND finished_at IS NULL;

-- name: built_since
-- The job that has built this key since an event.
SELECT j.* FROM job_events e JOIN jobs j ON j.id = e.job_id
WHERE e.id > :as_of AND e.event = 'succeed' AND j.build_key = :build_key AND j.state = 'succeeded'
ORDER BY e.id DESC LIMIT 1;

-- name: newest_event
SELECT max(id) AS id FROM job_events;

-- name: claim
-- The next job that may start: due, nothing it needs outstanding, within the free cores, memory and GPUs. Of the first of each
-- priority the one that comes first when every :ageing_s of waiting count as one priority more. What does not fit is
-- overtaken by what does, for :patience_s; from then on all others wait for it. Due is also what would have to wait
-- longer than any pause: the clock was put back since.
WITH first AS (
    SELECT j.*, j.cpus <= :free_cpus AND j.memory_bytes <= :free_memory_bytes
        AND (:free_gpus > 0 OR json_extract(j.build, '$.device') = 'cpu') AS fits
    FROM (VALUES (0), (1), (2)) AS p
    JOIN jobs j ON j.id = (
        SELECT id FROM jobs r
        WHERE state = 'queued' AND finished_at IS NULL AND priority = p.column1
          AND not_before NOT BETWEEN :now AND :now + :longest_pause_s
          AND NOT EXISTS (
              SELECT 1 FROM job_needs n JOIN jobs d ON d.id = n.needs_id
              WHERE n.job_id = r.id AND d.state <> 'succeeded')
        ORDER BY id LIMIT 1))
UPDATE jobs
SET state = 'running', attempt = attempt + 1, started_at = :now, failure = NULL
WHERE id = (
    SELECT head.id
    FROM first JOIN jobs head ON head.id = iif(first.fits, first.id, (
        SELECT id FROM jobs r
        WHERE state = 'queued' AND finished_at IS NULL AND priority = first.priority AND id > first.id
          AND not_before NOT BETWEEN :now AND :now + :longest_pause_s
          AND cpus <= :free_cpus AND memory_bytes <= :free_memory_bytes
          AND (:free_gpus > 0 OR json_extract(build, '$.device') = 'cpu')
          AND NOT EXISTS (
              SELECT 1 FROM job_needs n JOIN jobs d ON d.id = n.needs_id
              WHERE n.job_id = r.id AND d.state <> 'succeeded')
        ORDER BY id LIMIT 1))
    WHERE NOT EXISTS (SELECT 1 FROM first WHERE NOT fits AND created_at < :now - :patience_s)
    ORDER BY head.priority - (:now - head.created_at) / :ageing_s, head.id LIMIT 1)
RETURNING *;

-- name: transition
-- Zero rows changed: somebody else was faster, or the attempt is stale.
UPDATE jobs
SET state = :target, charged = CASE WHEN :asked_again THEN 0 ELSE charged + :charge END, not_before = :not_before,
    finished_at = :finished_at, failure = :failure, artifact = coalesce(:artifact, artifact)
WHERE id = :job_id AND state = :origin AND attempt = :attempt
RETURNING priority, charged, artifact;

-- name: tries
-- Attempts since a person last asked for the job.
SELECT attempt - coalesce(
    (SELECT max(e.attempt) FROM job_events e WHERE e.job_id = :job_id AND e.event = 'requeue'), 0) AS tries
FROM jobs WHERE id = :job_id;

-- name: reprioritise
UPDATE jobs SET priority = :priority WHERE id = :job_id AND state = 'queued' RETURNING *;

-- name: control
SELECT name, value FROM queue_control;

-- name: set_control
INSERT INTO queue_control (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE value <> excluded.value;

-- name: build_times
-- How long the newest builds here of a model in this profile took, with these parameters first.
SELECT wall_s FROM artifacts
WHERE name = :name AND json_extract(build, '$.profile') = :profile AND wall_s > 0
ORDER BY json_extract(build, '$.params') = json(:params) DESC, created_at DESC LIMIT 3;

-- name: event
INSERT INTO job_events (job_id, attempt, at, event, detail) VALUES (:job_id, :attempt, :now, :event, :detail);

-- name: events
SELECT job_id, attempt, at, event, detail FROM (
    SELECT job_id, attempt, started_at AS at, 'claim' AS event, '' AS detail, 0 AS id FROM attempts
    WHERE job_id = :job_id
    UNION ALL SELECT job_id, attempt, at, event, detail, id FROM job_events WHERE job_id = :job_id)
ORDER BY attempt, id;

-- name: newest_events
-- An attempt that began lately still runs, or has ended later still.
WITH newest AS (SELECT * FROM job_events ORDER BY id DESC LIMIT :limit),
    tried AS (
        SELECT job_id, attempt FROM newest
        UNION SELECT id, attempt FROM jobs WHERE priority IN (0, 1, 2) AND state = 'running' AND finished_at IS NULL),
    told AS (
        SELECT id, at, job_id, attempt, event, detail FROM newest
        UNION ALL SELECT 0, a.started_at, a.job_id, a.attempt, 'claim', ''
        FROM tried t CROSS JOIN attempts a ON a.job_id = t.job_id AND a.attempt = t.attempt)
SELECT t.at, t.job_id, j.name, t.attempt, t.event, t.detail
FROM told t JOIN jobs j ON j.id = t.job_id ORDER BY t.at DESC, t.id DESC LIMIT :limit;

-- name: begin_attempt
INSERT INTO attempts (job_id, attempt, started_at) VALUES (:job_id, :attempt, :now);

-- name: attempt_started
-- How a later supervisor finds the runner again.
UPDATE attempts SET runner = :runner, isolation = :isolation, handle = :handle
WHERE job_id = :job_id AND attempt = :attempt;

-- name: end_attempt
UPDATE attempts
SET ended_at = :now, outcome = :outcome, message = :message, peak_memory_bytes = :peak_memory_bytes, cpu_s = :cpu_s
WHERE job_id = :job_id AND attempt = :attempt AND ended_at IS NULL;

-- name: attempts
SELECT * FROM attempts WHERE job_id = :job_id ORDER BY attempt;

-- name: by_id
SELECT * FROM jobs WHERE id = :job_id;

-- name: running
SELECT * FROM jobs WHERE priority IN (0, 1, 2) AND state = 'running' AND finished_at IS NULL ORDER BY id;

-- name: given_up
-- Cancelled after their runner had begun, which may still be at work if no supervisor was there to stop it.
SELECT * FROM jobs WHERE state = 'cancelled' AND attempt > 0 ORDER BY finished_at DESC LIMIT :limit;

-- name: given_up_builds
SELECT * FROM jobs WHERE build_key = :build_key AND state = 'cancelled' AND attempt > 0 ORDER BY id;

-- name: newest_by_key
SELECT * FROM jobs WHERE build_key = :build_key ORDER BY id DESC LIMIT 1;

-- name: waiting
-- In the order of the index; with + the planner does not take the state for a constant, which would spoil that order.
SELECT * FROM jobs WHERE +state = 'queued' AND finished_at IS NULL ORDER BY priority, state DESC, id LIMIT :limit;

-- name: anything_waits
SELECT 1 FROM jobs WHERE state = 'queued' AND finished_at IS NULL LIMIT 1;

-- name: newest
SELECT * FROM jobs ORDER BY id DESC LIMIT :limit;

-- name: newest_finished
SELECT * FROM jobs WHERE state IN ('succeeded', 'failed', 'cancelled') ORDER BY id DESC LIMIT :limit;

-- name: newest_of_name
SELECT * FROM jobs WHERE name = :name ORDER BY id DESC LIMIT 1;

-- name: needs
SELECT d.* FROM job_needs n JOIN jobs d ON d.id = n.needs_id WHERE n.job_id = :job_id ORDER BY d.id;

-- name: needed
SELECT 1 FROM job_needs n JOIN jobs j ON j.id = n.job_id
WHERE n.needs_id = :job_id AND j.state = 'queued' LIMIT 1;

-- name: hopeful_by_key
-- The newest job that has built this key or still may.
SELECT * FROM jobs WHERE build_key = :build_key AND state IN ('queued', 'running', 'succeeded') ORDER BY id DESC LIMIT 1;

-- name: change_need
UPDATE OR IGNORE job_needs SET needs_id = :other_id WHERE job_id = :job_id AND needs_id = :needs_id;

-- name: stranded
-- Waiting for something that will not come.
SELECT j.*, d.id AS lost_id, d.name AS lost_name, d.state AS lost_state, d.failure AS lost_failure
FROM jobs j JOIN job_needs n ON n.job_id = j.id JOIN jobs d ON d.id = n.needs_id
WHERE j.priority IN (0, 1, 2) AND j.state = 'queued' AND j.finished_at IS NULL AND d.state IN ('failed', 'cancelled')
GROUP BY j.id;

-- name: stranded_lately
-- The same, of the jobs of which something was told after event :since, and those that need them or are needed by them.
WITH told AS (SELECT DISTINCT job_id FROM job_events WHERE id > :since),
    need AS (
        SELECT n.job_id, n.needs_id FROM told CROSS JOIN job_needs n ON n.needs_id = told.job_id
        UNION SELECT n.job_id, n.needs_id FROM told CROSS JOIN job_needs n ON n.job_id = told.job_id)
SELECT j.*, d.id AS lost_id, d.name AS lost_name, d.state AS lost_state, d.failure AS lost_failure
FROM need CROSS JOIN jobs d ON d.id = need.needs_id CROSS JOIN jobs j ON j.id = need.job_id
WHERE d.state IN ('failed', 'cancelled') AND j.state = 'queued' AND j.finished_at IS NULL
GROUP BY j.id;

-- name: totals
-- How many jobs are in each state.
WITH running AS (
    SELECT count(*) AS jobs FROM jobs WHERE priority IN (0, 1, 2) AND state = 'running' AND finished_at IS NULL)
SELECT state, jobs FROM job_totals WHERE state <> 'live'
UNION ALL SELECT 'queued', t.jobs - r.jobs FROM job_totals t, running r WHERE t.state = 'live'
UNION ALL SELECT 'running', jobs FROM running;
