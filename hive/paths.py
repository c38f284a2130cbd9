"""Where things live below HIVE_HOME."""

from __future__ import annotations

import os
from pathlib import Path

from hive_runner.frozen import frozen

from hive.errors import StoreError


@frozen
class Home:
    """The one folder that holds all of hive's state.

    hive.db  store/  staging/  recipes/ (snapshots)  jobs/<id>/  checkpoints/<build key>/  environments/  data/
    logs/  locks
    """

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "hive.db"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def staging(self) -> Path:
        return self.root / "staging"

    @property
    def snapshots(self) -> Path:
        return self.root / "recipes"

    @property
    def sources(self) -> Path:
        """Checked-out commits of git sources, as SOURCE/COMMIT."""
        return self.root / "sources"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def data(self) -> Path:
        """Data packages, as SHA256/FILE."""
        return self.root / "data"

    @property
    def supervisor_lock(self) -> Path:
        return self.root / "supervisor.lock"

    @property
    def supervisor_log(self) -> Path:
        return self.root / "logs" / "supervisor.log"

    def job(self, job_id: int) -> Path:
        return self.root / "jobs" / str(job_id)

    def attempt(self, job_id: int, attempt: int) -> Path:
        """The runner contract's folder of one attempt."""
        return self.job(job_id) / str(attempt)

    def checkpoints(self, build_key: str) -> Path:
        """Shared by all attempts of all jobs of one build: it ends with the same bytes, whoever began it."""
        return self.root / "checkpoints" / build_key.removeprefix("sha256:")

    def create(self) -> None:
        """Make the folder and its fixed parts. Raises StoreError if that is not allowed, without room, and for
        another user's home: what one of you builds the other's supervisor could neither adopt nor remove.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.geteuid() not in (0, owner := self.root.stat().st_uid):
                raise StoreError(
                    f"{self.root} belongs to another user",
                    f"its owner has the number {owner}, you are {os.geteuid()}; only its owner may change a hive",
                    "set HIVE_HOME to a folder of your own",
                )
            for part in (self.store, self.staging, self.snapshots, self.root / "jobs", self.root / "logs"):
                part.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot create {error.filename or self.root}",
                error.strerror or str(error),
                "set HIVE_HOME to a folder that you may write to, or make room",
            ) from error


def default_home() -> Path:
    """HIVE_HOME, else the platform's place for a user's data."""
    if override := os.environ.get("HIVE_HOME"):
        return Path(override).expanduser().absolute()
    if base := os.environ.get("XDG_DATA_HOME"):
        return Path(base) / "hive"
    import platformdirs

    return Path(platformdirs.user_data_dir("hive"))


def builtin_recipes() -> Path:
    """The recipes that ship with hive: inside the wheel, or at the top of a checkout."""
    package = Path(__file__).parent
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def runner_sources() -> dict[str, bytes]:
    """What the runner image is made from, by its place in the checkout: Dockerfile, requirements, hive_runner."""
    import hive_runner

    package = Path(__file__).parent
    inside = package / "image"  # where the wheel has them
    folder = inside if inside.is_dir() else package.parent
    found = {name: (folder / name).read_bytes() for name in ("Dockerfile.runner", "training-runner/requirements.txt")}
    for path in sorted(Path(hive_runner.__path__[0]).rglob("*.py")):
        found[f"training-runner/hive_runner/{path.relative_to(hive_runner.__path__[0])}"] = path.read_bytes()
    return found
