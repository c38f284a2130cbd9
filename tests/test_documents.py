"""What an artifact says of itself to others: model card, provenance, bill of materials. Read by others' readers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from builders import build, recipe, work
from hive_cli import RECIPES, HiveCli
from hive_runner.contract import Metric, RunResult
from hive_runner.frozen import replace

from hive import bom, card, provenance, queue
from hive.db import Database
from hive.model import DataPackage, DataSource, RunInterface
from hive.paths import Home
from hive.publish import publish
from hive.store import BadOutput, Store

METRICS = [
    Metric("accuracy", 0.9312, dataset="2000 drawn points", spread=0.01, baselines={"majority": 0.55, "naive": 0.6}),
    Metric("rate", 1e-05, "lower", unit="m", dataset="2000 drawn points"),
    Metric("f1", 0.5),
]
FILES = [
    {"path": "weights.safetensors", "sha256": "a" * 64, "size_bytes": 10},
    {"path": "recipe/train.py", "sha256": "b" * 64, "size_bytes": 20},
]
PINS = ("numpy==2.1.0", "torch==2.6.0+cpu", "Ruamel_Yaml==1!2.0")
OURS = recipe(
    keywords=("lidar", "point cloud"), task="point-cloud-classification",
    run=RunInterface(inputs=(".laz", ".las"), output=".laz"),
)  # fmt: skip
SHAPES = DataPackage(
    "shapes", "shapes.zip", ("https://example.org/shapes.zip",), "sha256:" + "7" * 64, 120, "CC-BY-3.0"
)
BUILD = build(
    data={"user": DataSource("/home/me/tiles", "sha256:" + "d" * 64)}, dependencies={"base": "sha256:" + "e" * 64},
    params={"steps": 100, "rate": 0.5},
)  # fmt: skip


# -- the card


def front_matter(text: str) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    _, block, _ = text.split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(block)
    return found


def test_the_hub_reads_licence_task_tags_and_figures() -> None:
    hub = pytest.importorskip("huggingface_hub", reason="reads model cards")
    text = card.render("# model\n\nWords.\n", OURS, True, METRICS)
    read = hub.ModelCard(text)
    assert read.data.license == "mit"
    assert read.data.library_name == "hive"
    assert read.data.pipeline_tag == "point-cloud-classification"
    assert read.data.tags == ["hive", "lidar", "point cloud"]
    assert read.data.model_name == "model"
    figures = {(each.dataset_name, each.metric_type): each.metric_value for each in read.data.eval_results}
    assert figures == {
        ("2000 drawn points", "accuracy"): 0.9312,
        ("2000 drawn points", "rate"): 1e-05,
        ("held out by the recipe", "f1"): 0.5,
    }
    assert read.text.strip() == "# model\n\nWords."


def test_a_licence_that_the_hub_does_not_know_is_named() -> None:
    found = front_matter(card.render("", recipe(licence="My own, see LICENCE"), True, []))
    assert (found["license"], found["license_name"]) == ("other", "My own, see LICENCE")


def test_an_authors_own_front_matter_stays_where_hive_knows_no_better() -> None:
    own = "---\nlanguage:\n- en\nlicense: gpl-3.0\ntags: [mine]\n# a remark\nwidget: {a: 1}\n---\n# Title\n---\nrule\n"
    text = card.render(own, OURS, True, [])
    found = front_matter(text)
    assert (found["language"], found["widget"]) == (["en"], {"a": 1})
    assert (found["license"], found["tags"]) == ("mit", ["hive", "lidar", "point cloud"])
    assert text.endswith("---\n\n# Title\n---\nrule\n")


@pytest.mark.parametrize("text", ["", "# model", "---", "---\nno end\n", "--- \n---\n"])
def test_a_card_of_any_shape_gets_front_matter(text: str) -> None:
    found = front_matter(card.render(text, OURS, True, []))
    assert found["library_name"] == "hive"


@pytest.mark.parametrize(
    "name", ['"', "a: b", "- a", "\x1b[2J", "\u2028", "é ☃ 🙂", "\ud800", "{a}", "#x", "", "a\nb: c"]
)
def test_names_of_any_kind_stay_names(name: str) -> None:
    metric = Metric(name, 0.5, dataset=name)
    found = front_matter(card.render("", recipe(task=name, keywords=(name,)), True, [metric]))
    [result] = found["model-index"][0]["results"]
    assert [result["metrics"][0]["value"], set(found)] == [
        0.5, {"license", "library_name", "tags", "model-index", *(["pipeline_tag"] if name else [])},
    ]  # fmt: skip
    if name.isprintable() and name:
        assert result["dataset"]["name"] == result["metrics"][0]["type"] == name == found["pipeline_tag"]


def test_a_model_that_is_none_says_so_and_one_without_a_card_is_named() -> None:
    text = card.render("", OURS, False, [])
    assert "no-real-model" in front_matter(text)["tags"]
    assert text.endswith("\n# model\n\na model\n")


def test_the_card_shows_the_figures_that_its_author_does_not() -> None:
    drawn = ["figures/loss_curve.png", "figures/map.png", "figures/a [b](c).png"]
    text = card.render("# model\n\n![ours](figures/map.png)\n", OURS, True, [], drawn)
    assert text.endswith("![ours](figures/map.png)\n\n## Figures\n\n![loss curve](figures/loss_curve.png)\n")
    assert "Figures" not in card.render("figures/map.png", OURS, True, [], ["figures/map.png"])


# -- provenance


def test_the_statement_names_product_parameters_and_inputs() -> None:
    found = provenance.statement(BUILD, OURS, PINS, "sha256:" + "c" * 64, FILES)
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["predicateType"] == "https://slsa.dev/provenance/v1"
    assert found["subject"] == [{"name": "weights.safetensors", "digest": {"sha256": "a" * 64}}]
    definition = found["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {
        "recipe": "model", "version": "1.0.0", "profile": "standard", "params": {"steps": 100, "rate": 0.5}, "seed": 0,
        "data": ["user"],
    }  # fmt: skip
    assert definition["internalParameters"]["buildKey"] == BUILD.key
    inputs = {
        each.get("name"): each["digest"]["sha256"] for each in definition["resolvedDependencies"] if "name" in each
    }
    assert inputs == {
        "recipe": "0" * 64, "environment": "1" * 64, "image": "c" * 64, "data/user": "d" * 64,
        "packages/base": "e" * 64,
        "recipe/train.py": "b" * 64,
    }  # fmt: skip
    assert [each["uri"] for each in definition["resolvedDependencies"] if "uri" in each] == [
        "pkg:pypi/numpy@2.1.0", "pkg:pypi/torch@2.6.0%2Bcpu", "pkg:pypi/ruamel-yaml@1%212.0",
    ]  # fmt: skip
    assert found["predicate"]["runDetails"] == {"builder": {"id": provenance.BUILDER}}
    assert "/home/me" not in json.dumps(found)


def test_a_data_package_is_named_with_where_it_comes_from() -> None:
    ours, made = replace(OURS, data=(SHAPES,)), replace(BUILD, data={"shapes": DataSource("/h/7/s", SHAPES.digest)})
    definition = provenance.statement(made, ours, PINS, "", FILES)["predicate"]["buildDefinition"]
    [found] = [each for each in definition["resolvedDependencies"] if each.get("name") == "data/shapes"]
    assert found["uri"] == SHAPES.urls[0] and found["digest"] == {"sha256": "7" * 64}
    bill = bom.document(made, ours, PINS, METRICS, FILES)
    check_cyclonedx(json.dumps(bill))
    [part] = [each for each in bill["components"] if each["type"] == "data"]
    assert part["hashes"] == [{"alg": "SHA-256", "content": "7" * 64}]
    assert part["licenses"] == [{"expression": "CC-BY-3.0"}]
    assert part["externalReferences"] == [{"type": "distribution", "url": SHAPES.urls[0]}]


# -- bill of materials


def test_the_bill_is_valid_cyclonedx_with_the_figures_on_its_card() -> None:
    found = bom.document(BUILD, OURS, PINS, METRICS, FILES)
    check_cyclonedx(json.dumps(found))
    model = found["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "model", "1.0.0")
    assert model["modelCard"]["modelParameters"] == {
        "task": "point-cloud-classification", "inputs": [{"format": ".laz"}, {"format": ".las"}],
        "outputs": [{"format": ".laz"}], "datasets": [{"ref": "data:user"}],
    }  # fmt: skip
    figures = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert figures[:2] == [
        {"type": "accuracy", "value": "0.9312", "slice": "2000 drawn points, standard deviation 0.01"},
        {"type": "accuracy", "value": "0.55", "slice": "2000 drawn points, baseline majority"},
    ]
    assert figures[3:] == [
        {"type": "rate", "value": "1e-05 m", "slice": "2000 drawn points"}, {"type": "f1", "value": "0.5"},
    ]  # fmt: skip
    assert [each.get("purl", each["name"]) for each in found["components"]] == [
        "pkg:pypi/numpy@2.1.0", "pkg:pypi/torch@2.6.0%2Bcpu", "pkg:pypi/ruamel-yaml@1%212.0", "base", "user",
    ]  # fmt: skip
    assert "timestamp" not in found["metadata"]


@pytest.mark.parametrize("licence", ["MIT", "GPL-3.0-or-later WITH Classpath-exception-2.0", "My own, see LICENCE"])
def test_any_licence_makes_a_valid_bill(licence: str) -> None:
    check_cyclonedx(json.dumps(bom.document(build(), recipe(licence=licence), (), [], [])))


def test_the_serial_number_is_that_of_the_content() -> None:
    first, again = (bom.document(BUILD, OURS, PINS, METRICS, FILES)["serialNumber"] for _ in range(2))
    other = bom.document(build(seed=1), OURS, PINS, METRICS, FILES)["serialNumber"]
    assert first == again != other


def check_cyclonedx(text: str) -> None:
    """By the official schema."""
    pytest.importorskip("cyclonedx", reason="carries the schema")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


# -- in an artifact


def test_a_build_writes_all_of_them_and_info_prints_them(tiny: HiveCli) -> None:
    folder = Path(tiny.ok("info", "tiny", "--json").json()["installed"]["path"])
    text = (folder / "README.md").read_text()
    assert text.split("---\n", 2)[2].strip() == tiny.ok("info", "tiny", "--card").out.strip()
    found = front_matter(text)
    assert found["model-index"][0]["results"][0]["metrics"][0]["type"] == "accuracy"
    assert "| accuracy (higher is better) |" in text
    statement = json.loads(tiny.ok("info", "tiny", "--provenance").out)
    subjects = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    listed = {each["path"]: each["sha256"] for each in json.loads((folder / "manifest.json").read_text())["files"]}
    assert subjects == {path: listed[path] for path in ("config.json", "weights.safetensors")}
    bill = tiny.ok("info", "tiny", "--bom").out
    check_cyclonedx(bill)
    assert any(each["name"] == "torch" for each in json.loads(bill)["components"])
    assert json.loads((folder / "metrics.json").read_text())[0]["baselines"].keys() == {"majority"}


def test_figures_are_listed_named_and_shown_and_travel_with_the_model(hive: HiveCli, tmp_path: Path) -> None:
    hive.ok("install", "draws")
    installed = hive.ok("info", "draws", "--json").json()["installed"]
    folder = Path(installed["path"])
    names = ["figures/weights.png", "figures/weights_by-seed.png"]
    assert installed["figures"] == [str(folder / name) for name in names]
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in installed["figures"])
    listed = {each["path"] for each in json.loads((folder / "manifest.json").read_text())["files"]}
    assert listed >= {*names, "figures/notes.txt"}
    told = hive.ok("info", "draws").out
    assert told.count("figure ") == 2 and all(f"  {path}\n" in told for path in installed["figures"])
    shown = hive.ok("info", "draws", "--card").out
    assert shown.endswith("## Figures\n\n![weights by-seed](figures/weights_by-seed.png)\n")
    assert shown.count("figures/weights.png") == 1, "the author shows that one"
    subjects = {each["name"] for each in hive.ok("info", "draws", "--provenance").json()["subject"]}
    assert subjects >= set(names)

    hive.ok("export", "draws", "-o", "draws.tar")
    there = HiveCli(tmp_path / "there", hive.cwd)
    there.ok("import", "draws.tar")
    arrived = there.ok("info", "draws", "--json").json()["installed"]["figures"]
    assert [Path(path).read_bytes() for path in arrived] == [Path(p).read_bytes() for p in installed["figures"]]
    Path(arrived[0]).chmod(0o600)
    Path(arrived[0]).write_bytes(b"not it")
    damaged = there("verify")
    assert damaged.code == 7 and "draws: figures/weights.png: changed" in damaged.out
    assert there.ok("info", "draws").code == 0


def test_two_builds_of_one_key_are_one_artifact(hive: HiveCli) -> None:
    hive.ok("install", "trivial")
    first = hive.ok("list", "--json").json()[0]["artifact"]
    hive.ok("install", "trivial", "--rebuild")
    assert hive.ok("list", "--json").json()[0]["artifact"] == first
    assert {path.name for path in hive.paths.store.joinpath(first[7:]).iterdir()} == {
        "README.md", "bom.json", "manifest.json", "metrics.json", "provenance.json", "recipe", "weights.json",
    }  # fmt: skip


def test_what_a_recipe_writes_in_their_place_does_not_count(hive: HiveCli, tmp_path: Path) -> None:
    """A run that writes its own provenance is not believed."""
    folder = tmp_path / "sources" / "trivial"
    shutil.copytree(RECIPES / "trivial", folder)
    with open(folder / "train.py", "a") as file:
        file.write('    (run.out / "provenance.json").write_text("{}")\n    (run.out / "bom.json").mkdir()\n')
        file.write('    (run.out / "bom.json" / "x").write_text("evil")\n')
    hive.ok("install", "trivial", HIVE_SOURCES=str(folder.parent))
    assert json.loads(hive.ok("info", "trivial", "--provenance").out)["_type"] == "https://in-toto.io/Statement/v1"
    assert hive.ok("verify").code == 0


@pytest.mark.parametrize("metric", [Metric("accuracy", float("nan")), Metric("accuracy", 1.0, dataset="\ud800")])
def test_figures_that_nobody_could_read_are_not_written(metric: Metric, db: Database, home: Home) -> None:
    """A run that writes its own result.json may say anything."""
    queue.enqueue(db, [(build(), work(recipe_path=str(RECIPES / "trivial"), gates=()))], 1, set())
    job = queue.claim(db, 8)
    assert job
    (home.attempt(job.id, job.attempt) / "out").mkdir(parents=True)
    store = Store(home.store, home.staging)
    with pytest.raises(BadOutput, match="figures"):
        publish(db, store, home, job, RunResult("succeeded", metrics=[metric]), None)
    assert list(home.store.iterdir()) == list(home.staging.iterdir()) == []


def test_asking_for_two_documents_is_a_mistake(hive: HiveCli) -> None:
    assert hive("info", "tiny", "--bom", "--provenance").code == 2
    done = hive("info", "tiny", "--bom")
    assert done.code == 1 and "is not installed" in done.err
