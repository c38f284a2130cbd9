-- From version 4 to 5: the class of machines that gives an artifact's bytes, and the libraries that it was built with. A
-- claim touches fewer pages: that an attempt began is told by its own row alone.

ALTER TABLE artifacts ADD COLUMN determinism TEXT NOT NULL DEFAULT '';
ALTER TABLE artifacts ADD COLUMN libraries TEXT NOT NULL DEFAULT '{}';
DROP INDEX jobs_live;
CREATE INDEX jobs_live ON jobs (priority, state DESC, id) WHERE finished_at IS NULL;
DELETE FROM job_events WHERE event = 'claim' AND (job_id, attempt) IN (SELECT job_id, attempt FROM attempts);
CREATE INDEX job_needs_needed ON job_needs (needs_id);
