"""The build queue: enqueue, claim, apply(event). The only writer of job state.

Each function that changes something is one transaction, and every change of state is a guarded UPDATE: it names the
state and the attempt that it believes in. Nothing changed means that somebody else was first.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable
from typing import Any

from hive_runner.frozen import asdict, replace

from hive import states
from hive.db import Database
from hive.errors import RequestError
from hive.model import PRIORITIES, Attempt, Build, Failure, Happening, Job, JobEvent, QueueControl, Work
from hive.states import Event, JobState

AGEING_S = 1800.0  # of waiting count as much as one priority more
PATIENCE_S = 1800.0  # how long a large job lets smaller ones pass
UNLIMITED = 1 << 62


def job_of(row: dict[str, Any]) -> Job:
    failure = json.loads(row["failure"]) if row["failure"] else None
    return Job(
        id=row["id"],
        name=row["name"],
        version=row["version"],
        build_key=row["build_key"],
        state=JobState(row["state"]),
        priority=row["priority"],
        attempt=row["attempt"],
        charged=row["charged"],
        build=Build.from_json(json.loads(row["build"])),
        work=Work.from_json(json.loads(row["work"])),
        created_at=row["created_at"],
        not_before=row["not_before"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        failure=Failure(**failure) if failure else None,
        artifact=row["artifact"],
    )


def enqueue(
    db: Database,
    builds: Iterable[tuple[Build, Work]],
    priority: int,
    automatic: set[str],
    as_of: int | None = None,
) -> list[Job]:
    """Queue the builds of one plan, in order; a build that is queued or running already is joined, not doubled, and so
    is one that has succeeded since event `as_of`, when the plan was made.

    Each depends on the earlier ones that its build names. `automatic` holds the names nobody asked for by name.
    """
    jobs: list[Job] = []
    now = time.time()
    with db.write():
        for build, work in builds:
            key = build.key
            detail = "automatic" if build.name in automatic else ""
            row = db.one("jobs.live_by_key", build_key=key)
            if row is None and as_of is not None:
                row = db.one("jobs.built_since", build_key=key, as_of=as_of)
            if row is None:
                inserted = db.one(
                    "jobs.insert",
                    name=build.name,
                    version=build.version,
                    build_key=key,
                    priority=priority,
                    cpus=work.limits.cpus,
                    memory_bytes=work.limits.memory_bytes,
                    build=json.dumps(asdict(build)),
                    work=json.dumps(asdict(work)),
                    now=now,
                )
                assert inserted is not None
                job_id = inserted["id"]
                for needed in jobs:
                    if needed.name in build.dependencies:
                        db.run("jobs.insert_need", job_id=job_id, needs_id=needed.id)
                db.run("jobs.event", job_id=job_id, attempt=0, now=now, event="enqueue", detail=detail)
                row = db.one("jobs.by_id", job_id=job_id)
            else:
                db.run("jobs.event", job_id=row["id"], attempt=row["attempt"], now=now, event="join", detail=detail)
                if row["priority"] > priority:
                    row = db.one("jobs.reprioritise", job_id=row["id"], priority=priority) or row
            assert row is not None
            jobs.append(job_of(row))
    return jobs


def claim(
    db: Database, free_cpus: int = UNLIMITED, free_memory_bytes: int = UNLIMITED, free_gpus: int = UNLIMITED
) -> Job | None:
    """Take the next job that may start and begin its attempt, or None."""
    now = time.time()
    with db.write():
        row = db.one(
            "jobs.claim",
            now=now,
            longest_pause_s=states.LONGEST_PAUSE_S,
            free_cpus=free_cpus,
            free_memory_bytes=free_memory_bytes,
            free_gpus=free_gpus,
            ageing_s=AGEING_S,
            patience_s=PATIENCE_S,
        )
        if row is None:
            return None
        db.run("jobs.begin_attempt", job_id=row["id"], attempt=row["attempt"], now=now)
    return job_of(row)


def record_start(db: Database, job: Job, runner: str, isolation: str, handle: str) -> None:
    """Note how the attempt's runner can be found again: while the machine is up."""
    with db.write(durable=False):
        db.run(
            "jobs.attempt_started",
            job_id=job.id,
            attempt=job.attempt,
            runner=runner,
            isolation=isolation,
            handle=handle,
        )


def change(
    db: Database,
    job: Job,
    event: Event,
    failure: Failure | None = None,
    artifact: str | None = None,
    charge: bool = False,
    not_before: float = 0.0,
    peak_memory_bytes: int = 0,
    cpu_s: float = 0.0,
) -> Job | None:
    """Apply `event` to the attempt that `job` shows, inside the caller's transaction. None: it was stale.

    Raises RequestError if no such transition exists.
    """
    target = states.TRANSITIONS.get((job.state, event))
    if target is None:
        raise RequestError(f"job {job.id} is {job.state}", f"a job that is {job.state} cannot {event}")
    now = time.time()
    finished_at = now if target.is_over else None
    row = db.one(
        "jobs.transition",
        job_id=job.id,
        origin=job.state,
        attempt=job.attempt,
        target=target,
        charge=int(charge),
        asked_again=int(event is Event.REQUEUE),
        not_before=not_before,
        finished_at=finished_at,
        failure=json.dumps(asdict(failure)) if failure else None,
        artifact=artifact,
    )
    if row is None:
        return None
    message = failure.message if failure else ""
    db.run("jobs.event", job_id=job.id, attempt=job.attempt, now=now, event=event, detail=message)
    if job.state is JobState.RUNNING:
        db.run(
            "jobs.end_attempt",
            job_id=job.id,
            attempt=job.attempt,
            now=now,
            outcome=failure.kind if failure else str(target),
            message=_in_words(failure) if failure else "",
            peak_memory_bytes=peak_memory_bytes,
            cpu_s=cpu_s,
        )
    return replace(job, state=target, not_before=not_before, finished_at=finished_at, failure=failure, **row)


def apply(db: Database, job: Job, event: Event, **facts: Any) -> Job | None:
    """`change` in a transaction of its own."""
    with db.write():
        return change(db, job, event, **facts)


def fail_or_retry(db: Database, job: Job, failure: Failure, **usage: Any) -> Job | None:
    """End the attempt as the kind of its failure demands: another try after a pause, or the end of the job."""
    charged = failure.kind not in states.UNCHARGED_KINDS
    tries = tries_counted(db, job.id)
    spent = job.charged + charged >= states.MAX_CHARGED_ATTEMPTS or tries >= states.MAX_ATTEMPTS
    if failure.kind in states.RETRIED_KINDS and (not spent or failure.kind == "stopped"):
        due = time.time() + states.retry_delay_s(failure.kind, tries, random.random())
        return apply(db, job, Event.RETRY, failure=failure, charge=charged, not_before=due, **usage)
    return apply(db, job, Event.FAIL, failure=failure, charge=charged, **usage)


def _in_words(failure: Failure) -> str:
    told = failure.why and failure.why != failure.message
    return f"{failure.message}: {failure.why}" if told else failure.message


def tries_counted(db: Database, job_id: int) -> int:
    """The attempts at a job since a person last asked for it."""
    counted = db.one("jobs.tries", job_id=job_id)
    return counted["tries"] if counted else 0


def fail_stranded(db: Database, since: int | None = None) -> list[Job]:
    """Fail the waiting jobs that need one which failed or was cancelled; they in turn strand others.

    since: the number of an event before which all have been failed already: what is older is not looked at.
    """
    failed: list[Job] = []
    while rows := db.all("jobs.stranded") if since is None else db.all("jobs.stranded_lately", since=since):
        with db.write():
            for row in rows:
                lost_id, past = row["lost_id"], {"cancelled": "was cancelled"}.get(row["lost_state"], row["lost_state"])
                why = json.loads(row["lost_failure"])["message"] if row["lost_failure"] else ""
                failure = Failure(
                    "recipe_error", f"it needs {row['lost_name']} (job {lost_id}), which {past}", why,
                    f"hive queue show {lost_id}; both again: hive queue retry {row['id']}",
                )  # fmt: skip
                if job := change(db, job_of(row), Event.FAIL, failure=failure):
                    failed.append(job)
    return failed


def cancel(db: Database, job_id: int) -> Job:
    """Cancel a job that waits or runs. Raises RequestError if it is over or unknown."""
    job = get(db, job_id)
    if job.state.is_over:
        raise RequestError(f"job {job_id} cannot be cancelled", f"it {_past(job.state)} already")
    failure = Failure("cancelled", "cancelled by the user")
    return apply(db, job, Event.CANCEL, failure=failure) or cancel(db, job_id)


def cancel_waiting(db: Database, job: Job) -> Job | None:
    """Cancel a job that still waits; None if it does not."""
    return apply(db, job, Event.CANCEL, failure=Failure("cancelled", "cancelled by the user"))


def retry(db: Database, job_id: int) -> Job:
    """Queue a failed or cancelled job again, from its last checkpoint, with all its tries; and so what it needs, unless
    that has been built or is on its way. Raises RequestError.
    """
    with db.write():
        job = get(db, job_id)
        if job.state not in (JobState.FAILED, JobState.CANCELLED):
            raise RequestError(f"job {job_id} cannot be tried again", f"it {_past(job.state)}")
        if live := live_build(db, job.build_key):
            raise RequestError(f"job {job_id} need not be tried again", f"job {live.id} is building the same thing")
        return _requeue(db, job)


def _requeue(db: Database, job: Job) -> Job:
    for needed in needs(db, job.id):
        if needed.state not in (JobState.FAILED, JobState.CANCELLED):
            continue
        if other := db.one("jobs.hopeful_by_key", build_key=needed.build_key):
            db.run("jobs.change_need", job_id=job.id, needs_id=needed.id, other_id=other["id"])
        else:
            _requeue(db, needed)
    done = change(db, job, Event.REQUEUE)
    assert done is not None, "it was read in this transaction"
    return done


def move(db: Database, job_id: int, priority: int) -> Job:
    """Give a waiting job another priority. Raises RequestError if it does not wait or is unknown."""
    with db.write():
        row = db.one("jobs.reprioritise", job_id=job_id, priority=priority)
        if row is not None:
            name = next(name for name, value in PRIORITIES.items() if value == priority)
            db.run("jobs.event", job_id=job_id, attempt=row["attempt"], now=time.time(), event="move", detail=name)
    if row is None:
        raise RequestError(f"job {job_id} cannot be moved", f"it {_past(get(db, job_id).state)}, only waiting jobs can")
    return job_of(row)


def control(db: Database) -> QueueControl:
    """What a person said about the queue as a whole."""
    said = {row["name"]: json.loads(row["value"]) for row in db.all("jobs.control")}
    return QueueControl(**said)


def set_control(db: Database, **said: Any) -> QueueControl:
    """Change fields of the control; it stands for every supervisor from now on."""
    with db.write():
        for name, value in said.items():
            db.run("jobs.set_control", name=name, value=json.dumps(value))
    return control(db)


def expected_s(db: Database, build: Build) -> float | None:
    """How long such a build takes here: the median of the newest ones. None before the first."""
    rows = db.all("jobs.build_times", name=build.name, profile=build.profile, params=json.dumps(build.params))
    times = sorted(row["wall_s"] for row in rows)
    return float(times[len(times) // 2]) if times else None


def _past(state: JobState) -> str:
    return {JobState.CANCELLED: "was cancelled", JobState.QUEUED: "is queued", JobState.RUNNING: "is running"}.get(
        state, str(state)
    )


def get(db: Database, job_id: int) -> Job:
    row = db.one("jobs.by_id", job_id=job_id)
    if row is None:
        raise RequestError(f"there is no job {job_id}", hint="hive queue list shows the newest")
    return job_of(row)


def running(db: Database) -> list[Job]:
    return [job_of(row) for row in db.all("jobs.running")]


def given_up(db: Database, limit: int = 100) -> list[Job]:
    """The newest cancelled jobs that had begun."""
    return [job_of(row) for row in db.all("jobs.given_up", limit=limit)]


def given_up_builds(db: Database, build_key: str) -> list[Job]:
    """The cancelled jobs of one build that had begun."""
    return [job_of(row) for row in db.all("jobs.given_up_builds", build_key=build_key)]


def live_build(db: Database, build_key: str) -> Job | None:
    """The job that waits or works for a build."""
    row = db.one("jobs.live_by_key", build_key=build_key)
    return job_of(row) if row else None


def waiting(db: Database, limit: int = 1000) -> list[Job]:
    """Those that wait, in the order in which they would be claimed if all fitted; at most `limit`."""
    jobs = [job_of(row) for row in db.all("jobs.waiting", limit=limit)]
    return sorted(jobs, key=lambda job: (job.priority + job.created_at / AGEING_S, job.id))


def newest_event(db: Database) -> int:
    """The number of the newest event of all jobs: what comes later has a greater one. 0 before the first."""
    row = db.one("jobs.newest_event")
    return int(row["id"] or 0) if row else 0


def newest(db: Database, limit: int) -> list[Job]:
    return [job_of(row) for row in db.all("jobs.newest", limit=limit)]


def newest_of_name(db: Database, name: str) -> Job | None:
    row = db.one("jobs.newest_of_name", name=name)
    return job_of(row) if row else None


def newest_build(db: Database, digest: str) -> Job | None:
    """The newest job of a build. digest: its key, with or without sha256:."""
    row = db.one("jobs.newest_by_key", build_key=f"sha256:{digest.removeprefix('sha256:')}")
    return job_of(row) if row else None


def anything_waits(db: Database) -> bool:
    """Whether a job is queued, due or not."""
    return db.one("jobs.anything_waits") is not None


def is_needed(db: Database, job_id: int) -> bool:
    """Whether a job waits for this one."""
    return db.one("jobs.needed", job_id=job_id) is not None


def needs(db: Database, job_id: int) -> list[Job]:
    return [job_of(row) for row in db.all("jobs.needs", job_id=job_id)]


def totals(db: Database) -> dict[str, int]:
    return {row["state"]: row["jobs"] for row in db.all("jobs.totals")}


def attempts(db: Database, job_id: int) -> list[Attempt]:
    return [Attempt(**row) for row in db.all("jobs.attempts", job_id=job_id)]


def is_automatic(db: Database, job_id: int) -> bool:
    """Whether nobody asked for it by name: neither who queued it nor who joined."""
    asked = [event for event in events(db, job_id) if event.event in ("enqueue", "join")]
    return all(event.detail == "automatic" for event in asked)


def events(db: Database, job_id: int) -> list[JobEvent]:
    return [JobEvent(**row) for row in db.all("jobs.events", job_id=job_id)]


def happenings(db: Database, limit: int) -> tuple[Happening, ...]:
    """The newest events of all jobs, the newest first."""
    return tuple(Happening(**row) for row in db.all("jobs.newest_events", limit=limit))
