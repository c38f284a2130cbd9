"""A recipe in a process of its own: how it ends well, how it fails, and that a kill changes no byte."""

from __future__ import annotations

import json
import os
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest
from hive_runner.contract import RunFailure, RunResult
from runner_jobs import RunnerJob

EVERY_STEP = {"HIVE_CHECKPOINT_S": "0"}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """tiny, trained without a disturbance."""
    job = RunnerJob.make(tmp_path_factory.mktemp("undisturbed"), "tiny")
    job.run()
    return job.artifact()


def recipe(folder: Path, train: str, **others: str) -> Path:
    """A recipe folder made of source text."""
    folder.mkdir()
    (folder / "train.py").write_text(train)
    for name, text in others.items():
        (folder / f"{name}.py").write_text(text)
    return folder


# How it ends well


def test_training_leaves_weights_figures_and_card(artifact: dict[str, bytes]) -> None:
    assert sorted(artifact) == ["README.md", "config.json", "metrics.json", "weights.safetensors"]
    [metric] = json.loads(artifact["metrics.json"])
    assert metric["name"] == "accuracy"
    assert metric["value"] > 0.8
    assert b"| accuracy (higher is better) | 2000 drawn points | **0.9" in artifact["README.md"]


def test_the_same_job_gives_the_same_bytes(tmp_path: Path, artifact: dict[str, bytes]) -> None:
    again = RunnerJob.make(tmp_path / "elsewhere", "tiny")
    again.run(PYTHONHASHSEED="1", OMP_NUM_THREADS="2")  # what the caller's environment says must not matter
    assert again.artifact() == artifact


def test_another_seed_gives_other_bytes(tmp_path: Path, artifact: dict[str, bytes]) -> None:
    other = RunnerJob.make(tmp_path, "tiny", seed=8)
    other.run()
    assert other.artifact()["weights.safetensors"] != artifact["weights.safetensors"]


def test_events_tell_the_story(tmp_path: Path) -> None:
    job = RunnerJob.make(tmp_path, "trivial")
    result = job.run()
    assert [(event.kind, event.phase, event.step, event.total) for event in job.events()] == [
        ("phase", "train", 0, 3),
        ("progress", "train", 3, 3),
    ]
    assert result.status == "succeeded"
    assert result.peak_memory_bytes > 1 << 20
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize(("name", "expected"), [("tiny", "2.0\n5.0\n"), ("trivial", "1\n2.5\n[7, 8, 9]\n")])
def test_predict_writes_its_output_and_summary(tmp_path: Path, name: str, expected: str) -> None:
    model = tmp_path / "artifact"
    model.mkdir()
    (model / "config.json").write_text('{"features": 4}')
    (model / "weights.json").write_text("[7, 8, 9]")
    (tmp_path / "numbers.txt").write_text("1\n2.5\n")
    job = RunnerJob.make(
        tmp_path / "job", Path(__file__).parent / "recipes" / name, "predict",
        artifact=str(model), inputs=[str(tmp_path / "numbers.txt")], output="result.txt",
        options={"factor": 2.0, "negate": False},
    )  # fmt: skip
    result = job.run()
    assert (job.folder / "out" / "result.txt").read_text() == expected
    assert result.summary == ({"numbers": 2, "sum": 7.0} if name == "tiny" else {"weights": 3})


def test_sample_writes_an_input_to_try(tmp_path: Path) -> None:
    job = RunnerJob.make(tmp_path, "tiny", "sample", output="sample.txt")
    job.run()
    assert (tmp_path / "out" / "sample.txt").read_text() == "1\n2\n3.5\n"


def test_what_a_dead_attempt_left_in_out_is_not_published(tmp_path: Path) -> None:
    job = RunnerJob.make(tmp_path, "trivial")
    (tmp_path / "out" / "half").mkdir(parents=True)
    (tmp_path / "out" / "half" / "written.bin").write_bytes(b"?")
    job.run()
    assert sorted(job.artifact()) == ["metrics.json", "weights.json"]


def test_a_recipe_folder_is_only_read(tmp_path: Path) -> None:
    source = "from .helper import VALUE\n\ndef train(run):\n    run.out.joinpath('x').write_text(VALUE)\n"
    folder = recipe(tmp_path / "reads-only", source, helper="VALUE = 'right'\n")
    job = RunnerJob.make(tmp_path / "job", folder)
    job.run(PYTHONDONTWRITEBYTECODE="")
    assert job.artifact()["x"] == b"right"
    assert sorted(path.name for path in folder.iterdir()) == ["helper.py", "train.py"]


def test_bytecode_beside_the_source_is_not_believed(tmp_path: Path) -> None:
    import py_compile

    text = "VALUE = '{}'\n\ndef train(run):\n    run.out.joinpath('x').write_text(VALUE)\n"
    folder = recipe(tmp_path / "planted", text.format("wrong"))
    source = folder / "train.py"
    os.utime(source, (1e9, 1e9))
    py_compile.compile(str(source), doraise=True)
    source.write_text(text.format("right"))  # the same size and time: Python itself would run the old bytecode
    os.utime(source, (1e9, 1e9))
    job = RunnerJob.make(tmp_path / "job", folder)
    job.run()
    assert job.artifact()["x"] == b"right"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_can_import_the_recipe(tmp_path: Path, method: str) -> None:
    source = f"""
from multiprocessing import get_context
from .work import square

def train(run):
    with get_context("{method}").Pool(2) as pool:
        run.out.joinpath("x").write_text(str(pool.map(square, [1, 2, 3])))
"""
    folder = recipe(tmp_path / "with-workers", source, work="def square(n):\n    return n * n\n")
    job = RunnerJob.make(tmp_path / "job", folder)
    job.run()
    assert job.artifact()["x"] == b"[1, 4, 9]"


def test_libraries_are_seeded_wherever_they_are_imported(tmp_path: Path) -> None:
    source = """
def train(run):
    import random, numpy, torch
    drawn = [random.random(), numpy.random.rand(), torch.rand(1).item(), torch.get_num_threads()]
    drawn.append(torch.are_deterministic_algorithms_enabled())
    run.out.joinpath("x").write_text(repr(drawn) + repr(sorted({"b", "a"}, key=hash)))
"""
    folder = recipe(tmp_path / "lazy", source)
    drawn = []
    for number in range(2):
        job = RunnerJob.make(tmp_path / str(number), folder)
        job.run()
        drawn.append(job.artifact()["x"].decode())
    assert drawn[0] == drawn[1]
    assert "1, True]" in drawn[0]


# How it fails


@pytest.mark.parametrize(
    ("name", "kind", "message", "why"),
    [
        ("raises", "recipe_error", "ZeroDivisionError: division by zero", "train.py:13 in _divide"),
        ("nan", "diverged", "loss became nan at step 997", ""),
        ("no-output", "bad_output", "the recipe wrote nothing", "is empty"),
        ("pickles", "bad_output", "the recipe wrote a pickle: weights.pkl", "a pickle runs code"),
    ],
)
def test_each_failure_has_its_kind(tmp_path: Path, name: str, kind: str, message: str, why: str) -> None:
    failure = failure_of(RunnerJob.make(tmp_path, name).run())
    assert (failure.kind, failure.message) == (kind, message)
    assert why in failure.why


def failure_of(result: RunResult) -> RunFailure:
    assert result.status == "failed"
    assert result.failure is not None
    return result.failure


def test_a_refused_allocation_is_out_of_memory(tmp_path: Path) -> None:
    result = RunnerJob.make(tmp_path, "eats-memory", memory_bytes=400 << 20).run(memory_bytes=400 << 20)
    assert failure_of(result).kind == "out_of_memory"
    assert "the limit is 0.391 GiB" in failure_of(result).why


BODY = "def train(run):\n    {}\n"


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("import no_such_library\n", "recipe_error",
         "recipe made needs no_such_library, which its environment does not hold"),
        ("from .absent import x\n", "recipe_error", "recipe made has no absent.py"),
        ("def train(run)\n", "recipe_error", "SyntaxError: expected ':' (train.py, line 1)"),
        ("", "recipe_error", "recipe made has no train() in train.py"),
        (BODY.format("raise SystemExit(3)"), "recipe_error", "the recipe called exit(3)"),
        (BODY.format("raise OSError(28, 'No space left on device')"), "disk_full", "made ran out of disk space"),
        (BODY.format("raise OSError(27, 'File too large')"), "disk_full", "made ran out of disk space"),
        (BODY.format("run.out.joinpath('a').symlink_to('/etc/passwd')"), "bad_output",
         "the recipe wrote something that is not a plain file: a"),
        (BODY.format("run.report('x', float('nan'))"), "diverged", "metric x is not a finite number"),
        (BODY.format("run.report('x', 1); run.report('x', 2)"), "recipe_error", "metric x was reported twice"),
        (BODY.format("run.params.stepz"), "recipe_error",
         "AttributeError: recipe.toml defines no setting 'stepz' (it defines: none)"),
        ("import torch\n" + BODY.format("torch.empty(1 << 60)"), "out_of_memory", "made ran out of memory"),
        ("from hive_runner.errors import InputError\n" + BODY.format("raise InputError('bad', 'because', 'so')"),
         "bad_input", "bad"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said(tmp_path: Path, source: str, kind: str, message: str) -> None:
    failure = failure_of(RunnerJob.make(tmp_path / "job", recipe(tmp_path / "made", source)).run())
    assert (failure.kind, failure.message) == (kind, message)


def test_the_log_has_the_whole_traceback(tmp_path: Path) -> None:
    job = RunnerJob.make(tmp_path, "raises")
    job.run()
    assert "in train\n    _divide(step, 0)" in job.log()


def test_predict_that_writes_nothing_is_bad_output(tmp_path: Path) -> None:
    folder = recipe(tmp_path / "silent", "", predict="def predict(run):\n    pass\n")
    failure = failure_of(RunnerJob.make(tmp_path / "job", folder, "predict", output="result.txt").run())
    assert (failure.kind, failure.message) == ("bad_output", "the recipe did not write result.txt")


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    source = "def train(run):\n    with open('/dev/full', 'w') as file:\n        file.write('x')\n"
    assert failure_of(RunnerJob.make(tmp_path / "job", recipe(tmp_path / "made", source)).run()).kind == "disk_full"


def test_a_forgotten_thread_does_not_keep_the_run_alive(tmp_path: Path) -> None:
    source = """
import threading, time

def train(run):
    threading.Thread(target=time.sleep, args=(60,)).start()
    run.out.joinpath("x").touch()
"""
    job = RunnerJob.make(tmp_path / "job", recipe(tmp_path / "made", source))
    assert job.start().wait(20) == 0
    assert job.result().status == "succeeded"


# What a kill leaves behind


@pytest.mark.parametrize("kills", [1, 4])
def test_a_killed_and_resumed_run_ends_with_the_same_bytes(
    tmp_path: Path, artifact: dict[str, bytes], kills: int
) -> None:
    job = RunnerJob.make(tmp_path, "tiny")
    for kill in range(1, kills + 1):
        enough = 10 * kill
        job.kill_when(lambda enough=enough: len(job.events("checkpoint")) >= enough, job.start(**EVERY_STEP), SIGKILL)
        assert not (tmp_path / "result.json").exists()
    assert job.run().status == "succeeded"
    assert any(event.message.startswith("going on from the checkpoint at step") for event in job.events("log"))
    assert job.artifact() == artifact


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, artifact: dict[str, bytes]) -> None:
    job = RunnerJob.make(tmp_path, "tiny")
    job.kill_when(lambda: len(job.events("checkpoint")) > 10, job.start(**EVERY_STEP), SIGKILL)
    older, newest = sorted((tmp_path / "checkpoints").glob("*.ckpt"))[-2:]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    job.run()
    messages = [event.message for event in job.events("log")]
    assert any("is damaged; falling back" in message for message in messages)
    assert f"going on from the checkpoint at step {older.name.split('-')[1].removeprefix('step')}" in messages
    assert job.artifact() == artifact


def test_sigterm_saves_a_checkpoint_and_stops(tmp_path: Path, artifact: dict[str, bytes]) -> None:
    job = RunnerJob.make(tmp_path, "tiny", params={"pause_ms": 20})
    # With the usual interval no checkpoint falls within these few seconds: the one found is that of the stop.
    assert job.kill_when(lambda: bool(job.events("progress")), job.start(), SIGTERM) == 75
    result = job.result()
    assert result.status == "stopped"
    assert result.failure is not None
    assert result.failure.kind == "stopped"
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1
    assert job.run().status == "succeeded"
    assert job.artifact() == artifact


def test_sigterm_stops_a_phase_that_saves_nothing_at_its_next_sign_of_progress(tmp_path: Path) -> None:
    train = """
import time

def train(run):
    run.phase("draw pictures", total=6000)
    for done in range(6000):
        run.progress(done)
        time.sleep(0.01)
    run.save_weights({}, {})
"""
    job = RunnerJob.make(tmp_path / "job", recipe(tmp_path / "draws", train))
    assert job.kill_when(lambda: bool(job.events("progress")), job.start(), SIGTERM) == 75
    failure = job.result().failure
    assert failure is not None
    assert (failure.kind, failure.message) == ("stopped", "stopped in draw pictures")


def test_workers_that_a_recipe_left_behind_do_not_hold_up_the_end(tmp_path: Path) -> None:
    """As a training does that was stopped between two of its batches, if a cycle keeps what makes them."""
    train = """
from hive_runner.ahead import made_ahead
kept = []

def train(run):
    kept.append(made_ahead(abs, iter(range(-100, 0)), workers=2))
    next(kept[0])
    run.save_weights({}, {})
"""
    job = RunnerJob.make(tmp_path / "job", recipe(tmp_path / "leaves", train))
    assert job.run().status == "succeeded"


def test_what_multiprocessing_kept_in_the_scratch_folder_leaves_no_traceback_in_the_log(tmp_path: Path) -> None:
    train = """
from multiprocessing.util import get_temp_dir

def train(run):
    assert str(run.scratch) in get_temp_dir()
    run.save_weights({}, {})
"""
    job = RunnerJob.make(tmp_path / "job", recipe(tmp_path / "listens", train))
    assert job.run(TMPDIR=str(tmp_path / "job" / "scratch")).status == "succeeded"
    assert "Traceback" not in job.log()


def test_sigterm_ends_a_prediction_at_once(tmp_path: Path) -> None:
    source = "import time\n\ndef predict(run):\n    run.progress(1)\n    time.sleep(60)\n"
    job = RunnerJob.make(tmp_path / "job", recipe(tmp_path / "slow", "", predict=source), "predict", output="x")
    assert job.kill_when(lambda: bool(job.events("progress")), job.start(), SIGTERM) == -SIGTERM
    assert not (job.folder / "result.json").exists()
