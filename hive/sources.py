"""Sources that a person has added: their order, and the git repositories among them, each at a commit that stands.

Of a repository only the files of one commit are taken, as plain files: nothing is checked out by git, so neither hooks
nor filters nor submodules have a say, and a link in it leads nowhere. Git never asks for a password.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from hive_runner.frozen import frozen, replace

from hive.db import Database
from hive.errors import RequestError
from hive.index import BUILT_IN, Source
from hive.paths import Home
from hive.recipe import NAME
from hive.suggest import did_you_mean

Say = Callable[[str], None]
SCHEMES = ("https://", "ssh://", "file://")
COMMIT = re.compile(r"[0-9a-f]{40}")
TIMEOUT_S = 600.0  # of one git command
MAX_FILES = 50_000  # of a commit
MAX_BYTES = 2 << 30


@frozen
class SourceRecord:
    """A source as it was added."""

    name: str
    position: int  # below 0: searched before the built-in recipes
    kind: str  # "folder" | "git"
    location: str  # a path or an address
    ref: str = ""  # git: branch, tag or commit; "": the repository's default branch
    commit: str = ""  # git: what it stands at


@frozen
class Move:
    """What `update` did to a source."""

    name: str
    before: str  # commit
    after: str


def records(db: Database) -> list[SourceRecord]:
    """In the order in which they are searched."""
    return [SourceRecord(**row) for row in db.all("sources.all")]


def as_source(home: Home, record: SourceRecord) -> Source:
    """Where its recipes lie: in its folder `recipes`, if it has one, else at its top."""
    top = Path(record.location) if record.kind == "folder" else home.sources / record.name / record.commit
    inner = top / "recipes"
    return Source(record.name, inner if inner.is_dir() and not (inner / "recipe.toml").exists() else top)


def get(db: Database, name: str) -> SourceRecord:
    """Raises RequestError."""
    known = records(db)
    for record in known:
        if record.name == name:
            return record
    why, hint = did_you_mean(name, [BUILT_IN, *(each.name for each in known)], "hive source list")
    raise RequestError(f"there is no source called {name!r}", why, hint)


def make(home: Home, name: str, location: str, ref: str, as_git: bool, offline: bool, say: Say) -> SourceRecord:
    """A source that can be added: a folder that is there, or a repository, fetched. Raises RequestError."""
    if not NAME.fullmatch(name) or name == BUILT_IN:
        raise RequestError(f"a source cannot be called {name!r}", "names are lower-case, like my-models")
    is_address = "://" in location or "::" in location or location.startswith("git@")
    path = Path(location).expanduser().absolute()
    if not is_address and not path.is_dir():
        raise RequestError(f"there is no folder {path}", "a source is a folder of recipes, or a git repository")
    if is_address or ref or as_git or _is_bare(path):
        record = SourceRecord(name, 0, "git", location if is_address else str(path), ref)
        return replace(record, commit=fetch(home, record, offline, say))
    return SourceRecord(name, 0, "folder", str(path))


def refuse_taken(db: Database, name: str, before: str | None) -> None:
    """Raises RequestError if a source of that name cannot be added there."""
    names = [record.name for record in _order(db)]
    if name in names:
        raise RequestError(
            f"there is a source called {name} already", "each has a name of its own",
            f"another name, or: hive source remove {name}",
        )  # fmt: skip
    if before and before not in names:
        raise RequestError(f"there is no source called {before!r}", *did_you_mean(before, names, "hive source list"))


def add(db: Database, record: SourceRecord, before: str | None) -> SourceRecord:
    """Put it before another source, "" for the first; None: after all. Raises RequestError."""
    with db.write():
        refuse_taken(db, record.name, before)
        order = _order(db)
        names = [each.name for each in order]
        order.insert(len(order) if before is None else names.index(before) if before else 0, record)
        _write(db, order)
    return get(db, record.name)


def remove(db: Database, home: Home, name: str) -> SourceRecord:
    """Forget a source; of a repository also the files that were fetched. Raises RequestError."""
    if name == BUILT_IN:
        raise RequestError("the built-in recipes cannot be removed", "they belong to hive", "hive source add --first")
    with db.write():
        record = get(db, name)
        _write(db, [each for each in _order(db) if each.name != name])
    if record.kind == "git":
        forget_files(home, name)
    return record


def forget_files(home: Home, name: str) -> None:
    """Remove what was fetched for a source that is none (any more)."""
    if NAME.fullmatch(name):
        shutil.rmtree(home.sources / name, ignore_errors=True)


def update(db: Database, home: Home, record: SourceRecord, offline: bool, say: Say) -> Move:
    """Move a repository's commit to where its branch or tag stands now. Raises RequestError."""
    commit = fetch(home, record, offline, say)
    if commit != record.commit:
        with db.write():
            db.run("sources.move_pin", name=record.name, location=record.location, commit=commit, before=record.commit)
        for folder in (home.sources / record.name).iterdir():
            if COMMIT.fullmatch(folder.name) and folder.name not in (commit, record.commit):
                shutil.rmtree(folder, ignore_errors=True)  # the one before may be being read at this moment
    return Move(record.name, record.commit, commit)


def _order(db: Database) -> list[SourceRecord]:
    """All sources with the built-in one in its place, whose kind is ""."""
    found = records(db)
    place = sum(record.position < 0 for record in found)
    return [*found[:place], SourceRecord(BUILT_IN, 0, "", ""), *found[place:]]


def _write(db: Database, order: Iterable[SourceRecord]) -> None:
    order = list(order)
    middle = next(place for place, record in enumerate(order) if record.name == BUILT_IN)
    db.run("sources.clear")
    for place, record in enumerate(order):
        if record.name != BUILT_IN:
            db.run(
                "sources.put", name=record.name, position=place - middle, kind=record.kind, location=record.location,
                ref=record.ref, commit=record.commit,
            )  # fmt: skip


# git


def fetch(home: Home, record: SourceRecord, offline: bool, say: Say) -> str:
    """The commit that a repository's branch, tag or commit stands for now, its files laid out. Raises RequestError."""
    address, ref = record.location, record.ref or "HEAD"
    is_local = address.startswith(("file://", "/"))
    if not is_local and not address.startswith((*SCHEMES, "git@")):
        raise RequestError(f"{address} cannot be fetched", f"known are {', '.join(SCHEMES)} and paths")
    if not is_local and offline:
        raise RequestError(
            f"{record.name} cannot be fetched: hive is offline", f"{address} is on a network",
            "without --offline, and HIVE_OFFLINE unset",
        )  # fmt: skip
    if ref.startswith("-") or any(c.isspace() or c in ":?*[^~\\" for c in ref):
        raise RequestError(f"{ref!r} is not a branch, tag or commit")
    home.create()
    repository = home.sources / record.name / "git"
    repository.parent.mkdir(parents=True, exist_ok=True)
    say(f"fetching {ref} of {address}")
    _git(repository, "init", "--quiet", "--bare", "--template=", str(repository))
    fetch = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--force")
    try:
        _git(repository, *fetch, "--depth=1", "--", address, f"{ref}:refs/hive/pin", network=True)
    except RequestError:
        if not re.fullmatch(r"[0-9a-f]{7,40}", ref):
            raise
        # Not every server gives out a commit by its digest: all branches and tags, then, and it among them.
        _git(repository, *fetch, "--", address, "+refs/heads/*:refs/hive/heads/*", "+refs/tags/*:refs/hive/tags/*",
             network=True)  # fmt: skip
        _git(repository, "update-ref", "refs/hive/pin", _git(repository, "rev-parse", "--verify", f"{ref}^{{commit}}"))
    commit = _git(repository, "rev-parse", "--verify", "refs/hive/pin^{commit}")
    target = repository.with_name(commit)
    if not target.is_dir():
        _lay_out(repository, commit, target, say)
    return commit


def _git(repository: Path, *arguments: str, network: bool = False) -> str:
    """What a git command prints. Only one that reaches the network reads the user's settings: his proxy, his keys."""
    protections = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        "GIT_ALLOW_PROTOCOL": "https:ssh:file",
        "GIT_ATTR_NOSYSTEM": "1",
        "LC_ALL": "C",
    }
    if not network:
        protections |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    settings = ("core.hooksPath=/dev/null", "core.askPass=true", "credential.interactive=never", "gc.auto=0",
                "submodule.recurse=false", "core.fsmonitor=false", "core.attributesFile=/dev/null",
                "safe.bareRepository=all", "maintenance.auto=false")  # fmt: skip
    options = [word for setting in settings for word in ("-c", setting)]
    try:
        done = subprocess.run(
            ["git", *options, f"--git-dir={repository}", *arguments],
            env={**inherited, **protections},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
        )
    except FileNotFoundError as error:
        raise RequestError(
            "there is no git here", "a git source needs it", "apt install git, or a local folder"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise RequestError("git took too long", f"more than {TIMEOUT_S:.0f} s", "try again later") from error
    if done.returncode:
        said = " / ".join(line for line in done.stderr.splitlines() if line.strip())[-500:]
        raise RequestError(f"git {arguments[0]} failed", said, "check the address, the branch and your access")
    return done.stdout.strip()


def _lay_out(repository: Path, commit: str, target: Path, say: Say) -> None:
    """The plain files of a commit, at `target` all at once or not at all."""
    stage = target.with_name(f".{os.urandom(16).hex()}")
    archive = stage / "tree.tar"
    stage.mkdir()
    try:
        _git(repository, "archive", "--format=tar", f"--output={archive}", commit)
        left_out, size_bytes = 0, 0
        with tarfile.open(archive) as tar:
            for count, member in enumerate(tar):
                place = stage / "tree" / member.name
                size_bytes += member.size
                if count > MAX_FILES or size_bytes > MAX_BYTES:
                    raise RequestError("the repository is too large for a source of recipes",
                                       f"more than {MAX_FILES:,} files or {MAX_BYTES >> 30} GiB")  # fmt: skip
                if not place.resolve().is_relative_to((stage / "tree").resolve()):
                    raise RequestError("the repository holds a path that leads out of it", member.name)
                if member.isdir():
                    place.mkdir(parents=True, exist_ok=True)
                elif member.isfile() and (content := tar.extractfile(member)):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with open(place, "wb") as file:
                        shutil.copyfileobj(content, file)
                else:
                    left_out += 1
        if left_out:
            say(f"{left_out} links are left out: a source holds plain files")
        (stage / "tree").mkdir(exist_ok=True)
        with suppress(FileExistsError):
            os.rename(stage / "tree", target)
    except OSError as error:
        if not target.is_dir():
            raise RequestError(
                "the repository cannot be laid out", error.strerror or str(error), "make room"
            ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _is_bare(path: Path) -> bool:
    return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()
