-- From version 4 to 5: a claim touches fewer pages. That an attempt began is told by its own row alone.

DROP INDEX jobs_live;
CREATE INDEX jobs_live ON jobs (priority, state DESC, id) WHERE finished_at IS NULL;
DELETE FROM job_events WHERE event = 'claim' AND (job_id, attempt) IN (SELECT job_id, attempt FROM attempts);
CREATE INDEX job_needs_needed ON job_needs (needs_id);
