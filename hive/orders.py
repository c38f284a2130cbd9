"""Makes the runner contract's folder for a build or a run, and the order that a backend executes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hive_runner.contract import JobSpec

from hive.environments import RunnerEnvironment
from hive.errors import BuildFailed
from hive.model import Job, Limits
from hive.paths import Home
from hive.runners.base import Mount, Order, Runner, outside, work_path

PASSED_ON = ("HIVE_CHECKPOINT_S",)  # how often to checkpoint: nothing that changes a result
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def build_order(
    home: Home, job: Job, runner: Runner, dependencies: dict[str, Path], cores: tuple[int, ...] = (), gpu: str = ""
) -> Order:
    """The order for the job's current attempt. dependencies: name -> artifact folder. cores: its own; () for any. gpu:
    its own, if it wants one.

    Raises BuildFailed if the recipe's snapshot or the data is gone.
    """
    folder = home.attempt(job.id, job.attempt)
    checkpoints = home.checkpoints(job.build_key)
    for part in (folder, folder / "out", checkpoints):
        part.mkdir(parents=True, exist_ok=True)
    recipe = Mount(Path(job.work.recipe_path), "/recipe")
    if not recipe.source.is_dir():
        raise BuildFailed(f"the recipe's snapshot {recipe.source} is gone", hint=f"hive install {job.name}")
    kept = Mount(checkpoints, "/checkpoints", writable=True)
    cache = _cache(home, job.build.recipe_digest)
    data = {name: Mount(Path(source.path), f"/data/{name}") for name, source in job.build.data.items()}
    for mount in data.values():
        if not mount.source.exists():
            raise BuildFailed(f"the training data {mount.source} is gone", "it was there when the build was queued")
    needed = _needed(dependencies)
    spec = JobSpec(
        action="train",
        recipe=job.name,
        version=job.version,
        recipe_path=runner.place(recipe),
        out=work_path(runner, folder, "out"),
        checkpoints=runner.place(kept),
        events=work_path(runner, folder, "events.jsonl"),
        result=work_path(runner, folder, "result.json"),
        profile=job.build.profile,
        params=job.build.params,
        seed=job.build.seed,
        threads=job.build.threads,
        cpus=job.work.limits.cpus,
        device=job.build.device,
        gpu=gpu,
        memory_bytes=job.work.limits.memory_bytes,
        data={name: runner.place(mount) for name, mount in data.items()},
        deps={name: runner.place(mount) for name, mount in needed.items()},
    )
    spec.write(folder / "spec.json")
    mounts = (recipe, kept, cache, *data.values(), *needed.values(), *_environment_mounts(job.work.mounts))
    labels = {"hive.home": str(home.root), "hive.job": str(job.id), "hive.attempt": str(job.attempt)}
    environment = _environment(runner, cache, job.build.threads)
    return Order(folder, job.work.python, mounts, job.work.limits, environment, labels, job.work.image, gpu, cores)


def run_order(
    home: Home,
    folder: Path,
    runner: Runner,
    artifact: Path,
    manifest: dict[str, Any],
    dependencies: Mapping[str, Path],
    inputs: list[Path],
    out: Path,
    output: str,
    options: dict[str, Any],
    limits: Limits,
    installed: RunnerEnvironment,
    action: str = "predict",
) -> Order:
    """The order for one `hive run`. dependencies: as `build_order`'s. out: a folder to write in; output: the name in it
    that the run must write.
    """
    folder.mkdir(parents=True)
    recipe = Mount(artifact / "recipe", "/recipe")
    model = Mount(artifact, "/artifact")
    target = Mount(out, "/out", writable=True)
    # Each input is mounted alone, under its own name: its neighbours are none of the run's business.
    given = [Mount(path, input_place(number, path)) for number, path in enumerate(inputs)]
    needed = _needed(dependencies)
    cache = _cache(home, manifest["build"]["recipe_digest"])
    spec = JobSpec(
        action=action,
        recipe=manifest["name"],
        version=manifest["version"],
        recipe_path=runner.place(recipe),
        out=runner.place(target),
        checkpoints=work_path(runner, folder, "checkpoints"),
        events=work_path(runner, folder, "events.jsonl"),
        result=work_path(runner, folder, "result.json"),
        profile=manifest["build"]["profile"],
        seed=int(manifest["build"]["seed"]),
        threads=limits.threads,
        cpus=limits.cpus,
        device="cpu",
        memory_bytes=limits.memory_bytes,
        deps={name: runner.place(mount) for name, mount in needed.items()},
        artifact=runner.place(model),
        inputs=[outside(runner, given, path) for path in inputs],
        output=os.path.join(runner.place(target), output),
        options=options,
    )
    (folder / "checkpoints").mkdir()
    spec.write(folder / "spec.json")
    mounts = (recipe, model, target, cache, *given, *needed.values(), *_environment_mounts(map(str, installed.paths)))
    environment = _environment(runner, cache, limits.threads)
    labels = {"hive.home": str(home.root)}
    return Order(folder, installed.python, mounts, limits, environment, labels, installed.image, dies_with_caller=True)


def input_place(number: int, path: Path) -> str:
    """Where a run sees an input, if it sees anything elsewhere than it is."""
    return f"/inputs/{number}/{path.name}"


def _needed(dependencies: Mapping[str, Path]) -> dict[str, Mount]:
    return {name: Mount(path, f"/deps/{name}") for name, path in dependencies.items()}


def _cache(home: Home, recipe_digest: str) -> Mount:
    """Compiled kernels, kept between runs. A folder a recipe: none can plant code for another."""
    folder = home.root / "cache" / recipe_digest.removeprefix("sha256:")[:32]
    folder.mkdir(parents=True, exist_ok=True)
    return Mount(folder, "/cache", writable=True)


def _environment_mounts(folders: Iterable[str]) -> list[Mount]:
    return [Mount(Path(folder), folder) for folder in folders]


def _environment(runner: Runner, cache: Mount, threads: int) -> dict[str, str]:
    """Variables that must stand before the interpreter starts. The hash seed is fixed: sets iterate alike each time."""
    place = runner.place(cache)
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {
        **passed_on,
        **{name: str(threads) for name in THREAD_VARIABLES},
        "PYTHONHASHSEED": "0",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "NUMBA_CACHE_DIR": place,
        "XDG_CACHE_HOME": place,
    }


def clear(folder: Path) -> None:
    """Remove what a run left in its contract folder except the log and the result, which tell its story."""
    import shutil

    for part in ("out", "scratch"):
        shutil.rmtree(folder / part, ignore_errors=True)
