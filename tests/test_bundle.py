"""Models in a file: what goes into a bundle comes out of it, on another machine, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundles import MODEL, Forged, Model, contents, sha256, trivial_build, trivial_files
from hive_cli import HiveCli, until
from hive_runner.frozen import replace

from hive import importing, installed, manifest, tarball
from hive.config import load_settings
from hive.errors import DamageFound, NoCapacity, RequestError
from hive.model import UNKNOWN, Build
from hive.paths import Home
from hive.service import Export, Hive


def silent(done: int, total: int) -> None:
    return None


def service_at(folder: Path) -> Hive:
    home = Home(folder)
    home.create()
    return Hive(home, load_settings(home.root))


@pytest.fixture
def here(tmp_path: Path) -> Hive:
    """A machine on which trivial is installed."""
    hive = service_at(tmp_path / "here")
    hive.import_bundle(Forged().write(tmp_path / "forged.tar"), False, silent)
    return hive


@pytest.fixture
def there(tmp_path: Path) -> Hive:
    """Another machine, with nothing."""
    return service_at(tmp_path / "there")


@pytest.fixture
def made(here: Hive, tmp_path: Path) -> Export:
    return here.export("trivial", str(tmp_path / "trivial.tar"), silent)


def pair(name: str = "trivial", version: str = "1.0.0", base: str = "1.0.0", wanted: str = ">=1") -> list[Model]:
    """A model, and base, which it was built on. base comes second. wanted: which versions of base it needs."""
    below = Model(manifest.facts(replace_name("base", version=base), (), True), trivial_files("base", base))
    needs = {"base": below.facts["build_key"]}
    model = Model(
        manifest.facts(replace_name(name, version=version, dependencies=needs), (), True), trivial_files(name, version)
    )
    model.files["recipe/recipe.toml"] += f'\n[depends]\npackages = ["base{wanted}"]\n'.encode()
    return [model, below]


def replace_name(name: str, **fields: object) -> Build:
    return replace(trivial_build(**fields), name=name)


# -- out


def test_a_bundle_is_an_oci_layout_of_a_modelpack(made: Export, here: Hive) -> None:
    files = contents(made.path)
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    for name, raw in files.items():
        assert not name.startswith("blobs") or name == f"blobs/sha256/{sha256(raw)}"
    [entry] = json.loads(files["index.json"])["manifests"]
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "trivial:1.0.0"}
    image = json.loads(files[f"blobs/sha256/{entry['digest'][7:]}"])
    assert image["artifactType"] == entry["artifactType"] == MODEL + "manifest.v1+json"
    assert image["config"]["mediaType"] == MODEL + "config.v1+json"
    layers = {layer["annotations"]["org.cncf.model.filepath"]: layer for layer in image["layers"]}
    kinds = {path: layer["mediaType"].removeprefix(MODEL) for path, layer in layers.items()}
    assert kinds["weights.json"] == "weight.v1.raw" and kinds["manifest.json"] == "weight.config.v1.raw"
    assert kinds["README.md"] == "doc.v1.raw" and kinds["recipe/train.py"] == "code.v1.raw"
    folder = here.store.path(made.artifacts[0].digest)
    assert set(layers) == {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    config = json.loads(files[f"blobs/sha256/{image['config']['digest'][7:]}"])
    about = config["descriptor"]
    assert (about["name"], about["version"], about["licenses"]) == ("trivial", "1.0.0", ["MIT"])
    assert "createdAt" not in about
    assert config["modelfs"] == {"type": "layers", "diffIds": [layer["digest"] for layer in image["layers"]]}


def test_other_tars_read_it_and_it_has_no_time_and_no_owner(made: Export) -> None:
    with tarfile.open(made.path) as tar:
        entries = tar.getmembers()
    assert {(e.mtime, e.uid, e.gid, e.uname, e.gname, e.mode) for e in entries} == {(0, 0, 0, "", "", 0o644)}
    names = [each.name for each in entries]
    assert names[:2] == ["oci-layout", "index.json"] and names[2:] == sorted(names[2:])
    listed = subprocess.run(["tar", "tf", made.path], capture_output=True, text=True, check=True).stdout.split()
    assert listed == names


def test_equal_artifacts_make_equal_bundles(made: Export, here: Hive, there: Hive, tmp_path: Path) -> None:
    there.import_bundle(made.path, False, silent)
    again = there.export("trivial", str(tmp_path / "again.tar"), silent)
    assert again.path.read_bytes() == made.path.read_bytes()
    assert again.size_bytes == made.path.stat().st_size


def test_the_class_of_machines_travels_with_the_model(here: Hive, there: Hive, tmp_path: Path) -> None:
    """Beside its files: on another class the same bytes would be the same artifact."""
    made_on = "cpu, 1 math thread, no torch, x86_64 avx512 Intel"
    with here.db.write():
        here.db.connection.execute("UPDATE artifacts SET determinism = ?", (made_on,))
    done = here.export("trivial", str(tmp_path / "out.tar"), silent)
    [arrival] = there.import_bundle(done.path, False, silent)
    assert installed.artifact(there.db, arrival.artifact.digest).determinism == made_on
    again = there.export("trivial", str(tmp_path / "again.tar"), silent)
    assert again.path.read_bytes() == done.path.read_bytes()


@pytest.mark.parametrize("said", [7, "x" * 301, "cpu\x1b[2J"])
def test_a_class_that_is_no_line_of_text_is_refused(said: object, there: Hive, tmp_path: Path) -> None:
    def annotate(image: dict[str, object]) -> None:
        image["annotations"] = {"hive.determinism": said}

    with pytest.raises(RequestError) as refused:
        there.import_bundle(Forged(on_image=annotate).write(tmp_path / "evil.tar"), False, silent)
    assert "in no words" in refused.value.why


def test_a_damaged_artifact_is_not_exported(here: Hive, tmp_path: Path) -> None:
    weights = here.store.path(Model().digest) / "weights.json"
    for harm in (b"[0, 1, 3]", b"[0, 1", b"[0, 1, 2, 3]"):
        weights.chmod(0o644)
        weights.write_bytes(harm)
        with pytest.raises(DamageFound, match=r"weights\.json"):
            here.export("trivial", str(tmp_path / "out.tar"), silent)
    weights.unlink()
    with pytest.raises(DamageFound, match=r"weights\.json"):
        here.export("trivial", str(tmp_path / "out.tar"), silent)
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_what_is_not_installed_is_not_exported(here: Hive, there: Hive) -> None:
    with pytest.raises(RequestError, match="trivail is not installed") as refused:
        here.export("trivail", None, silent)
    assert refused.value.hint == "did you mean trivial?"
    with pytest.raises(RequestError, match=r"trivial 9\.9 is not installed"):
        here.export("trivial@9.9", None, silent)
    with pytest.raises(RequestError):
        there.export("trivial", None, silent)


def test_a_version_that_is_installed_no_more_can_be_exported(here: Hive, there: Hive, tmp_path: Path) -> None:
    newer = Model(manifest.facts(trivial_build(version="2.0.0"), (), True), trivial_files(version="2.0.0"))
    here.import_bundle(Forged([newer]).write(tmp_path / "newer.tar"), False, silent)
    assert [package.version for package in here.packages()] == ["2.0.0"]
    done = here.export("trivial@1.0.0", str(tmp_path / "old.tar"), silent)
    [arrival] = there.import_bundle(done.path, False, silent)
    assert arrival.artifact.version == "1.0.0" and arrival.artifact.digest == Model().digest


def test_a_file_that_cannot_be_written_is_said(here: Hive, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot write"):
        here.export("trivial", str(tmp_path / "nowhere" / "out.tar"), silent)


# -- in


def test_an_imported_model_is_what_it_was(made: Export, here: Hive, there: Hive) -> None:
    [arrival] = there.import_bundle(made.path, False, silent)
    assert arrival.action == "install"
    [package], [original] = there.packages(), here.packages()
    assert (package.name, package.version, package.artifact) == (original.name, original.version, original.artifact)
    assert (package.real, package.size_bytes, package.automatic) == (True, original.size_bytes, False)
    artifact = installed.artifact(there.db, package.artifact)
    assert artifact.build == trivial_build() and artifact.isolation == UNKNOWN
    assert artifact.metrics[0]["baselines"] == {"guess": 0.5}
    assert there.store.verify(package.artifact) == []
    for path in there.store.path(package.artifact).rglob("*"):
        assert path.is_dir() or stat.S_IMODE(path.stat().st_mode) == 0o444
    assert list(there.home.staging.iterdir()) == []


def test_import_is_one_generation_with_the_reason(tmp_path: Path, there: Hive) -> None:
    arrivals = there.import_bundle(Forged(pair()).write(tmp_path / "pair.tar"), False, silent)
    assert [(each.artifact.name, each.automatic) for each in arrivals] == [("base", True), ("trivial", False)]
    assert {package.name: package.automatic for package in there.packages()} == {"base": True, "trivial": False}
    [generation] = there.db.all("packages.generations")
    assert generation["reason"] == "import base 1.0.0 trivial 1.0.0"
    with pytest.raises(RequestError, match="base cannot be removed"):
        there.remove(["base"])


def test_a_model_travels_with_what_it_was_built_on(tmp_path: Path, here: Hive, there: Hive) -> None:
    here.import_bundle(Forged(pair()).write(tmp_path / "pair.tar"), False, silent)
    done = here.export("trivial", str(tmp_path / "both.tar"), silent)
    assert [artifact.name for artifact in done.artifacts] == ["base", "trivial"]
    there.import_bundle(done.path, False, silent)
    assert [package.name for package in there.packages()] == ["base", "trivial"]
    alone = here.export("base", str(tmp_path / "base.tar"), silent)
    assert [artifact.name for artifact in alone.artifacts] == ["base"]


def test_a_model_whose_dependency_is_gone_is_not_exported(tmp_path: Path, here: Hive) -> None:
    models = pair()
    here.import_bundle(Forged(models).write(tmp_path / "pair.tar"), False, silent)
    shutil.rmtree(here.store.path(models[1].digest))
    with pytest.raises(RequestError, match="cannot be exported"):
        here.export("trivial", str(tmp_path / "both.tar"), silent)


def test_a_dependency_that_is_here_already_need_not_travel(tmp_path: Path, there: Hive) -> None:
    needing, base = pair()
    there.import_bundle(Forged([base]).write(tmp_path / "base.tar"), False, silent)
    there.import_bundle(Forged([needing]).write(tmp_path / "needing.tar"), False, silent)
    assert [package.name for package in there.packages()] == ["base", "trivial"]


def test_import_again_changes_nothing(made: Export, there: Hive) -> None:
    there.import_bundle(made.path, False, silent)
    [arrival] = there.import_bundle(made.path, False, silent)
    assert arrival.action == "keep"
    assert len(there.db.all("packages.generations")) == 1


def test_import_again_mends_what_is_damaged(made: Export, there: Hive) -> None:
    there.import_bundle(made.path, False, silent)
    weights = there.store.path(Model().digest) / "weights.json"
    weights.chmod(0o644)
    weights.write_bytes(b"evil")
    there.import_bundle(made.path, False, silent)
    assert there.store.verify(Model().digest) == []


def test_import_replaces_another_build_and_says_which(made: Export, there: Hive, tmp_path: Path) -> None:
    other = Model(manifest.facts(trivial_build(seed=7), (), True))
    there.import_bundle(Forged([other]).write(tmp_path / "other.tar"), False, silent)
    [arrival] = there.import_bundle(made.path, False, silent)
    assert arrival.action == "replace" and arrival.before and arrival.before.artifact == other.digest
    assert [package.artifact for package in there.packages()] == [Model().digest]


def test_a_dependency_does_not_replace_what_others_use(tmp_path: Path, there: Hive) -> None:
    mine = Model(manifest.facts(replace_name("base", seed=7), (), True), trivial_files("base"))
    there.import_bundle(Forged([mine]).write(tmp_path / "mine.tar"), False, silent)
    models = pair()
    actions = {
        each.artifact.name: each.action
        for each in there.import_bundle(Forged(models).write(tmp_path / "pair.tar"), False, silent)
    }
    assert actions == {"base": "store", "trivial": "install"}
    assert installed.get(there.db, "base").artifact == mine.digest
    assert there.store.has(models[1].digest)


def arrive(hive: Hive, folder: Path, *models: Model) -> dict[str, str]:
    """Import a bundle of these; what became of each, which a dry run has foretold."""
    path = Forged(list(models)).write(folder / "arriving.tar")
    foretold = hive.import_bundle(path, True, silent)
    arrivals = hive.import_bundle(path, False, silent)
    assert arrivals == [replace(each, artifact=arrivals[at].artifact) for at, each in enumerate(foretold)]
    return {f"{each.artifact.name} {each.artifact.version}": each.why or each.action for each in arrivals}


def active(hive: Hive) -> set[str]:
    return {f"{package.name} {package.version}" for package in hive.packages()}


def test_a_dependency_replaces_what_does_not_do_for_the_model(tmp_path: Path, there: Hive) -> None:
    arrive(there, tmp_path, pair()[1])
    done = arrive(there, tmp_path, *pair(base="2.0.0", wanted=">=2"))
    assert done == {"base 2.0.0": "replace", "trivial 1.0.0": "install"}
    assert active(there) == {"base 2.0.0", "trivial 1.0.0"}
    assert not installed.get(there.db, "base").automatic  # it was asked for once, and stays so


def test_a_model_that_would_leave_another_without_what_it_needs_is_only_stored(tmp_path: Path, there: Hive) -> None:
    arrive(there, tmp_path, *pair("old", base="1.0.0", wanted="<2"))
    done = arrive(there, tmp_path, *pair("new", base="2.0.0", wanted=">=2"))
    assert done == {"base 2.0.0": "store", "new 1.0.0": "old 1.0.0 needs base <2"}
    assert arrive(there, tmp_path, pair(base="2.0.0")[1]) == {"base 2.0.0": "old 1.0.0 needs base <2"}
    assert active(there) == {"base 1.0.0", "old 1.0.0"}
    assert [each.version for each in there.details("new@1.0.0").inactive] == ["1.0.0"]


def test_what_was_built_on_the_new_dependency_comes_with_it(tmp_path: Path, there: Hive) -> None:
    """old 2 could not become active beside new 1; now all that needs base 2 does, old 2 by what is here already."""
    arrive(there, tmp_path, *pair("old", base="1.0.0", wanted="<2"))
    arrive(there, tmp_path, *pair("third", base="1.0.0", wanted="<2"))
    refused = arrive(there, tmp_path, *pair("old", "2.0.0", base="2.0.0", wanted=">=2"))
    assert refused == {"base 2.0.0": "store", "old 2.0.0": "third 1.0.0 needs base <2"}
    done = arrive(there, tmp_path, *pair("third", "2.0.0", base="2.0.0", wanted=">=2"))
    assert done == {"base 2.0.0": "replace", "third 2.0.0": "replace", "old 2.0.0": "replace"}
    assert active(there) == {"base 2.0.0", "old 2.0.0", "third 2.0.0"}
    assert there.db.all("packages.generations")[-1]["reason"] == "import base 2.0.0 third 2.0.0 old 2.0.0"


def test_what_was_needed_only_is_asked_for_once_it_is_imported_by_itself(tmp_path: Path, there: Hive) -> None:
    models = pair()
    there.import_bundle(Forged(models).write(tmp_path / "pair.tar"), False, silent)
    [arrival] = there.import_bundle(Forged([models[1]]).write(tmp_path / "base.tar"), False, silent)
    assert arrival.action == "keep" and not installed.get(there.db, "base").automatic


def test_dry_run_proves_everything_and_changes_nothing(made: Export, tmp_path: Path) -> None:
    nowhere = Hive(Home(tmp_path / "nowhere"), load_settings(tmp_path / "nowhere"))
    [arrival] = nowhere.import_bundle(made.path, True, silent)
    assert (arrival.action, arrival.artifact.digest) == ("install", Model().digest)
    assert not (tmp_path / "nowhere").exists()


def test_a_layout_that_was_unpacked_and_packed_again_is_taken(made: Export, there: Hive, tmp_path: Path) -> None:
    """Folders are mentioned, the order is another, and there are owners and times."""
    folder = tmp_path / "unpacked"
    folder.mkdir()
    subprocess.run(["tar", "xf", made.path, "-C", folder], check=True)
    packed = tmp_path / "packed.tar"
    subprocess.run(["tar", "cf", packed, "--sort=name", "-C", folder, "."], check=True)
    [arrival] = there.import_bundle(packed, False, silent)
    assert arrival.artifact.digest == Model().digest


def test_sizes_above_8_gib_fit_a_header() -> None:
    info = tarfile.TarInfo.frombuf(tarball.header("blobs/sha256/" + "a" * 64, 9 << 30), "utf-8", "strict")
    assert info.size == 9 << 30


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/etc/passwd")])
def test_what_is_no_file_is_refused_without_waiting(make: object, there: Hive, tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar"
    make(path)  # type: ignore[operator]
    for dry_run in (True, False):
        with pytest.raises(RequestError, match="cannot be read"):
            there.import_bundle(path, dry_run, silent)


def test_a_file_that_is_not_there(there: Hive, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="there is no file"):
        there.import_bundle(tmp_path / "nothing.tar", False, silent)


def test_progress_goes_from_nothing_to_all(made: Export, there: Hive) -> None:
    seen: list[tuple[int, int]] = []
    there.import_bundle(made.path, False, lambda done, total: seen.append((done, total)))
    done = [each for each, _ in seen]
    assert done == sorted(done) and done[-1] == seen[-1][1] == there.packages()[0].size_bytes


# -- interrupted, full, forbidden


def test_an_interrupt_leaves_nothing(made: Export, there: Hive) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        there.import_bundle(made.path, False, interrupt)
    assert there.packages() == [] and list(there.home.staging.iterdir()) == list(there.home.store.iterdir()) == []
    there.import_bundle(made.path, False, silent)
    assert len(there.packages()) == 1


def test_what_a_killed_import_left_is_swept_by_the_next(made: Export, hive: HiveCli) -> None:
    """Killed in the middle of a copy, for which it waits on a file that is not read from."""
    program = (
        "import os, signal, sys; from pathlib import Path; from hive.service import Hive\n"
        "def die(done, total): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"Hive.open().import_bundle(Path({str(made.path)!r}), False, die)"
    )
    code = subprocess.run([*hive.command[:1], "-c", program], env=hive.variables()).returncode
    assert code == -signal.SIGKILL
    staging = hive.paths.staging
    assert len(list(staging.iterdir())) == 1
    assert hive.ok("list", "--json").json() == []
    hive.ok("import", str(made.path))
    assert list(staging.iterdir()) == []


def test_an_import_at_work_is_not_swept(made: Export, there: Hive) -> None:
    def sweep(done: int, total: int) -> None:
        there.store.sweep()

    there.import_bundle(made.path, False, sweep)
    assert there.store.verify(Model().digest) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def large(tmp_path: Path) -> Path:
    model = Model()
    model.files["weights.bin"] = bytes(2 << 20)
    return Forged([model]).write(tmp_path / "large.tar")


def test_what_does_not_fit_is_refused_before_a_byte_is_written(small_disk: Path, tmp_path: Path) -> None:
    hive = service_at(small_disk / "hive")
    with pytest.raises(NoCapacity, match="no room"):
        hive.import_bundle(large(tmp_path), False, silent)
    assert hive.packages() == [] and list(hive.home.staging.iterdir()) == []


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(
    small_disk: Path, tmp_path: Path, made: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    hive = service_at(small_disk / "hive")
    with pytest.raises(NoCapacity, match="disk is full"):
        importing.receive(hive.db, hive.store, large(tmp_path), silent, free_bytes=1 << 40)
    assert hive.packages() == [] and list(hive.home.staging.iterdir()) == list(hive.home.store.iterdir()) == []
    hive.import_bundle(made.path, False, silent)
    assert len(hive.packages()) == 1


def test_export_to_a_full_disk_leaves_no_file(small_disk: Path, tmp_path: Path, here: Hive) -> None:
    here.import_bundle(large(tmp_path), False, silent)
    with pytest.raises(NoCapacity, match="no room"):
        here.export("trivial", str(small_disk / "out.tar"), silent)
    assert list(small_disk.iterdir()) == []


def test_foreign_code_runs_under_the_rules_of_foreign_code(made: Export, there: Hive) -> None:
    there.import_bundle(made.path, False, silent)
    assert not there._is_builtin(installed.artifact(there.db, Model().digest))


# -- the command line


def test_from_one_machine_to_another(tiny: HiveCli, tmp_path: Path) -> None:
    """A real model, with torch's weights, to a machine whose sources do not have its recipe."""
    done = tiny.ok("export", "tiny", "--json").json()
    path = Path(done["bundle"])
    assert path == tiny.cwd / "tiny-1.0.0.tar" and done["size_bytes"] == path.stat().st_size
    files = contents(path)
    config = next(json.loads(raw) for raw in files.values() if b'"modelfs"' in raw[:2000] and b"paramSize" in raw)
    assert (config["config"]["paramSize"], config["config"]["precision"]) == ("5", "float32")

    other = HiveCli(tmp_path / "other", tiny.cwd, {"HIVE_SOURCES": ""})
    would = other.ok("import", str(path), "--dry-run")
    assert "tiny 1.0.0" in would.err and "would be installed" in would.err
    assert not other.home.exists()
    told = other.ok("import", str(path), "--json").json()
    assert [(each["action"], each["name"]) for each in told["packages"]] == [("install", "tiny")]
    assert other.ok("list", "-q").out == "tiny\n"
    assert other.ok("verify").code == 0
    info = other.ok("info", "tiny")
    assert "it was imported" in info.out and "accuracy" in info.out
    assert other.ok("info", "tiny", "--bom").out == tiny.ok("info", "tiny", "--bom").out
    (tiny.cwd / "numbers.txt").write_text("1\n2\n")
    other.ok("run", "tiny", "numbers.txt", "-o", "scaled.txt")
    assert (tiny.cwd / "scaled.txt").read_text() == "2.0\n4.0\n"


def test_errors_are_said_as_elsewhere(hive: HiveCli) -> None:
    (hive.cwd / "evil.tar").write_bytes(b"evil" * 1000)
    done = hive("import", "evil.tar")
    assert done.code == 1 and "evil.tar is no bundle" in done.err
    done = hive("import", "nothing.tar", "--json")
    assert done.code == 1 and json.loads(done.err)["error"]["exit_code"] == 1
    done = hive("exprot", "x")
    assert done.code == 2 and "did you mean export" in done.err


def test_truncated_bundle_is_damage(hive: HiveCli) -> None:
    path = Forged().write(hive.cwd / "cut.tar")
    path.write_bytes(path.read_bytes()[:-5000])
    assert hive("import", "cut.tar").code == 7


def test_ctrl_c_ends_an_import_without_a_trace(hive: HiveCli) -> None:
    model = Model()
    model.files["weights.bin"] = os.urandom(8 << 20) * 32
    path = Forged([model]).write(hive.cwd / "large.tar")
    importing = hive.start("import", str(path))
    staging = hive.paths.staging

    def copying() -> bool:
        return any(staging.glob("*/weights.bin"))

    until(copying, "the copy has begun", 60)
    importing.send_signal(signal.SIGINT)
    importing.communicate(timeout=60)
    assert importing.returncode == 130
    assert list(staging.iterdir()) == list(hive.paths.store.iterdir()) == []
    assert hive.ok("list", "-q").out == ""
