"""The things hive talks about, as frozen values. No behaviour beyond what follows from the fields themselves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hive_runner.frozen import asdict, field, frozen

from hive.states import UNCHARGED_KINDS, JobState

PRIORITIES = {"high": 0, "medium": 1, "low": 2}


def canonical_json(value: Any) -> str:
    """The one spelling of a JSON value: sorted keys, no spaces, no NaN (ValueError). Digests are taken over it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """sha256:... of a JSON value's canonical spelling."""
    import hashlib

    return "sha256:" + hashlib.sha256(canonical_json(value).encode()).hexdigest()


@frozen
class Limits:
    cpus: int = 2
    threads: int = 1  # math threads inside a run: part of the build key, since it changes the bits
    memory_bytes: int = 4 << 30
    disk_bytes: int = 4 << 30  # of the job folder
    wall_s: float = 3600.0
    heartbeat_s: float = 600.0  # a run that reports nothing for so long is taken for hung
    pids: int = 256
    network: bool = False


@frozen
class Param:
    """A number, string or flag that a build (or a run) may be given."""

    name: str
    default: Any
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()


@frozen
class Gate:
    """A bar on one metric: `metric op bound`."""

    metric: str
    op: str  # one of ">=", "<=", ">", "<"
    bound: float

    def __str__(self) -> str:
        return f"{self.metric} {self.op} {self.bound:g}"


@frozen
class DataPackage:
    """Training data that a recipe names: one file that anyone can fetch, pinned by content."""

    name: str  # by which the recipe asks for it
    file: str
    urls: tuple[str, ...]  # tried in order
    digest: str  # of the file
    size_bytes: int
    licence: str
    help: str = ""


@frozen
class Profile:
    name: str
    real: bool = True  # False: quick to build, not a model to use
    data: tuple[str, ...] = ()  # data packages that it trains on
    otherwise: str = ""  # the profile to build where they cannot be had
    params: dict[str, Any] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    wall_s: float | None = None  # instead of the recipe's own limit
    expected_s: float | None = None  # what its author measured on two cores


@frozen
class RunInterface:
    """What `hive run` may be given, from [run] of recipe.toml."""

    inputs: tuple[str, ...] = ()  # suffixes
    output: str = ""  # suffix of the output file when -o is left out; "" for a folder
    outputs: tuple[str, ...] = ()  # other suffixes that -o may have
    # what else it writes, named by the output's stem and one of these: "-views.png", "-*.glb"
    beside: tuple[str, ...] = ()
    text: bool = False  # what is no file is a text, and given to the run as one
    input_help: str = ""
    options: tuple[Param, ...] = ()


@frozen
class Recipe:
    name: str
    version: str
    summary: str
    licence: str
    path: Path
    source: str  # "built-in" or the folder it came from
    digest: str  # over the files that can change the weights
    task: str = ""
    keywords: tuple[str, ...] = ()
    python: str = ""
    requirements: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    limits: Limits = Limits()
    params: tuple[Param, ...] = ()
    profiles: dict[str, Profile] = field(default_factory=dict)
    run: RunInterface = RunInterface()
    data_help: str = ""  # what --data expects; "" if the recipe takes none
    data: tuple[DataPackage, ...] = ()  # that its profiles may ask for

    @property
    def is_builtin(self) -> bool:
        return self.source == "built-in"


@frozen
class DataSource:
    """A file or folder to train on, pinned by content: the user's, given with --data, or a data package."""

    path: str
    digest: str


@frozen
class Build:
    """Everything that can change the weights. Equal builds have equal keys, and one artifact."""

    name: str
    version: str
    recipe_digest: str
    profile: str
    params: dict[str, Any]
    seed: int
    threads: int
    device: str
    environment: str  # digest of python, platform and requirement pins
    data: dict[str, DataSource] = field(default_factory=dict)
    dependencies: dict[str, str] = field(default_factory=dict)  # package -> its build key

    @property
    def key(self) -> str:
        facts = asdict(self)
        facts["data"] = {name: source.digest for name, source in self.data.items()}
        return digest_of(facts)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Build:
        data = {name: DataSource(**source) for name, source in document.pop("data", {}).items()}
        return cls(**document, data=data)


UNKNOWN = "unknown"  # in place of the isolation of a build that no job here made
ASPECTS = ("files", "network", "home", "processes", "memory", "cpu")


@frozen
class Isolation:
    """What really stands between a run and the machine: each aspect "yes", "watched" or "no"."""

    level: str  # "docker", "cgroup+bwrap", "bwrap", "none", ...
    files: str
    network: str
    home: str
    processes: str
    memory: str
    cpu: str
    note: str = ""

    def __str__(self) -> str:
        def words(value: str) -> str:
            return "watched, not enforced" if value == "watched" else value

        return (
            f"{self.level} (files {words(self.files)}, network {words(self.network)}, home {words(self.home)}, "
            f"processes {words(self.processes)}, memory: {words(self.memory)}, cpu: {words(self.cpu)})"
        )

    @classmethod
    def parse(cls, text: str) -> Isolation:
        """Read what `str` wrote, as it stands on record with an attempt or an artifact."""
        found = {aspect: re.search(rf"\b{aspect}:? (yes|watched|no)\b", text) for aspect in ASPECTS}
        return cls(
            text.partition(" (")[0].rpartition(": ")[2], **{name: m[1] if m else "no" for name, m in found.items()}
        )

    @property
    def isolates(self) -> bool:
        return self.files == "yes" and self.home == "yes"


@frozen
class Backend:
    """A runner as this machine has it."""

    name: str
    unavailable: str  # why it cannot be used, "" if it can
    isolation: Isolation | None
    refusals: dict[str, str] = field(default_factory=dict)  # why each better level is not reached: level -> reason


@frozen
class Step:
    """One line of a plan."""

    action: str  # "keep": installed already | "reuse": the store has it | "build"
    recipe: Recipe
    build: Build
    gates: tuple[Gate, ...]
    limits: Limits
    artifact: str = ""  # keep, reuse
    pins: tuple[str, ...] = ()  # name==version of what the runner environment gives the recipe
    python: str = ""  # interpreter of the runner environment
    mounts: tuple[str, ...] = ()  # folders of the runner environment
    image: str = ""  # what a container is made from
    expected_s: float | None = None
    note: str = ""
    replaces: str = ""  # the version that is active now, where it is another


@frozen
class Plan:
    steps: tuple[Step, ...]
    runner: str = ""  # the backend that builds; "" if there is nothing to build
    why_runner: str = ""
    isolation: Isolation | None = None
    as_of: int = 0  # the newest event of the queue when it was made

    @property
    def builds(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.action == "build")


@frozen
class Failure:
    kind: str  # one of hive_runner.contract.FAILURE_KINDS
    message: str
    why: str = ""
    hint: str = ""


@frozen
class Work:
    """What a job carries besides its build: where the files are and what it may use."""

    recipe_path: str  # the recipe's snapshot
    limits: Limits
    gates: tuple[Gate, ...]
    python: str
    mounts: tuple[str, ...]
    pins: tuple[str, ...]
    runner: str  # "auto" or a backend's name
    trusted: bool  # from the built-in source, or the user said so: may run where nothing isolates it
    real: bool
    expected_s: float | None = None  # how long it took here before, else what its author measured
    image: str = ""  # what a container is made from
    check: str = ""  # digest of an artifact: the build is made once more to be compared with it, and not installed
    depends: tuple[str, ...] = ()  # models with their ranges

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Work:
        return cls(
            **{
                **document,
                "limits": Limits(**document["limits"]),
                "gates": tuple(Gate(**gate) for gate in document["gates"]),
                "mounts": tuple(document["mounts"]),
                "pins": tuple(document["pins"]),
                "depends": tuple(document.get("depends", ())),
            }
        )


@frozen
class Job:
    id: int
    name: str
    version: str
    build_key: str
    state: JobState
    priority: int
    attempt: int  # 0 before the first claim
    charged: int  # attempts that count against the retry budget
    build: Build
    work: Work
    created_at: float
    not_before: float
    started_at: float | None
    finished_at: float | None
    failure: Failure | None
    artifact: str | None

    @property
    def priority_name(self) -> str:
        return next(name for name, value in PRIORITIES.items() if value == self.priority)


@frozen
class QueueControl:
    """What a person said about the queue as a whole. It stands until somebody says otherwise."""

    hold: str = ""  # "paused" or "stopped": nothing more is started
    target_runners: int | None = None  # None: as many as fit
    keep_alive: bool = False  # the supervisor stays when nothing is left to do
    shift: str = ""  # a supervisor leaves when it changes

    @property
    def lifted_by(self) -> str:
        """The command that lets builds be started again; "" if nothing holds them."""
        return "hive start" if self.hold else "hive scale auto" if self.target_runners == 0 else ""


@frozen
class Attempt:
    """One try of a job."""

    job_id: int
    attempt: int
    started_at: float
    runner: str
    isolation: str  # in words
    handle: str  # how a later supervisor finds it again
    ended_at: float | None
    outcome: str  # "" while it runs, "succeeded", or a failure kind
    message: str
    peak_memory_bytes: int
    cpu_s: float

    @property
    def is_charged(self) -> bool:
        """Whether it counts against its job's budget of failures."""
        return self.outcome not in ("", "succeeded", "cancelled", *UNCHARGED_KINDS)


@frozen
class Try:
    """An attempt as it is told: with the step at which it began (0: the first), None if that is not known."""

    attempt: Attempt
    began_at_step: int | None


@frozen
class JobEvent:
    job_id: int
    attempt: int
    at: float
    event: str
    detail: str


@frozen
class Story:
    """All that there is to say of one job."""

    job: Job
    tries: tuple[Try, ...]
    tries_counted: int  # of them, those since a person last asked for the job
    tries_at_most: int
    charged_at_most: int
    events: tuple[JobEvent, ...]
    needs: tuple[Job, ...]
    waits_for: str  # in words; "" unless it waits


@frozen
class Artifact:
    digest: str
    name: str
    version: str
    build_key: str
    size_bytes: int
    created_at: float
    real: bool
    build: Build
    metrics: list[dict[str, Any]]
    pins: tuple[str, ...]
    isolation: str
    wall_s: float
    depends: tuple[str, ...] = ()  # models with their ranges, such as base>=1
    determinism: str = ""  # the class of machines that gives these bytes (determinism.py), "" where it is not known
    libraries: dict[str, str] = field(default_factory=dict)  # name -> digest of what it held, as far as that is known


@frozen
class Package:
    """An artifact installed under a name."""

    name: str
    version: str
    artifact: str
    automatic: bool  # installed because another package needs it
    installed_at: float
    profile: str
    real: bool
    size_bytes: int
    pinned: bool = False  # upgrade leaves it alone
    active: bool = True  # False: another version of this name is, or none


@frozen
class Generation:
    """What was installed after one change."""

    id: int
    at: float  # seconds since the epoch
    reason: str
    origin: int | None  # of a rollback: the generation gone back to
    changes: tuple[str, ...]  # against the generation before: "-name 1.0", "+name 1.0", "name 1.0 -> 1.1"
    packages: tuple[Package, ...]


@frozen
class MachineUse:
    """What the machine has, and how much of it is in use."""

    cores: int
    cpu_percent: float | None  # of all cores together, since the look before; None at the first
    load: tuple[float, float, float]  # processes that want to run, mean of 1, 5 and 15 minutes
    memory_bytes: int
    memory_used_bytes: int
    disk_bytes: int  # of the file system that HIVE_HOME lies on
    disk_free_bytes: int
    gpu: str  # "" for none


@frozen
class RunnerUse:
    """A runner at work: how far it is, and what it uses."""

    id: str  # JOB.ATTEMPT
    job: Job
    attempt: Attempt
    phase: str
    step: int
    total: int  # 0: the phase counts no steps
    metrics: dict[str, float]  # of the newest report
    curve: tuple[float, ...]  # the phase's loss, or its first metric, oldest first
    eta_s: float | None  # to the end of the phase at its pace; without steps, of the build as long as it took before
    cpu_percent: float | None  # of one core; None where that is not cheaply known
    memory_bytes: int | None


@frozen
class Happening:
    """An event of any job."""

    at: float
    job_id: int
    name: str
    attempt: int
    event: str
    detail: str


@frozen
class Snapshot:
    """What there is to know at one moment."""

    at: float
    supervisor: bool
    supervisor_since: float | None
    machine: MachineUse
    runners: tuple[RunnerUse, ...]
    runners_available: int  # how many more could start now
    runners_max: int
    control: QueueControl
    totals: dict[str, int]  # by state
    waiting: tuple[Job, ...]  # in the order of their turn
    reasons: dict[int, str]  # why each of them waits
    done_in_s: float | None  # until the queue is empty; None if that cannot be told
    happenings: tuple[Happening, ...]  # the newest first
