"""The runner environment: this Python if it will do, else an overlay that holds only what is missing.

The packages are wheels made here, so no test needs a network.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import venv
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hive import environments
from hive.errors import HiveError, RequestError

REPOSITORY = Path(__file__).parent.parent


def wheel(folder: Path, name: str, version: str, *requires: str) -> Path:
    """A wheel with one module, whose VERSION tells which one was imported."""
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {text}\n" for text in requires)
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}.py", f"VERSION = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{module}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place that pip finds packages in."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def with_hive() -> dict[str, str]:
    """The environment variables of now, in which any interpreter finds this hive."""
    return {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'training-runner'}"}


class Base:
    """An environment of its own for hive to run in, with packages of the test's choice."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.site = next(folder.glob("lib/python*/site-packages"))
        real = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        (self.site / "real.pth").write_text("import site; " + "; ".join(f"site.addsitedir({path!r})" for path in real))

    def put(self, path: Path) -> None:
        """Install a wheel of ours, the quick way."""
        zipfile.ZipFile(path).extractall(self.site)

    def start(self, home: Path, *requirements: str, offline: bool = False) -> subprocess.Popen[str]:
        program = f"""
import json
from pathlib import Path
from hive import environments
from hive.errors import HiveError
said = []
try:
    made = environments.ensure({requirements!r}, Path({str(home)!r}), {offline!r}, lambda line: said.append(line))
    print(json.dumps({{"python": made.python, "paths": list(map(str, made.paths)), "pins": made.pins,
                       "digest": made.digest, "said": said}}))
except HiveError as error:
    print(json.dumps({{"message": error.message, "why": error.why, "said": said}}))
"""
        return subprocess.Popen([self.python, "-c", program], stdout=subprocess.PIPE, text=True, env=with_hive())

    def ensure(self, home: Path, *requirements: str, offline: bool = False) -> dict[str, Any]:
        return answer(self.start(home, *requirements, offline=offline))


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(output)
    return found


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return Base(tmp_path / "base")


def imported(python: str, module: str) -> str:
    """Which version of a module an interpreter sees, as the runner would: without PYTHONPATH."""
    program = f"import {module}; print({module}.VERSION)"
    return subprocess.check_output([python, "-c", program], text=True, env={"PATH": "/usr/bin:/bin"}).strip()


def silent(_: str) -> None:
    """Progress that nobody reads."""


# What the distributions hold


def made_of(version: str, *lines: str) -> str:
    """A RECORD, with what two installers add to it in their own ways."""
    info = f"some-{version}.dist-info"
    return "\n".join([*lines, f"{info}/METADATA,sha256=m,9", f"{info}/WHEEL,sha256=w,9", f"{info}/RECORD,,"])


def test_a_distribution_is_known_by_what_its_wheel_held() -> None:
    files = ["some/__init__.py,sha256=a,1", "some/core.so,sha256=b,2"]
    plain = environments._digest_of_record(made_of("1", *files))
    assert plain.startswith("sha256:")
    added = [
        "some/__pycache__/__init__.cpython-311.pyc,,", "../../../bin/some,sha256=x,7",
        "some-1.dist-info/INSTALLER,sha256=p,4", "some-1.dist-info/REQUESTED,sha256=r,0",
        "some-1.dist-info/direct_url.json,sha256=u,80",
    ]  # fmt: skip
    assert environments._digest_of_record(made_of("1", *added, *reversed(files))) == plain
    for other in (["some/__init__.py,sha256=a,1", "some/core.so,sha256=c,2"], files[:1], [*files, "some/x,sha256=d,1"]):
        assert environments._digest_of_record(made_of("1", *other)) != plain


def test_what_stands_here_is_known_by_name_and_version() -> None:
    made = environments.current(("packaging",))
    assert made is not None
    found = environments.contents(made.pins, ())
    assert found.keys() == {"packaging"}
    assert environments.contents(["packaging==0.0.1", "no-such-thing==1"], ()) == {}


@pytest.mark.parametrize("record", ["", "\n\n", "one", b"\xff\xfe,sha256=a,1"])
def test_a_list_that_cannot_be_read_is_no_list(
    record: str | bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "site-packages" / "some-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some\nVersion: 1\n")
    (info / "RECORD").write_bytes(record if isinstance(record, bytes) else record.encode())
    monkeypatch.syspath_prepend(str(info.parent))
    assert set(environments.contents(["some==1"], ()).values()) <= {environments._digest_of_record("")}


def test_what_lies_in_an_overlay_is_known_too(shelf: Path, home: Path) -> None:
    wheel(shelf, "only-there", "1.0")
    made = environments.ensure(("only-there",), home, False, silent)
    [folder] = made.paths
    record = next(folder.rglob("only_there-1.0.dist-info/RECORD"))
    record.write_text("only_there.py,sha256=abc,1\n" + record.read_text())
    assert environments.contents(made.pins, map(str, made.paths)).keys() == {"only-there"}
    assert environments.contents(made.pins, ()) == {}


# This Python will do


def test_no_requirements_is_this_python() -> None:
    made = environments.ensure((), Path("/nowhere"), True, silent)
    assert (made.python, made.paths, made.pins) == (sys.executable, (), ())


def test_no_requirements_imports_no_packaging() -> None:
    program = (
        "import sys; from hive import environments; environments.current(());"
        "print([name for name in ('packaging', 'importlib.metadata', 'subprocess', 'venv') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, env=with_hive())
    assert done.stdout.strip() == "[]", done.stderr


def test_pins_are_the_whole_closure_sorted() -> None:
    made = environments.current(("pytest>=8",))
    assert made is not None
    names = [pin.partition("==")[0] for pin in made.pins]
    assert names == sorted(names)
    assert {"pytest", "iniconfig", "packaging", "pluggy"} <= set(names)
    assert made.digest.startswith("sha256:")


def test_the_digest_follows_the_pins_not_their_spelling() -> None:
    one, same, other = (environments.current((text,)) for text in ("pytest>=8", "PyTest", "packaging"))
    assert one and same and other
    assert one.digest == same.digest != other.digest


@pytest.mark.parametrize("requirement", ["no-such-package", "pytest<1", "pytest>=9999"])
def test_what_is_missing_or_of_another_version_is_not_satisfied(requirement: str) -> None:
    assert environments.current((requirement,)) is None


def test_a_marker_for_another_machine_asks_for_nothing() -> None:
    made = environments.current(("no-such-package; platform_system == 'Plan9'",))
    assert made is not None
    assert made.pins == ()


def test_an_extra_belongs_to_the_closure(base: Base, shelf: Path, home: Path) -> None:
    base.put(wheel(shelf, "plain", "1.0", "friend; extra == 'more'"))
    base.put(wheel(shelf, "friend", "2.0"))
    assert base.ensure(home, "plain")["pins"] == ["plain==1.0"]
    assert base.ensure(home, "plain[more]")["pins"] == ["friend==2.0", "plain==1.0"]
    assert not (home / "environments").exists()


def test_a_requirement_that_is_none_is_refused() -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        environments.current(("--index-url=https://evil.example",))


def test_packages_from_elsewhere_are_mounted(base: Base, shelf: Path, home: Path, tmp_path: Path) -> None:
    far = tmp_path / "far" / "site-packages"
    zipfile.ZipFile(wheel(shelf, "distant", "1.0")).extractall(far)
    (base.site / "far.pth").write_text(f"{far}\n")
    assert base.ensure(home, "distant")["paths"] == [str(far)]


def test_what_only_pythonpath_offers_does_not_count(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site-packages"
    zipfile.ZipFile(wheel(shelf, "borrowed", "1.0")).extractall(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))
    assert environments.current(("borrowed",)) is None


# An overlay


def test_an_overlay_holds_only_what_is_missing(base: Base, shelf: Path, home: Path) -> None:
    base.put(wheel(shelf, "here", "1.0"))
    wheel(shelf, "here", "1.5")
    wheel(shelf, "missing", "2.0", "here>=1.0")
    made = base.ensure(home, "missing", "here")
    assert made["pins"] == ["here==1.0", "missing==2.0"]  # what is there stays, though a newer one is to be had
    overlay = Path(made["paths"][0])
    assert overlay.parent == home / "environments"
    assert made["python"] == str(overlay / "bin" / "python")
    assert sorted(p.name for p in overlay.rglob("*.dist-info")) == ["missing-2.0.dist-info"]
    assert imported(made["python"], "missing") == "2.0"
    assert imported(made["python"], "here") == "1.0"
    assert made["said"][0] == "making a runner environment for missing"


def test_a_made_overlay_is_used_again_even_offline(base: Base, shelf: Path, home: Path) -> None:
    wheel(shelf, "missing", "2.0")
    first = base.ensure(home, "missing")
    again = base.ensure(home, "missing", offline=True)
    assert again == {**first, "said": []}


def test_a_contradicted_version_is_overlaid_and_the_one_below_stays(base: Base, shelf: Path, home: Path) -> None:
    base.put(wheel(shelf, "disputed", "1.0"))
    wheel(shelf, "disputed", "2.0")
    made = base.ensure(home, "disputed>=2")
    assert made["pins"] == ["disputed==2.0"]
    assert imported(made["python"], "disputed") == "2.0"
    assert imported(str(base.python), "disputed") == "1.0"


def test_a_version_contradicted_further_down_is_overlaid_but_torch_stays(base: Base, shelf: Path, home: Path) -> None:
    base.put(wheel(shelf, "disputed", "2.0"))
    base.put(wheel(shelf, "torch", "2.0+cpu"))
    wheel(shelf, "disputed", "1.0")
    wheel(shelf, "torch", "2.1")
    wheel(shelf, "picky", "1.0", "disputed<2", "torch")
    made = base.ensure(home, "picky")
    assert made["pins"] == ["disputed==1.0", "picky==1.0", "torch==2.0+cpu"]
    assert imported(str(base.python), "disputed") == "2.0"
    assert imported(made["python"], "torch") == "2.0+cpu"


def test_offline_and_missing_says_what(home: Path) -> None:
    with pytest.raises(HiveError) as caught:
        environments.ensure(("no-such-package", "packaging"), home, True, silent)
    assert "lacks no-such-package, and hive is offline" in caught.value.why
    assert caught.value.hint
    assert not home.exists()


def test_pips_own_words_are_the_reason(shelf: Path, home: Path) -> None:
    with pytest.raises(HiveError) as caught:
        environments.ensure(("no-such-package==1.2",), home, False, silent)
    assert "No matching distribution found for no-such-package==1.2" in caught.value.why
    assert [path.suffix for path in (home / "environments").iterdir()] == [".lock"]


def test_a_source_distribution_is_never_built(shelf: Path, home: Path, tmp_path: Path) -> None:
    import tarfile

    source = tmp_path / "hostile-1.0"
    source.mkdir()
    (source / "setup.py").write_text(f"import os; os.mkdir({str(tmp_path / 'exploded')!r})\n")
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n")
    with tarfile.open(shelf / "hostile-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, "hostile-1.0")
    for requirement in ("hostile", f"hostile @ file://{shelf}/hostile-1.0.tar.gz", f"hostile @ file://{source}"):
        with pytest.raises(HiveError):
            environments.ensure((requirement,), home, False, silent)
    assert not (tmp_path / "exploded").exists()


def test_a_wheel_may_be_named_by_its_address(base: Base, shelf: Path, home: Path, tmp_path: Path) -> None:
    path = wheel(tmp_path / "elsewhere", "addressed", "1.0")
    assert base.ensure(home, f"addressed @ file://{path}")["pins"] == ["addressed==1.0"]


def test_a_ruin_is_swept_and_rebuilt(base: Base, shelf: Path, home: Path) -> None:
    wheel(shelf, "missing", "2.0")
    folder = Path(base.ensure(home, "missing")["paths"][0])
    (folder / environments.COMPLETE).unlink()
    (folder / "half-written").touch()
    assert base.ensure(home, "missing")["pins"] == ["missing==2.0"]
    assert not (folder / "half-written").exists()


def test_an_overlay_whose_base_changed_is_made_anew(base: Base, shelf: Path, home: Path) -> None:
    base.put(wheel(shelf, "here", "1.0"))
    wheel(shelf, "missing", "2.0")
    before = base.ensure(home, "missing", "here>=1")
    shutil.rmtree(base.site / "here-1.0.dist-info")
    (base.site / "here.py").unlink()
    after = base.ensure(home, "missing", "here>=1")
    assert after["pins"] == before["pins"]
    assert "making a runner environment for missing, here>=1" in after["said"]


def test_four_at_once_make_it_once(base: Base, shelf: Path, home: Path) -> None:
    wheel(shelf, "missing", "2.0")
    answers = [answer(process) for process in [base.start(home, "missing") for _ in range(4)]]
    assert len({json.dumps(a["pins"]) + a["digest"] + a["python"] for a in answers}) == 1
    assert sum("making a runner environment for missing" in a["said"] for a in answers) == 1


@pytest.fixture
def stalled_index() -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """A package index that accepts a question (asked) and does not answer until it may (go_on)."""
    asked, go_on = threading.Event(), threading.Event()

    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            go_on.wait(60)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Not to the test's output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple", asked, go_on
        go_on.set()
        server.shutdown()
        thread.join()


def test_a_killed_maker_leaves_the_lock_to_its_pip(
    base: Base, shelf: Path, home: Path, monkeypatch: pytest.MonkeyPatch,
    stalled_index: tuple[str, threading.Event, threading.Event],
) -> None:  # fmt: skip
    url, asked, go_on = stalled_index
    wheel(shelf, "missing", "2.0")
    with monkeypatch.context() as patch:
        patch.delenv("PIP_NO_INDEX")
        patch.setenv("PIP_INDEX_URL", url)
        maker = base.start(home, "missing")
    assert asked.wait(60)
    maker.send_signal(signal.SIGKILL)
    maker.wait(10)
    [lock] = (home / "environments").glob("*.lock")
    assert is_held(lock)  # or the next one would sweep the folder that this pip still writes to
    go_on.set()
    deadline = time.monotonic() + 60
    while is_held(lock):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert base.ensure(home, "missing")["pins"] == ["missing==2.0"]


def is_held(lock: Path) -> bool:
    with open(lock) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
