"""From a file to maps, table and figure, with an untrained network: what is written where, and what is told."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network is torch's")
rasterio = pytest.importorskip("rasterio", reason="grids are read and written with rasterio")
pytest.importorskip("matplotlib", reason="the figure is drawn with it")

from hive_runner.contract import JobSpec  # noqa: E402
from hive_runner.errors import InputError  # noqa: E402
from hive_runner.export import save_weights  # noqa: E402
from hive_runner.recipe_module import load  # noqa: E402
from hive_runner.run import Run  # noqa: E402

HERE = Path(__file__).parent
predict = load("geophysics-magnetic", HERE, "predict")
files = load("geophysics-magnetic", HERE, "files")
estimate = load("geophysics-magnetic", HERE, "estimate")
model = load("geophysics-magnetic", HERE, "model")

OPTIONS = {"inclination": "", "declination": "", "sensor_height": 0.0, "field": 50_000.0, "columns": "", "spacing": 0.0}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network, whose threshold is where it says body in some places and not in others."""
    folder = tmp_path_factory.mktemp("artifact")
    torch.manual_seed(1)
    weights = model.DepthNet().state_dict()
    field = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    maps = estimate.Estimator(weights, {}).maps(field, np.array([0.0, 0.5, 0.8]))
    save_weights(folder, weights, {"below": 1.0, "above": 1.0, "threshold": float(np.quantile(maps.probability, 0.7))})
    return folder


def run_of(
    folder: Path, action: str, output: str, artifact: Path = Path(), source: Path | None = None, **options: object
) -> Run:
    folder.mkdir(exist_ok=True)
    paths = {name: str(folder / name) for name in ("out", "checkpoints", "events", "result")}
    (folder / "out").mkdir(exist_ok=True)
    return Run(
        JobSpec(
            action, "geophysics-magnetic", "1", str(HERE), **paths, artifact=str(artifact), output=output,
            inputs=[str(source)] if source else [], options=OPTIONS | options,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = run_of(tmp_path_factory.mktemp("sample"), "sample", "survey.tif")
    predict.sample(run)
    assert len(run.summary["depths_to_top_m"]) >= 3
    return run.output


def test_the_sample_becomes_maps_a_table_and_a_figure(sample: Path, artifact: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path, "predict", "result", artifact, sample)
    predict.predict(run)
    names = {path.name for path in run.output.iterdir()}
    depths = [f"depth_to_top_p{percent}.tif" for percent in (10, 50, 90)]
    maps = ["body_probability.tif", *depths, "susceptibility_thickness.tif", "misfit.tif"]
    assert names == {*maps, "solutions.csv", "report.png", "interpretation.json"}
    with rasterio.open(sample) as source:
        for name in maps:
            with rasterio.open(run.output / name) as target:
                assert target.transform == source.transform and target.crs == source.crs
                assert target.shape == source.shape
    low, middle, high = (rasterio.open(run.output / name).read(1) for name in depths)
    body = np.isfinite(middle)
    assert 0 < body.mean() < 1 and (low[body] <= middle[body]).all() and (middle[body] <= high[body]).all()
    with (run.output / "solutions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == run.summary["bodies"] > 0
    with rasterio.open(run.output / "depth_to_top_p50.tif") as target:
        for row in rows:  # each point lies in a body, north up
            place = target.index(float(row["x"]), float(row["y"]))
            assert np.isfinite(target.read(1)[place])
    record = json.loads((run.output / "interpretation.json").read_text())
    assert record["inclination_deg"] != 0 and record["spacing_m"] == 50
    assert any("regional" in told for told in run.summary["warnings"])


@pytest.mark.parametrize("name", ["table.csv", "figure.png", "maps.tif"])
def test_a_suffix_asks_for_one_file(name: str, sample: Path, artifact: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path, "predict", name, artifact, sample)
    predict.predict(run)
    assert [path.name for path in run.out.iterdir()] == [name] and run.output.stat().st_size > 100
    if name == "maps.tif":
        with rasterio.open(run.output) as target:
            assert target.count == 6 and target.descriptions[0].startswith("body_probability")


def without_direction(sample: Path, folder: Path) -> Path:
    path = folder / "bare.tif"
    with rasterio.open(sample) as source, rasterio.open(path, "w", **source.profile) as target:
        target.write(source.read())
    return path


def test_a_missing_or_impossible_direction_is_refused(sample: Path, artifact: Path, tmp_path: Path) -> None:
    bare = without_direction(sample, tmp_path)
    for options, message in [
        ({}, "needs inclination and declination"),
        ({"declination": "3"}, "needs inclination$"),
        ({"inclination": "60"}, "needs declination$"),
        ({"inclination": "95", "declination": "3"}, "cannot be '95'"),
        ({"inclination": "steep", "declination": "3"}, "cannot be 'steep'"),
        ({"inclination": "60", "declination": "3", "field": 50.0}, "main field"),
    ]:
        with pytest.raises(InputError, match=message):
            predict.predict(run_of(tmp_path / "run", "predict", "result", artifact, bare, **options))


def test_what_is_given_counts_more_than_what_the_file_tells(sample: Path, artifact: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path, "predict", "result", artifact, sample, inclination="-71.5", declination="12")
    predict.predict(run)
    record = json.loads((run.output / "interpretation.json").read_text())
    assert (record["inclination_deg"], record["declination_deg"]) == (-71.5, 12)


def field_of(sample: Path) -> np.ndarray:
    return files.read(sample).values


def test_depths_scale_with_the_spacing_and_are_told_below_the_ground(sample: Path, artifact: Path) -> None:
    network = predict.load(artifact)
    near = network.interpret(field_of(sample), 10.0, 60, 5)
    far = network.interpret(field_of(sample), 100.0, 60, 5, sensor_height_m=80.0)
    expected = np.maximum(10 * near.depth_m(near.maps.top) - 80, 0)
    np.testing.assert_allclose(far.depth_m(far.maps.top), expected, rtol=1e-5, atol=1e-3)
    weak = network.interpret(field_of(sample), 10.0, 60, 5, field_nt=25_000.0)
    np.testing.assert_allclose(weak.maps.top, near.maps.top)
    one, two = (each.susceptibility_thickness_m(each.fit.moment) for each in (near, weak))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-5)


def test_level_unit_step_and_slope_change_little(sample: Path, artifact: Path) -> None:
    network, field = predict.load(artifact), field_of(sample)
    north, east = np.mgrid[:64, :64]
    plain = network.interpret(field, 50.0, 60, 5)
    other = network.interpret(field - 48_500 + 2 * east - north, 50.0, 60, 5)
    np.testing.assert_allclose(plain.anomaly, other.anomaly, atol=0.05)
    assert np.abs(np.log(plain.maps.top / other.maps.top)).mean() < 0.02


def test_gaps_stay_empty(sample: Path, artifact: Path) -> None:
    field = field_of(sample).copy()
    field[10:20, 30:50] = np.nan
    found = predict.load(artifact).interpret(field, 50.0, 60, 5)
    assert (found.label[10:20, 30:50] == 0).all() and np.isnan(found.fit.residual[10:20, 30:50]).all()
    assert any("gaps" in told for told in found.warnings)


def test_low_inclinations_and_grids_of_nothing_are_told(sample: Path, artifact: Path) -> None:
    network = predict.load(artifact)
    assert any("low inclination" in told for told in network.interpret(field_of(sample), 50.0, -8, 5).warnings)
    for bad, message in [(np.zeros(9), "array of"), (np.zeros((64, 64)), "same value")]:
        with pytest.raises(InputError, match=message):
            network.interpret(bad, 50.0, 60, 5)
    with pytest.raises(InputError, match="spacing"):
        network.interpret(field_of(sample), 0.0, 60, 5)
