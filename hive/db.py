"""The database: one connection, its pragmas, its migrations, and the named SQL of sql/*.sql.

Writers take a file lock before BEGIN IMMEDIATE: SQLite's own busy handler polls and starves waiters, a kernel lock
wakes them in turn. They wait for the disk when they have let go of it, so that the kernel writes for many of them at
once. WAL is used only where the SQLite library has the fix for the WAL-reset race and the file system is
local; otherwise the rollback journal. Reading works on a full or read-only file system.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from operator import attrgetter, itemgetter, methodcaller
from pathlib import Path
from typing import Any

from hive.errors import DamagedDatabase, StoreError

try:
    import pysqlite3.dbapi2 as sqlite3
except ImportError:  # no wheel for this platform: the system's SQLite, and no WAL unless it is new enough
    import sqlite3

APPLICATION_ID = 0x68697665  # "hive"
SCHEMA_VERSION = 5
MIGRATIONS = {version: f"migrate_{version}.sql" for version in range(1, SCHEMA_VERSION)}  # from version -> file in sql/
# The WAL-reset race is fixed from 3.51.3 on, and in these back-ports.
WAL_FIXED = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
# The log is written back, and written anew from its start, when it has so many pages: fsync of a file that grows takes
# about twice as long as of one that is overwritten.
WAL_PAGES = 250
REMOTE_FILE_SYSTEMS = ("nfs", "cifs", "smb", "9p", "fuse", "ceph", "gluster", "lustre", "afs")

LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC

Error = sqlite3.Error
LIBRARY = f"{sqlite3.sqlite_version} ({sqlite3.__name__.partition('.')[0]})"
Row = Mapping[str, Any]

# What is asked of a statement.
EVERY_ROW, FIRST_ROW, ROWS_CHANGED = methodcaller("fetchall"), methodcaller("fetchone"), attrgetter("rowcount")


@cache
def _queries(file: str) -> dict[str, str]:
    text = (Path(__file__).parent / "sql" / f"{file}.sql").read_text()
    blocks = [block.partition("\n") for block in text.split("-- name: ")[1:]]
    return {name.strip(): body for name, _, body in blocks}


@cache
def query(name: str) -> str:
    """The SQL text named `file.query`, from sql/file.sql."""
    file, _, block = name.partition(".")
    return _queries(file)[block]


def wal_is_safe() -> bool:
    version = sqlite3.sqlite_version_info
    return version >= WAL_FIXED[0] or any(version[:2] == fixed[:2] and version >= fixed for fixed in WAL_FIXED[1:])


def is_local(path: Path) -> bool:
    """Whether `path` lies on a file system of this machine, by the longest mount point above it."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return False
    above = [(point, kind) for point, kind in mounts if Path(point) in (path, *path.parents)]
    kind = max(above, key=lambda mount: len(mount[0]), default=("", "unknown"))[1]
    return not kind.startswith(REMOTE_FILE_SYSTEMS)


def journal_mode(path: Path) -> str:
    """The journal mode a new database at `path` gets."""
    return "wal" if wal_is_safe() and is_local(path.parent) else "delete"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else writes to the database `path` meanwhile, nor makes it."""
    descriptor = os.open(os.path.join(os.path.dirname(path), "database.lock"), LOCK_FLAGS, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _damaged(path: Path, why: str) -> DamagedDatabase:
    return DamagedDatabase(f"{path} is damaged", why, "hive verify")


def _dictionary(cursor: Any, values: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(map(itemgetter(0), cursor.description), values, strict=True))


class Database:
    """A connection that reads freely and writes in `write()` blocks."""

    def __init__(self, path: Path, readonly: bool = False) -> None:
        """Open, create or migrate. Raises StoreError for a newer schema, a foreign or damaged file, no permission."""
        self.path = path
        self.readonly = readonly
        self._log: int | None = None  # the descriptor of the log that `write` makes durable
        try:
            self.connection = self._connect_readonly() if readonly else self._connect()
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"cannot open {path}", str(error), "check the permissions and the free space of its folder"
            ) from error
        except sqlite3.DatabaseError as error:
            raise _damaged(path, str(error)) from error

    def _connect(self) -> Any:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=30)
        connection.row_factory = _dictionary
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        self.connection = connection
        self._refuse_foreign()
        if self._version() != SCHEMA_VERSION:
            self._migrate()
        self.has_log = connection.execute("PRAGMA journal_mode").fetchone()["journal_mode"] == "wal"
        if self.has_log:
            connection.execute("PRAGMA synchronous = NORMAL")  # all the same but for the commit, which `write` sees to
        return connection

    def _connect_readonly(self) -> Any:
        """Without write access to the folder a WAL cannot be read through: then read the file as it stands."""
        for flags in ("mode=ro", "mode=ro&immutable=1"):
            connection = sqlite3.connect(f"file:{self.path}?{flags}", uri=True, isolation_level=None, timeout=30)
            connection.row_factory = _dictionary
            self.connection = connection
            try:
                self._refuse_foreign()
                version = self._version()
                break
            except sqlite3.OperationalError:
                if "immutable" in flags:
                    raise
        if version > SCHEMA_VERSION:
            self._refuse_newer(version)
        return connection

    @property
    def is_empty(self) -> bool:
        """Whether it has no tables yet: another process is making it at this moment."""
        return self._version() == 0

    @property
    def is_old(self) -> bool:
        """Whether an older hive wrote it: queries need it migrated, which opening it for writing does."""
        return 0 < self._version() < SCHEMA_VERSION

    def _version(self) -> int:
        return int(self.connection.execute("PRAGMA user_version").fetchone()["user_version"])

    def _tables(self) -> int:
        return int(self.connection.execute("SELECT count(*) AS n FROM sqlite_schema").fetchone()["n"])

    def _refuse_newer(self, version: int) -> None:
        raise StoreError(
            f"{self.path} was written by a newer hive",
            f"its schema is version {version}, this hive knows {SCHEMA_VERSION}",
            "upgrade hive, or set HIVE_HOME to another folder",
        )

    def _refuse_foreign(self) -> None:
        """A file that is not marked as hive's must be empty."""
        tables = self._tables()
        # The mark is read last: tables and mark appear at once when another process creates the database meanwhile.
        mark = self.connection.execute("PRAGMA application_id").fetchone()["application_id"]
        if mark != APPLICATION_ID and (mark or tables):
            raise StoreError(f"{self.path} is not hive's", "it is a database of another program")

    def _migrate(self) -> None:
        """Bring the schema up to date under the file lock, looking again once inside it."""
        with locked(self.path):
            version = self._version()
            if version > SCHEMA_VERSION:
                self._refuse_newer(version)
            if version == SCHEMA_VERSION:
                return
            if version == 0:
                if self._tables():
                    raise _damaged(self.path, "it has tables and no version")
                self.connection.execute(f"PRAGMA journal_mode = {journal_mode(self.path)}")
                scripts = ["schema.sql"]
            else:
                backup = self.path.with_suffix(f".v{version}.db")
                with sqlite3.connect(backup) as copy:
                    self.connection.backup(copy)
                scripts = [MIGRATIONS[v] for v in range(version, SCHEMA_VERSION)]
            folder = Path(__file__).parent / "sql"
            body = "".join((folder / script).read_text() for script in scripts)
            self.connection.executescript(
                f"BEGIN IMMEDIATE;\n{body}\nPRAGMA application_id = {APPLICATION_ID};\n"
                f"PRAGMA user_version = {SCHEMA_VERSION};\nCOMMIT;"
            )

    def all(self, name: str, /, **values: Any) -> list[dict[str, Any]]:
        """Every row. Raises DamagedDatabase, like `one` and `run`."""
        rows: list[dict[str, Any]] = self._ask(query(name), values, EVERY_ROW)
        return rows

    def one(self, name: str, /, **values: Any) -> dict[str, Any] | None:
        row: dict[str, Any] | None = self._ask(query(name), values, FIRST_ROW)
        return row

    def run(self, name: str, /, **values: Any) -> int:
        """Execute a statement; the number of rows it changed."""
        return int(self._ask(query(name), values, ROWS_CHANGED))

    def check(self) -> None:
        """Have every page looked at. Raises DamagedDatabase."""
        found = self._ask("PRAGMA integrity_check(1)", {}, FIRST_ROW)["integrity_check"]
        if found != "ok":
            raise _damaged(self.path, found)

    def version_seen(self) -> int:
        """Changes whenever another connection has committed."""
        return int(self._ask("PRAGMA data_version", {}, FIRST_ROW)["data_version"])

    def _ask(self, sql: str, values: Row, answer: Callable[[Any], Any]) -> Any:
        try:
            return answer(self.connection.execute(sql, values))
        except sqlite3.DatabaseError as error:
            self._explain(error)
            raise

    def _explain(self, error: sqlite3.DatabaseError) -> None:
        """Raise hive's error for what is wrong with the file; what is wrong with a statement stays what it is."""
        if isinstance(error, sqlite3.OperationalError):
            raise StoreError(
                f"cannot use {self.path}", str(error), "make room on its disk, or check its permissions"
            ) from error
        if type(error) is sqlite3.DatabaseError:  # what SQLite raises for a malformed file, and for nothing else
            raise _damaged(self.path, str(error)) from error

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Nobody writes meanwhile. It needs no room on the disk, and no right to write to the database."""
        with locked(self.path):
            yield

    @contextmanager
    def write(self, durable: bool = True) -> Iterator[None]:
        """One transaction, on the disk when this returns. No I/O besides the database belongs inside.

        durable: False for what is of no use once the machine has gone down; the next one takes it along to the disk.
        Raises StoreError on a full disk.
        """
        try:
            with locked(self.path):
                self.connection.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self.connection.execute("COMMIT")
                except BaseException:
                    if self.connection.in_transaction:
                        self.connection.execute("ROLLBACK")
                    raise
            if self.has_log and durable:
                self._sync_log()
        except sqlite3.DatabaseError as error:
            self._explain(error)
            raise
        except OSError as error:
            raise StoreError(f"cannot write to {self.path}", error.strerror or str(error)) from error

    def _sync_log(self) -> None:
        """Wait until the log is on the disk: this transaction, and those before it, which it may have seen.

        The file stays the same one for as long as a connection is open. What was written back into the database
        meanwhile, SQLite has made durable before.
        """
        if self._log is None:
            self._log = os.open(f"{self.path}-wal", os.O_RDONLY | os.O_CLOEXEC)
        os.fdatasync(self._log)

    def close(self) -> None:
        self.connection.close()
        if self._log is not None:
            os.close(self._log)
            self._log = None
