"""hive source: folders and git repositories, their order, and how commits move."""

from __future__ import annotations

import http.server
import os
import shutil
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from hive_cli import HiveCli
from shelf import put

pytestmark = pytest.mark.usefixtures("no_setting")


@pytest.fixture
def no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HIVE_SOURCES")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(repository: Path, message: str = "change") -> str:
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", message)
    return git(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with base 1.0, its recipes in a folder `recipes`."""
    folder = tmp_path / "repository"
    put(folder / "recipes", "base", "1.0")
    git(folder, "init", "-q", "-b", "main")
    commit(folder)
    return folder


def listed(hive: HiveCli) -> list[tuple[str, str]]:
    return [(each["name"], each["kind"]) for each in hive.ok("source", "list", "--json").json()]


# folders, and the order


def test_a_folder_is_a_source_as_it_lies_there(hive: HiveCli, tmp_path: Path) -> None:
    assert listed(hive) == [("built-in", "built-in")]
    assert not hive.home.exists(), "asking makes nothing"
    put(tmp_path / "mine", "base", "1.0")
    told = hive.ok("source", "add", "mine", str(tmp_path / "mine")).err
    assert "number 2 of 2" in told
    put(tmp_path / "mine", "base", "1.1")
    hive.ok("install", "base")
    assert hive.ok("list", "--json").json()[0]["version"] == "1.1"
    hive.ok("source", "remove", "mine")
    assert listed(hive) == [("built-in", "built-in")]
    assert hive.ok("list", "-q").out == "base\n", "what was installed stays"


def test_a_new_source_takes_no_name_away_unless_it_is_put_first(hive: HiveCli, tmp_path: Path) -> None:
    put(tmp_path / "a", "gis-lidar", "99.0", summary="not the real one")
    put(tmp_path / "b", "gis-lidar", "98.0", summary="nor this")
    hive.ok("source", "add", "a", str(tmp_path / "a"))
    found = {hit["source"]: hit for hit in hive.ok("search", "--json").json()}
    assert found["a"]["shadowed_by"] == "built-in" and found["built-in"]["shadowed_by"] is None
    assert "shadowed by built-in" in hive.ok("search", "not the real one").out
    assert hive.ok("search", "-q", "gis-lidar").out == "gis-lidar\n"
    assert hive.ok("info", "--json", "gis-lidar").json()["recipe"]["source"] == "built-in"
    hive.ok("source", "add", "b", str(tmp_path / "b"), "--first")
    assert listed(hive) == [("b", "folder"), ("built-in", "built-in"), ("a", "folder")]
    assert hive.ok("info", "--json", "gis-lidar").json()["recipe"]["version"] == "98.0"
    hive.ok("source", "remove", "a")
    hive.ok("source", "add", "a", str(tmp_path / "a"), "--before", "b")
    assert [name for name, _ in listed(hive)] == ["a", "b", "built-in"]
    table = hive.ok("source", "list").out.splitlines()
    assert table[0].split() == ["#", "NAME", "KIND", "LOCATION", "REF", "COMMIT"] and table[1].startswith("1")


def test_the_setting_still_comes_before_all(hive: HiveCli, tmp_path: Path) -> None:
    put(tmp_path / "set", "base", "1.0")
    put(tmp_path / "added", "base", "2.0")
    hive.ok("source", "add", "added", str(tmp_path / "added"), "--first")
    setting = {"HIVE_SOURCES": str(tmp_path / "set")}
    assert hive.ok("info", "--json", "base", **setting).json()["recipe"]["version"] == "1.0"
    assert hive.ok("source", "list", "-q", **setting).out.split() == [str(tmp_path / "set"), "added", "built-in"]
    assert "HIVE_SOURCES" in hive.ok("source", "list", **setting).out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("add", "Mine", "."), 1, "cannot be called 'Mine'"),
        (("add", "built-in", "."), 1, "cannot be called"),
        (("add", "mine", "nowhere"), 1, "there is no folder"),
        (("add", "mine", ".", "--before", "nobody"), 1, "no source called 'nobody'"),
        (("add", "mine", ".", "--first", "--before", "built-in"), 2, "exclude each other"),
        (("add", "mine", "https://x", "--branch", "a", "--ref", "b"), 2, "exclude each other"),
        (("add", "mine", "ext::sh -c date"), 1, "cannot be fetched"),
        (("add", "mine", "http://127.0.0.1/x"), 1, "cannot be fetched"),
        (("add", "mine", "https://127.0.0.1:1/x", "--ref=--upload-pack=date"), 1, "is not a branch"),
        (("remove", "built-in"), 1, "cannot be removed"),
        (("remove", "nobody"), 1, "no source called"),
        (("update", "nobody"), 1, "no source called"),
    ],
)
def test_what_cannot_be_a_source_is_told(hive: HiveCli, arguments: tuple[str, ...], code: int, told: str) -> None:
    refused = hive("source", *arguments)
    assert refused.code == code and told in refused.err, refused
    assert listed(hive) == [("built-in", "built-in")]


def test_names_of_sources_are_taken_once(hive: HiveCli, tmp_path: Path) -> None:
    hive.ok("source", "add", "mine", str(tmp_path))
    refused = hive("source", "add", "mine", str(tmp_path))
    assert refused.code == 1 and "already" in refused.err


def test_dry_run_adds_nothing(hive: HiveCli, tmp_path: Path) -> None:
    assert "would add mine" in hive.ok("source", "add", "--dry-run", "mine", str(tmp_path)).err
    assert listed(hive) == [("built-in", "built-in")]


# repositories


@pytest.mark.parametrize("address", ["file", "path", "bare"])
def test_a_repository_stands_at_a_commit_until_it_is_updated(hive: HiveCli, repository: Path, address: str) -> None:
    if address == "bare":
        git(repository.parent, "clone", "-q", "--bare", str(repository), "bare.git")
        git(repository, "remote", "add", "bare", str(repository.parent / "bare.git"))
    place = {"file": f"file://{repository}", "path": str(repository), "bare": str(repository.parent / "bare.git")}
    first = git(repository, "rev-parse", "HEAD")
    hive.ok("source", "add", "team", place[address], *(["--git"] if address == "path" else []))
    [_, added] = hive.ok("source", "list", "--json").json()
    assert (added["kind"], added["commit"]) == ("git", first)
    assert first[:12] in hive.ok("source", "list").out
    put(repository / "recipes", "base", "1.1")
    second = commit(repository)
    if address == "bare":
        git(repository, "push", "-q", "bare", "main")
    hive.ok("install", "base")
    assert hive.ok("list", "--json").json()[0]["version"] == "1.0", "a push changes nothing here"
    shown = hive.ok("source", "update", "--dry-run").err
    assert f"team: {first[:12]} -> {second[:12]}" in shown
    assert hive.ok("source", "list", "--json").json()[1]["commit"] == first
    assert hive.ok("source", "update", "--json").json() == [{"name": "team", "before": first, "after": second}]
    assert f"team stays at {second[:12]}" in hive.ok("source", "update", "team").err
    hive.ok("upgrade")
    assert hive.ok("list", "--json").json()[0]["version"] == "1.1"
    hive.ok("source", "remove", "team")
    assert not (hive.home / "sources" / "team").exists()


def test_branch_tag_and_commit_can_be_chosen(hive: HiveCli, repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "v1")
    git(repository, "checkout", "-qb", "next")
    put(repository / "recipes", "base", "2.0")
    second = commit(repository)
    address = f"file://{repository}"
    hive.ok("source", "add", "branch", address, "--branch", "next")
    hive.ok("source", "add", "tag", address, "--ref", "v1")
    hive.ok("source", "add", "commit", address, "--ref", first)
    hive.ok("source", "add", "short", address, "--ref", first[:10])
    commits = {each["name"]: each["commit"] for each in hive.ok("source", "list", "--json").json()}
    assert commits == {"built-in": "", "branch": second, "tag": first, "commit": first, "short": first}
    missing = hive("source", "add", "none", address, "--branch", "nowhere")
    assert missing.code == 1 and "git fetch failed" in missing.err and "nowhere" in missing.err


def test_hooks_filters_links_and_submodules_have_no_say(hive: HiveCli, repository: Path, tmp_path: Path) -> None:
    """A hostile repository, and settings of the user's that would run things."""
    mark = tmp_path / "mark"
    other = tmp_path / "other"
    put(other, "sub", "1.0")
    git(other, "init", "-q")
    commit(other)
    git(repository, "submodule", "--quiet", "add", f"file://{other}", "recipes/submodule")
    (repository / "recipes" / "leak").mkdir()
    (repository / "recipes" / "leak" / "recipe.toml").symlink_to("/etc/passwd")
    (repository / ".gitattributes").write_text("*.py filter=evil\n")
    commit(repository)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction", "post-merge", "pre-auto-gc"):
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >> {mark}\n")
        (hooks / name).chmod(0o755)
    Path(os.environ["HOME"], ".gitconfig").write_text(
        f'[core]\nhooksPath = {hooks}\n[filter "evil"]\nsmudge = "echo smudge >> {mark}; cat"\n'
        f"[init]\ntemplateDir = {tmp_path}\n[submodule]\nrecurse = true\n"
    )
    told = hive.ok("source", "add", "team", f"file://{repository}").err
    assert "1 links are left out" in told
    assert not mark.exists()
    assert [hit["name"] for hit in hive.ok("search", "--json").json() if hit["source"] == "team"] == ["base"]
    tree = next(path for path in (hive.home / "sources" / "team").iterdir() if len(path.name) == 40)
    assert not any(path.is_symlink() for path in tree.rglob("*"))
    assert not (tree / "recipes" / "submodule" / "sub").exists()


def test_offline_names_the_network_and_leaves_local_places_alone(hive: HiveCli, repository: Path) -> None:
    refused = hive("source", "add", "far", "https://example.invalid/x.git", "--offline")
    assert refused.code == 1 and "hive is offline" in refused.err and "HIVE_OFFLINE" in refused.err
    assert "hive is offline" in hive("source", "add", "far", "https://example.invalid/x.git", HIVE_OFFLINE="1").err
    hive.ok("source", "add", "near", f"file://{repository}", "--offline")
    hive.ok("source", "update", "--offline")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, to make a certificate")
def test_nothing_asks_for_a_password(hive: HiveCli, tmp_path: Path) -> None:
    """A server that wants one: the command fails at once, whoever sits at the terminal."""
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1",
            "-keyout", "key.pem", "-out", "cert.pem"]  # fmt: skip
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    asked: list[str | None] = []

    class Closed(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers["Authorization"])
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="private"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return None

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Closed)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Path(os.environ["HOME"], ".gitconfig").write_text("[http]\nsslVerify = false\n")
    refused = hive("source", "add", "private", f"https://127.0.0.1:{server.server_port}/x.git")
    server.shutdown()
    assert refused.code == 1 and "Authentication failed" in refused.err, refused
    assert asked and asked[0] is None
    assert not (hive.home / "sources" / "private").exists(), "nothing is left of it"


def test_completion_knows_sources(hive: HiveCli, tmp_path: Path) -> None:
    hive.ok("source", "add", "mine", str(tmp_path))
    for words in ("hive source remove m", "hive source add x . --before m"):
        count = str(len(words.split()) - 1)
        assert hive.ok(_HIVE_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=count).out == "plain,mine\n"
