"""The images that containers run in: the runner's own, from Dockerfile.runner, and a thin layer a set of requirements.

An image is named by what it is made from, so it is built once and found again. The wheels are fetched here, with the
user's own pip and its settings, and the build itself needs no network. Nothing of a recipe runs while one is built.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hive_runner.frozen import frozen

from hive import locks
from hive.environments import refuse_source
from hive.errors import HiveError, NoCapacity, RequestError
from hive.model import digest_of
from hive.paths import runner_sources
from hive.runners.containers.engine import reason
from hive.runners.containers.wheels import wheels

if TYPE_CHECKING:
    from docker.api.client import APIClient

Say = Callable[[str], None]
REPOSITORY = "hive-runner"
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
BASE_IMAGE = f"python:{PYTHON}-slim"
BUILD_S = 3600.0  # for one step of a build

LAYER = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE} AS libraries
USER 0:0
COPY . /build/
ARG PIP_NO_INDEX=
RUN /runner/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-warn-script-location \\
        --only-binary :all: --prefix /runner/extra --find-links /build -r /build/requirements.txt
FROM ${BASE_IMAGE}
COPY --from=libraries /runner/extra /runner/extra
ENV PYTHONPATH=/runner:/runner/extra/lib/pythonX.Y/site-packages
""".replace("X.Y", PYTHON)

# What an image holds, printed by its own Python.
INVENTORY = """
import importlib.metadata, json, platform, re
found = {re.sub("[-_.]+", "-", d.metadata["Name"]).lower(): d.version for d in importlib.metadata.distributions()}
print(json.dumps({"python": platform.python_version(), "pins": sorted(f"{n}=={v}" for n, v in found.items())}))
"""


@frozen
class Image:
    id: str  # sha256:..., over everything in it
    tag: str
    python: str  # version
    pins: tuple[str, ...]  # name==version of every distribution in it
    size_bytes: int


@frozen
class Workshop:
    """What images are built with."""

    client: APIClient
    state: Path  # HIVE_HOME/images: locks, and what is known of each image
    base_image: str
    offline: bool
    say: Say


def runner_image(shop: Workshop, rebuild: bool = False) -> Image:
    """The image of Dockerfile.runner, built now if need be. Raises RequestError, NoCapacity."""
    files = runner_sources()
    made_from = {place: content.decode() for place, content in files.items()}
    tag = f"{REPOSITORY}:{digest_of([made_from, shop.base_image, os.uname().machine])[7:19]}"
    requirements = files["training-runner/requirements.txt"].decode().splitlines()
    wanted = tuple(line for line in requirements if line and not line.startswith("#"))

    def context(folder: Path) -> Iterator[tuple[str, bytes | Path]]:
        yield from files.items()
        yield from ((f"training-runner/wheels/{wheel.name}", wheel) for wheel in sorted(folder.iterdir()))

    def build() -> None:
        _have_base(shop)
        with wheels(wanted, (), shop.state, shop.say) as folder:
            _build(shop, tag, shop.base_image, "Dockerfile.runner", context(folder), fresh=rebuild)

    return _ensure(shop, tag, build, rebuild)


def image_for(shop: Workshop, requirements: tuple[str, ...], base: Image | None = None) -> Image:
    """The runner's image, with a layer for the requirements that it lacks. Raises RequestError, NoCapacity.

    base: the runner's image, if the caller has just asked for it.
    """
    base = base or runner_image(shop)
    if not (missing := _missing(requirements, base.pins)):
        return base
    for text in missing:
        refuse_source(text)
    tag = f"{base.tag}-{digest_of([sorted(requirements), base.id])[7:19]}"

    def context(folder: Path) -> Iterator[tuple[str, bytes | Path]]:
        yield "Dockerfile", LAYER.encode()
        yield "requirements.txt", "".join(f"{text}\n" for text in requirements).encode()
        yield from ((wheel.name, wheel) for wheel in sorted(folder.iterdir()))

    def build() -> None:
        shop.say(f"making an image layer for {', '.join(missing)}")
        with wheels(requirements, base.pins, shop.state, shop.say) as folder:
            _build(shop, tag, base.id, "Dockerfile", context(folder))

    return _ensure(shop, tag, build)


def known_image(state: Path) -> str:
    """The digest of the runner image that was used last on this machine, "" if there was none."""
    try:
        return str(json.loads((state / "runner.json").read_text())["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _ensure(shop: Workshop, tag: str, build: Callable[[], None], rebuild: bool = False) -> Image:
    """The image called `tag`, after `build` if the engine has none. One process builds, others wait for it."""
    if not rebuild and (found := _find(shop, tag)) is not None:
        return found
    if shop.offline:
        raise RequestError(f"the image {tag} is not there yet", "hive is offline", "once with a network: hive init")
    with locks.waited_for(
        shop.state / f"{tag.partition(':')[2]}.lock",
        lambda: shop.say("waiting for another hive that builds this image"),
    ):
        found = None if rebuild else _find(shop, tag)
        if found is None:
            build()
            found = _find(shop, tag)
    if found is None:
        raise HiveError(f"the engine built {tag} and does not know it")
    return found


def _find(shop: Workshop, tag: str) -> Image | None:
    from docker.errors import ImageNotFound

    try:
        facts = shop.client.inspect_image(tag)
    except ImageNotFound:
        return None
    image_id = str(facts["Id"])
    inventory = _inventory(shop, image_id)
    image = Image(image_id, tag, inventory["python"], tuple(inventory["pins"]), int(facts["Size"]))
    if "-" not in tag.partition(":")[2]:  # no layer: what hive.lock names
        _remember(shop.state / "runner.json", {"id": image_id, "tag": tag})
    return image


def _inventory(shop: Workshop, image_id: str) -> dict[str, Any]:
    """What an image holds, asked once and then remembered: an id stands for the same bytes for ever."""
    memory = shop.state / f"{image_id.removeprefix('sha256:')}.json"
    try:
        known: dict[str, Any] = json.loads(memory.read_text())
        return known
    except (OSError, ValueError):
        pass
    container = shop.client.create_container(
        image_id, entrypoint=["python3", "-c", INVENTORY], command=[],
        host_config=shop.client.create_host_config(network_mode="none", cap_drop=["ALL"], read_only=True),
    )["Id"]  # fmt: skip
    try:
        shop.client.start(container)
        code = shop.client.wait(container)["StatusCode"]
        said = shop.client.logs(container).decode(errors="replace")
    finally:
        shop.client.remove_container(container, force=True, v=True)
    if code:
        raise NoCapacity("the image does not work", said.strip().splitlines()[-1] if said.strip() else f"exit {code}")
    found: dict[str, Any] = json.loads(said)
    if not found["python"].startswith(f"{PYTHON}."):
        raise RequestError(
            f"the base image {shop.base_image} has Python {found['python']}", f"hive runs on {PYTHON}",
            f"hive init --base-image {BASE_IMAGE}",
        )  # fmt: skip
    _remember(memory, found)
    return found


def _remember(path: Path, facts: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stage = path.with_suffix(f".{os.getpid()}")
        stage.write_text(json.dumps(facts))
        os.replace(stage, path)
    except OSError:  # a full disk, or one that is read-only: it is asked again
        return


def _missing(requirements: Iterable[str], pins: Iterable[str]) -> list[str]:
    """The requirements that `pins` do not meet."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    have = dict(pin.split("==", 1) for pin in pins)
    missing = []
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate():
            continue
        version = have.get(canonicalize_name(requirement.name))
        if version is None or requirement.extras or not requirement.specifier.contains(version, prereleases=True):
            missing.append(text)
    return missing


def _have_base(shop: Workshop) -> None:
    """Pull the base image if it is not here, before wheels are fetched for it. Raises RequestError."""
    from docker.errors import DockerException, ImageNotFound

    try:
        shop.client.inspect_image(shop.base_image)
        return
    except ImageNotFound:
        shop.say(f"  pulling {shop.base_image}")
    why = ""
    try:
        for line in shop.client.pull(shop.base_image, stream=True, decode=True):
            why = str(line.get("error", why))
    except (DockerException, OSError) as error:
        why = reason(error)
    if why:
        raise RequestError(
            f"the image {shop.base_image} is not here and cannot be pulled", " ".join(why.split())[:300],
            "docker pull it where there is a network, or name another: hive init --base-image IMAGE",
        )  # fmt: skip


def _build(
    shop: Workshop,
    tag: str,
    base: str,
    dockerfile: str,
    files: Iterable[tuple[str, bytes | Path]],
    fresh: bool = False,
) -> None:
    """Build from `files`: place -> content, or the file that holds it. Raises RequestError naming the step."""
    from docker.errors import DockerException

    with tempfile.TemporaryFile(dir=shop.state) as context:
        _pack(files, context)
        context.seek(0)
        step = ""
        try:
            for line in shop.client.build(
                fileobj=context, custom_context=True, dockerfile=dockerfile, tag=tag, rm=True, forcerm=True,
                nocache=fresh, network_mode="none", decode=True, timeout=BUILD_S,
                buildargs={"BASE_IMAGE": base, "PIP_NO_INDEX": "1"},
            ):  # fmt: skip
                if "error" in line:
                    raise _cannot_build(step, str(line["error"]))
                said = str(line.get("stream", "")).strip()
                if said.startswith("Step "):
                    step = said
                    shop.say(f"  {said.splitlines()[0][:120]}")
        except (DockerException, OSError) as error:
            raise _cannot_build(step, reason(error)) from error


def _cannot_build(step: str, why: str) -> RequestError:
    why = " ".join(why.split())[-600:]
    return RequestError("the runner image cannot be built", f"{step}: {why}" if step else why)


def _pack(files: Iterable[tuple[str, bytes | Path]], target: IO[bytes]) -> None:
    """A tar that is the same for the same files: no times, no owners. The engine's cache of layers depends on it."""
    with tarfile.open(fileobj=target, mode="w") as archive:
        for place, content in files:
            entry = tarfile.TarInfo(place)
            entry.mode = 0o644
            entry.size = len(content) if isinstance(content, bytes) else content.stat().st_size
            with io.BytesIO(content) if isinstance(content, bytes) else open(content, "rb") as source:
                archive.addfile(entry, source)
