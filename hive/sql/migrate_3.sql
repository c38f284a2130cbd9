-- From version 3 to 4: what claims and ends a job touches fewer pages.

DROP INDEX jobs_live_key;
DROP INDEX jobs_waiting;
DROP INDEX jobs_running;
CREATE UNIQUE INDEX jobs_live_key ON jobs (build_key) WHERE finished_at IS NULL;
CREATE INDEX jobs_live ON jobs (state, priority, id) WHERE finished_at IS NULL;

DROP TRIGGER jobs_counted_in;
DROP TRIGGER jobs_counted_out;
DROP TRIGGER jobs_counted_over;
INSERT INTO job_totals SELECT 'live', sum(jobs) FROM job_totals WHERE state IN ('queued', 'running');
DELETE FROM job_totals WHERE state IN ('queued', 'running');
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
