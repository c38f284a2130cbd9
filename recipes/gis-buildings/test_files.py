"""Files in and out: height models and lidar tiles as people have them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network is torch's")
rasterio = pytest.importorskip("rasterio", reason="GeoTIFF is read by rasterio")
pyogrio = pytest.importorskip("pyogrio", reason="polygons are written by pyogrio")
shapely = pytest.importorskip("shapely", reason="outlines are shapely's")
laspy = pytest.importorskip("laspy", reason="tiles are read by laspy")

from affine import Affine  # noqa: E402
from hive_runner.contract import JobSpec  # noqa: E402
from hive_runner.errors import InputError  # noqa: E402
from hive_runner.export import save_weights  # noqa: E402
from hive_runner.recipe_module import load  # noqa: E402
from hive_runner.run import Run  # noqa: E402

HERE = Path(__file__).parent
rasters = load("gis-buildings", HERE, "rasters")
points = load("gis-buildings", HERE, "points")
labelled = load("gis-buildings", HERE, "labelled")
images = load("gis-buildings", HERE, "images")
model = load("gis-buildings", HERE, "model")
predict = load("gis-buildings", HERE, "predict")

HALL = (slice(60, 100), slice(80, 112))  # rows and columns: 20 x 16 m on cells of 0.5 m
OPTIONS = {"minimum_area": 10.0, "simplify": 0.6, "units": "auto", "vertical_units": "auto"}


def flat_with_a_hall(cells: int = 200) -> np.ndarray:
    heights = np.full((cells, cells), 30.0, np.float32)
    heights[HALL] += 6.0
    return heights


def write_tif(path: Path, heights: np.ndarray, cell: float = 0.5, crs: Any = "EPSG:32631", **more: Any) -> Path:
    transform = more.pop("transform", Affine(cell, 0, 500_000, 0, -cell, 5_400_000))
    bands = heights[None] if heights.ndim == 2 else heights
    with rasterio.open(
        path, "w", driver="GTiff", count=len(bands), height=bands.shape[1], width=bands.shape[2], dtype=bands.dtype,
        crs=crs, transform=transform, **more,
    ) as file:  # fmt: skip
        file.write(bands)
    return path


def opened(path: Path, units: str = "auto", vertical_units: str = "auto") -> Any:
    return rasters.HeightModel(path, units, vertical_units)


def test_cells_of_a_metre_are_seen_as_four(tmp_path: Path) -> None:
    coarse = flat_with_a_hall()[::2, ::2].copy()
    seen = opened(write_tif(tmp_path / "one.tif", coarse, 1.0))
    assert (seen.grid.rows, seen.grid.columns) == (200, 200)
    heights = seen.read(0, 0, 200, 200)
    assert np.abs(heights[70:90, 90:102] - 36).max() < 1e-3 and np.abs(heights[:40] - 30).max() < 1e-3
    assert seen.grid.transform * (0, 0) == (500_000, 5_400_000)
    assert seen.grid.transform * (200, 200) == pytest.approx((500_100, 5_399_900))


def test_windows_are_parts_of_the_whole_and_nothing_is_beyond(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    seen = opened(write_tif(tmp_path / "fine.tif", rng.normal(0, 5, (90, 130)).astype(np.float32), 0.37))
    whole = seen.read(0, 0, seen.grid.rows, seen.grid.columns)
    assert np.isfinite(whole).all()
    part = seen.read(10, -7, 30, 40)
    assert np.array_equal(part[:, 7:], whole[10:40, :33]) and np.isnan(part[:, :7]).all()


def test_holes_stay_holes_however_they_are_marked(tmp_path: Path) -> None:
    heights = flat_with_a_hall()
    heights[10:20, 10:20] = -9999
    heights[30:40, 10:20] = np.nan
    heights[50:60, 10:20] = 3.4e38  # what some programs write and none declares
    seen = opened(write_tif(tmp_path / "holes.tif", heights, nodata=-9999))
    read = seen.read(0, 0, 200, 200)
    for rows in (slice(10, 20), slice(30, 40), slice(50, 60)):
        assert np.isnan(read[rows, 10:20]).all()
    assert np.isfinite(read[:, 25:]).all()


def test_feet_become_metres(tmp_path: Path) -> None:
    feet = write_tif(tmp_path / "feet.tif", flat_with_a_hall() / 0.3048, 0.5 / 0.3048, "EPSG:2263")
    seen = opened(feet)
    assert (seen.grid.rows, seen.grid.columns) == (200, 200)
    assert seen.read(70, 90, 1, 1)[0, 0] == pytest.approx(36.0, abs=0.01)
    assert any("foot" in warning for warning in seen.warnings)
    assert opened(feet, vertical_units="m").read(70, 90, 1, 1)[0, 0] == pytest.approx(36.0 / 0.3048, abs=0.1)


REFUSED = {
    "bytes": ({"heights": np.zeros((50, 50), np.uint8)}, "holds bytes"),
    "degrees": ({"heights": np.zeros((50, 50), np.float32), "cell": 1e-5, "crs": "EPSG:4326"}, "in degrees"),
    "coarse": ({"heights": np.zeros((50, 50), np.float32), "cell": 5.0}, "too coarse"),
    "nowhere": (
        {"heights": np.zeros((50, 50), np.float32), "transform": Affine.identity(), "crs": None},
        "does not say where",
    ),
}


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_height_model_is_refused_with_a_reason(tmp_path: Path, name: str) -> None:
    arguments, why = REFUSED[name]
    path = write_tif(tmp_path / "given.tif", **arguments)
    with pytest.raises(InputError, match=why):
        opened(path)


def test_a_text_called_tif_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.tif").write_text("heights, they said")
    with pytest.raises(InputError, match="cannot be read"):
        opened(tmp_path / "notes.tif")
    (tmp_path / "notes.las").write_text("points, they said")
    with pytest.raises(InputError, match="cannot be read"):
        points.Tile(tmp_path / "notes.las", "auto")


# Lidar


def write_las(path: Path, classified: bool = True, unit: float = 1.0, epsg: int | None = 28992) -> Path:
    """80 x 80 m with the hall of 16 x 20 m, 6 m high, 6 points/m2, and noise far above it."""
    rng = np.random.default_rng(1)
    xy = rng.uniform(0, 80, (38_400, 2))
    hall = (np.abs(xy[:, 0] - 40) < 8) & (np.abs(xy[:, 1] - 40) < 10)
    z = 2.0 + 6.0 * hall + rng.normal(0, 0.03, len(xy))
    kind = np.where(hall, 6, 2).astype(np.uint8) if classified else np.zeros(len(xy), np.uint8)
    z[:20], kind[:20] = 90.0, 7 if classified else 0
    header = laspy.LasHeader(point_format=6, version="1.4")
    header.scales, header.offsets = [0.001] * 3, [100_000, 400_000, 0]
    if epsg:
        from pyproj import CRS

        header.add_crs(CRS.from_epsg(epsg))
    las = laspy.LasData(header)
    las.x, las.y, las.z = (xy[:, 0] + 100_000) / unit, (xy[:, 1] + 400_000) / unit, z / unit
    las.classification = kind
    las.write(str(path))
    return path


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that has learned nothing: good enough for what needs none, and for seeing what is done with answers."""
    folder = tmp_path_factory.mktemp("artifact")
    torch.manual_seed(0)
    tensors = {f"heights.{name}": tensor for name, tensor in model.HeightNet().state_dict().items()}
    save_weights(folder, tensors, {"threshold": 0.5, "image_bands": 0})
    return folder


def run_on(artifact: Path, tmp_path: Path, source: Path, output: str, **options: Any) -> Any:
    work = tmp_path / "work"
    (work / "scratch").mkdir(parents=True, exist_ok=True)
    (work / "out").mkdir(exist_ok=True)
    spec = JobSpec(
        action="predict", recipe="gis-buildings", version="1", recipe_path=str(HERE), out=str(work / "out"),
        checkpoints=str(work), events=str(work / "events.jsonl"), result=str(work / "result.json"),
        artifact=str(artifact), inputs=[str(source)], output=output, options={**OPTIONS, **options}, cpus=1,
    )  # fmt: skip
    run = Run(spec)
    predict.predict(run)
    return run


def read_polygons(path: Path) -> SimpleNamespace:
    meta, _, geometry, fields = pyogrio.raw.read(str(path))
    table = dict(zip(meta["fields"], fields, strict=True))
    return SimpleNamespace(crs=meta["crs"], shapes=shapely.from_wkb(geometry), **table)


def test_a_classified_hall_becomes_one_rectangle_with_its_height(artifact: Path, tmp_path: Path) -> None:
    run = run_on(artifact, tmp_path, write_las(tmp_path / "tile.las"), "result")
    found = read_polygons(run.output / "buildings.gpkg")
    [shape] = found.shapes
    true = shapely.box(100_032, 400_030, 100_048, 400_050)
    assert shape.intersection(true).area / shape.union(true).area > 0.9
    assert len(shape.exterior.coords) == 5 and found.area_m2[0] == pytest.approx(320, rel=0.08)
    assert found.height_m[0] == pytest.approx(6.0, abs=0.3) and found.confidence[0] > 0.9
    assert "28992" in found.crs
    with rasterio.open(run.output / "probability.tif") as file:
        assert file.crs.to_epsg() == 28992 and file.dtypes == ("float32",)
        assert next(file.sample([(100_040, 400_040)]))[0] > 0.95 and next(file.sample([(100_010, 400_010)]))[0] < 0.05
    with rasterio.open(run.output / "preview.png") as picture:
        assert picture.count == 3 and min(picture.shape) > 400
    assert run.summary["buildings"] == 1 and run.summary["read from"] == "classified points"
    assert run.summary["warnings"] == []


def test_a_tile_in_feet_says_the_same_in_metres(artifact: Path, tmp_path: Path) -> None:
    feet = write_las(tmp_path / "feet.laz", unit=1200 / 3937, epsg=2263)
    found = read_polygons(run_on(artifact, tmp_path, feet, "b.geojson").output)
    assert found.area_m2[0] == pytest.approx(320, rel=0.08) and found.height_m[0] == pytest.approx(6.0, abs=0.3)
    assert found.shapes[0].centroid.x == pytest.approx(100_040 * 3937 / 1200, abs=3)


def test_an_unclassified_tile_is_looked_at_and_the_user_is_told_of_the_better_way(
    artifact: Path, tmp_path: Path
) -> None:
    tile = write_las(tmp_path / "raw.las", classified=False, epsg=None)
    run = run_on(artifact, tmp_path, tile, "p.tif")
    assert any("gis-lidar" in warning for warning in run.summary["warnings"])
    assert any("metres are assumed" in warning for warning in run.summary["warnings"])
    assert run.output.is_file() and not (run.out / "buildings.gpkg").exists()


def test_a_tile_without_points_is_refused(tmp_path: Path) -> None:
    laspy.LasData(laspy.LasHeader(point_format=6, version="1.4")).write(str(tmp_path / "empty.las"))
    with pytest.raises(InputError, match="no points"):
        points.Tile(tmp_path / "empty.las", "auto")


def test_a_rotated_model_is_outlined_where_it_lies(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a network that answers by height, so that only geometry is at stake."""
    monkeypatch.setattr(predict.Classifier, "probability", lambda self, heights: (heights > 33).astype(np.float32))
    turned = Affine.translation(500_000, 5_400_000) * Affine.rotation(30) * Affine.scale(0.5, -0.5)
    run = run_on(artifact, tmp_path, write_tif(tmp_path / "turned.tif", flat_with_a_hall(), transform=turned), "b.gpkg")
    found = read_polygons(run.output)
    corners = [turned * (column, row) for column, row in ((80, 60), (112, 60), (112, 100), (80, 100))]
    true = shapely.Polygon(corners)
    [shape] = found.shapes
    assert shape.intersection(true).area / shape.union(true).area > 0.95
    assert found.height_m[0] == pytest.approx(6.0, abs=0.1)


def test_nothing_built_gives_an_empty_layer(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict.Classifier, "probability", lambda self, heights: np.zeros_like(heights))
    run = run_on(artifact, tmp_path, write_tif(tmp_path / "flat.tif", flat_with_a_hall()), "b.gpkg")
    assert len(read_polygons(run.output).shapes) == 0 and run.summary["buildings"] == 0


def test_a_format_it_cannot_write_is_refused(artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write b\.shp"):
        run_on(artifact, tmp_path, write_tif(tmp_path / "flat.tif", flat_with_a_hall()), "b.shp")


# The user's own places


def picture(cells: int = 700) -> np.ndarray:
    """Three bands of a lawn with a grey hall, 16 bit."""
    rng = np.random.default_rng(3)
    bands = np.stack([np.full((cells, cells), level) for level in (300, 600, 250)]).astype(np.float64)
    bands[:, HALL[0], HALL[1]] = 900
    return (bands + rng.normal(0, 10, bands.shape)).astype(np.uint16)


def write_outlines(path: Path, crs: str = "EPSG:32631") -> None:
    """The hall as `write_tif` places it, in another system if asked."""
    shape = shapely.box(500_040, 5_400_000 - 50, 500_056, 5_400_000 - 30)
    if crs != "EPSG:32631":
        from rasterio.warp import transform_geom

        shape = shapely.geometry.shape(transform_geom("EPSG:32631", crs, shapely.geometry.mapping(shape)))
    pyogrio.raw.write(
        str(path), geometry=shapely.to_wkb(np.array([shape], dtype=object)), field_data=[], fields=[],
        geometry_type="Polygon", crs=crs, driver="GPKG",
    )  # fmt: skip


def test_labelled_places_become_squares_some_of_which_are_held_out(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    write_tif(given / "town.tif", picture(1000))
    write_outlines(given / "town.gpkg", "EPSG:4326")
    write_tif(given / "heights.tif", np.pad(flat_with_a_hall(), ((0, 0), (0, 600)), mode="edge"))
    write_tif(given / "heights_mask.tif", np.pad((flat_with_a_hall() > 33).astype(np.uint8), ((0, 0), (0, 600))))
    of_heights, of_images = labelled.cut_squares(given, tmp_path / "scratch")
    assert of_images.bands == 3 and len(of_images.training) == 3 and len(of_images.held_out) == 1
    assert len(of_heights.training) == 1 and len(of_heights.held_out) == 1
    built = 0
    for path in (*of_heights.training, *of_heights.held_out):
        with np.load(path) as square:
            assert square["seen"].shape == square["truth"].shape == (200, 400)
            built += int((square["truth"] == 1).sum())
    assert built == 40 * 32


def test_outlines_in_another_system_land_on_their_buildings(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "town.tif", picture(200))
    write_outlines(tmp_path / "town.gpkg", "EPSG:4326")
    image = images.Image(path)
    mask = labelled._burnt(tmp_path / "town.gpkg", (200, 200), image.grid.transform, image.grid.crs)
    assert mask[HALL].mean() > 0.95 and mask.sum() < 1.1 * 40 * 32


WRONG = {
    "no outlines": (lambda folder: write_tif(folder / "a.tif", picture(200)), "no outlines beside it"),
    "nothing": (lambda folder: (folder / "notes.txt").write_text("x"), "holds no raster"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_folder_that_cannot_be_learned_from_is_refused(tmp_path: Path, name: str) -> None:
    make, why = WRONG[name]
    make(tmp_path)
    with pytest.raises(InputError, match=why):
        labelled.cut_squares(tmp_path, tmp_path / "scratch")


def test_outlines_of_elsewhere_are_refused(tmp_path: Path) -> None:
    write_tif(tmp_path / "a.tif", picture(200), transform=Affine(0.5, 0, 900_000, 0, -0.5, 5_400_000))
    write_outlines(tmp_path / "a.gpkg")
    with pytest.raises(InputError, match="lies elsewhere"):
        labelled.cut_squares(tmp_path, tmp_path / "scratch")


def test_an_image_is_put_on_a_scale_of_its_own(tmp_path: Path) -> None:
    dark = images.Image(write_tif(tmp_path / "dark.tif", picture(200)))
    bright = images.Image(write_tif(tmp_path / "bright.tif", picture(200) * 3 + 500))
    one, other = dark.read(0, 0, 200, 200), bright.read(0, 0, 200, 200)
    assert np.allclose(one, other, atol=0.02)
    seen = images.describe(one)
    assert seen.shape == (3 + images.MORE_CHANNELS, 200, 200) and np.isfinite(seen).all()
    assert seen[4][HALL].mean() < seen[4].mean(), "a roof is not green"
    assert np.isnan(dark.read(-5, 0, 10, 10)[:, :5]).all()


def test_a_model_of_heights_says_how_it_learns_images(artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has not learned images of 3 bands") as refused:
        run_on(artifact, tmp_path, write_tif(tmp_path / "town.tif", picture(200)), "b.gpkg")
    assert "--data" in refused.value.hint
