"""A recipe that attacks: it gets out of no sandbox, and out of none it does, which shows that its probes work."""

from __future__ import annotations

import json
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("runner_contract", "hostile", "hostile_canaries")

from hive_cli import HiveCli  # noqa: E402
from hostile import HostileContract, attack_plainly, broken_promises, judged  # noqa: E402
from hostile_canaries import plant  # noqa: E402
from runner_contract import Backend  # noqa: E402
from test_process_runner import backend_in  # noqa: E402

from hive.runners.isolation import levels  # noqa: E402
from hive.runners.process import ProcessRunner  # noqa: E402

# What any user of a machine may do where nothing keeps him from it; much more where the tests run as root.
OPEN_TO_ALL = {
    "read_ssh_key", "read_credentials", "list_home", "list_the_real_home", "write_startup_file", "add_authorized_key",
    "read_hive_database", "write_hive_database", "read_store", "write_store", "read_other_job", "write_other_job",
    "read_file_of_another_user", "read_public_files", "write_public_files", "read_by_dotdot",
    "link_host_file_into_output", "use_inherited_descriptors", "use_descriptors_of_others", "make_setuid_program",
    "reach_services", "reach_unix_socket", "reach_loopback", "reach_abstract_socket", "send_datagram",
    "list_interfaces", "read_own_environment", "read_environments", "see_processes", "read_shared_memory",
    "type_into_terminal", "outlive_the_run", "kill_process",
}  # fmt: skip


class TestAtEachLevel(HostileContract):
    """What a level does not promise is not held against it; level none promises nothing but time."""

    @pytest.fixture(params=levels.NAMES)
    def backend(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Backend]:
        yield from backend_in(tmp_path, request.param)


def test_without_a_sandbox_the_probes_do_get_out(tmp_path: Path) -> None:
    with plant(tmp_path) as canaries:
        report = attack_plainly(canaries, tmp_path / "plain")
    assert len(report) >= 30
    held = {name: report[name]["detail"] for name in OPEN_TO_ALL if not report[name]["escaped"]}
    assert held == {}


def test_nothing_gets_out_of_an_installation(hive: HiveCli, tmp_path: Path) -> None:
    """The same through the command line: a supervisor, its descriptors and its environment."""
    with plant(tmp_path) as canaries:
        hive.ok("install", "hostile", "--param", f"targets={json.dumps(canaries.targets)}")
        job = hive.job()
        assert job.artifact
        probes = hive.service().store.path(job.artifact) / "probes.json"
        report = judged(probes, canaries, hive.paths.root, f"job {job.id} left no {probes}")
    isolation = ProcessRunner(hive.paths.root).isolation()
    found = broken_promises(report, isolation)
    assert not found, "\n".join([str(isolation), *found])


def test_a_link_to_a_file_of_the_user_is_not_published(hive: HiveCli) -> None:
    secret = Path.home() / "secret"
    secret.write_text(uuid.uuid4().hex)
    refused = hive("install", "hostile", "--param", "attack=link", "--param", f"targets={secret}")
    assert refused.code != 0 and "weights.json" in refused.err, refused
    assert hive.ok("list", "-q").out == ""
    files = [path for path in hive.paths.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in files if secret.read_bytes() in path.read_bytes()]


def test_no_installed_file_runs_as_its_owner(hive: HiveCli) -> None:
    hive.ok("install", "hostile", "--param", "attack=setuid")
    job = hive.job()
    assert job.artifact
    installed = [path for path in hive.service().store.path(job.artifact).rglob("*") if path.is_file()]
    assert "program" in {path.name for path in installed}
    assert not [path for path in installed if path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID | 0o111)]
