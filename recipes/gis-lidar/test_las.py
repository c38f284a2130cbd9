"""Files in, files out: whatever the model says, nothing but classes and confidences may change.

laspy, an implementation of its own, makes the inputs and reads the outputs. The classifier is a stand-in (height over
the lowest point around), so that no trained weights are needed.
"""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

laspy = pytest.importorskip("laspy", reason="laspy makes and checks the files")
pytest.importorskip("lazrs", reason="LAZ is read with lazrs")
pytest.importorskip("scipy")

from hive_runner.errors import InputError  # noqa: E402
from hive_runner.recipe_module import load  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy import ndimage  # noqa: E402

HERE = Path(__file__).parent
las = load("gis-lidar", HERE, "las")
tiles = load("gis-lidar", HERE, "tiles")
crs = load("gis-lidar", HERE, "crs")
predict = load("gis-lidar", HERE, "predict")


class HeightOverLowest:
    """Ground within 0.5 m of a morphological opening of the lowest points, vegetation above."""

    def classify(
        self, xyz: NDArray[np.float64], return_number: Any, number_of_returns: Any, core: NDArray[np.bool_]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        cell = np.floor((xyz[:, :2] - xyz[:, :2].min(0)) / 2.0).astype(int)
        lowest = np.full(cell.max(0) + 1, np.inf)
        np.minimum.at(lowest, (cell[:, 0], cell[:, 1]), xyz[:, 2])
        lowest[~np.isfinite(lowest)] = xyz[:, 2].max()
        ground = ndimage.grey_opening(lowest, 5)
        height = xyz[:, 2] - ground[cell[:, 0], cell[:, 1]]
        return np.where(height < 0.5, 2, 5).astype(np.uint8), np.clip(height / 10, 0, 1).astype(np.float32)


class ByPlace:
    """A class and a confidence that depend on the point alone: any tiling must give the same."""

    def classify(
        self, xyz: NDArray[np.float64], return_number: NDArray[np.uint8], number_of_returns: Any, core: Any
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        classes = np.array([2, 5, 6, 14], np.uint8)[np.floor(xyz[:, :2].sum(1) / 7).astype(int) % 4]
        return classes, (np.floor(xyz[:, 0]) % 101 / 100).astype(np.float32)


def model(threads: int = 1) -> Any:
    return predict.Model(HeightOverLowest(), threads)


def cloud(points: int = 4000, size_m: float = 90.0, seed: int = 1) -> NDArray[np.float64]:
    """(N, 3) metres: a slope, a quarter of it under bushes."""
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(0, size_m, (points, 3))
    xyz[:, 2] = xyz[:, 0] * 0.1 + np.where(rng.random(points) < 0.25, rng.uniform(1, 6, points), 0)
    return xyz + np.array([430_000, 5_280_000, 300])


def make(path: Path, point_format: int = 6, epsg: int | None = 2154, points: int = 4000, **changes: Any) -> Path:
    """A file with something in every field."""
    rng = np.random.default_rng(7)
    version = "1.4" if point_format >= 6 else "1.3" if point_format >= 4 else "1.2"
    header = laspy.LasHeader(point_format=point_format, version=version)
    header.scales, header.offsets = changes.get("scales", (0.001,) * 3), (430_000.0, 5_280_000.0, 0.0)
    header.creation_date = None
    header.system_identifier, header.generating_software = "a scanner", "somebody's software"
    header.add_extra_dim(laspy.ExtraBytesParams("range", "uint16", scales=[0.01], offsets=[5.0], description="metres"))
    header.add_extra_dim(laspy.ExtraBytesParams("normal", "3f4"))
    for extra in changes.get("extras", ()):
        header.add_extra_dim(extra)
    header.vlrs.append(laspy.VLR("somebody", 77, "private", b"\x01\x02\x03" * 30))
    if epsg:
        from pyproj import CRS

        header.add_crs(CRS.from_user_input(epsg), keep_compatibility=point_format < 6)
    file = laspy.LasData(header)
    xyz = changes.get("xyz", cloud(points))
    points = len(xyz)
    file.points = laspy.ScaleAwarePointRecord.zeros(points, header=header)
    file.x, file.y, file.z = xyz.T
    for name in file.point_format.dimension_names:
        if name in ("X", "Y", "Z", "range", "normal", "confidence"):
            continue
        dimension = file.point_format.dimension_by_name(name)
        if dimension.kind.name == "FloatingPoint":
            file[name] = rng.uniform(0, 1e5, points)
        else:
            file[name] = rng.integers(0, 2 ** min(dimension.num_bits, 31) - 1, points, endpoint=True)
    if "scan_angle" in file.point_format.dimension_names:
        file["scan_angle"] = rng.integers(-30000, 30000, points)
    file["withheld"] = changes.get("withheld", np.zeros(points, np.uint8))
    if point_format in (9, 10) and not changes.get("channels"):
        file["scanner_channel"] = np.zeros(points, np.uint8)
    file["range"] = rng.uniform(5, 300, points)
    file["normal"] = rng.normal(size=(points, 3)).astype(np.float32)
    if version == "1.4":
        file.evlrs = laspy.vlrs.vlrlist.VLRList([laspy.VLR("somebody", 78, "long", bytes(range(256)) * 300)])
    file.write(path)
    return path


def fields(path: Path) -> dict[str, NDArray[Any]]:
    """Every dimension of a file as stored, but what the model may write."""
    points = laspy.read(path).points.array
    return {name: points[name] for name in points.dtype.names if name not in ("confidence",)}


def test_every_point_format_keeps_every_field_of_every_point(tmp_path: Path) -> None:
    for point_format in range(11):
        for suffix in (".las", ".laz"):
            source = make(tmp_path / f"in{point_format}{suffix}", point_format)
            target = tmp_path / f"out{point_format}{suffix}"
            summary = model().classify_file(source, target)
            before, after = fields(source), fields(target)
            assert before.keys() == after.keys()
            for name in before.keys() - {"raw_classification", "classification"}:
                np.testing.assert_array_equal(before[name], after[name], err_msg=f"{name}, format {point_format}")
            read = laspy.read(target)
            assert set(np.unique(read.classification)) == {2, 5}
            for flag in ("synthetic", "key_point", "withheld"):  # they share a byte with the class in old formats
                np.testing.assert_array_equal(read[flag], laspy.read(source)[flag])
            confidence = np.asarray(read["confidence"])
            assert 0 <= confidence.min() < confidence.max() <= 1
            assert summary["class_counts"]["ground"] == int((np.asarray(read.classification) == 2).sum())


def test_header_vlrs_and_evlrs_are_copied_byte_by_byte(tmp_path: Path) -> None:
    for point_format in (1, 3, 4, 7):
        source = make(tmp_path / "in.laz", point_format)
        model().classify_file(source, tmp_path / "out.laz")
        old, new = las.read_header(source), las.read_header(tmp_path / "out.laz")
        changed = {*range(96, 107), *range(227, 247)}  # offsets, VLR count, format and length; EVLR positions
        assert all(a == b for i, (a, b) in enumerate(zip(old.head, new.head, strict=True)) if i not in changed)
        kept = [vlr.raw for vlr in old.vlrs if vlr.key not in (las.LASZIP_VLR, las.EXTRA_BYTES_VLR)]
        assert kept == [vlr.raw for vlr in new.vlrs if vlr.key not in (las.LASZIP_VLR, las.EXTRA_BYTES_VLR)]
        descriptors = old.payload(las.EXTRA_BYTES_VLR)
        assert new.payload(las.EXTRA_BYTES_VLR)[: len(descriptors)] == descriptors
        assert new.payload(("somebody", 78)) == old.payload(("somebody", 78))
        assert laspy.read(tmp_path / "out.laz").header.parse_crs() == laspy.read(source).header.parse_crs()


def test_compressed_and_uncompressed_outputs_hold_the_same(tmp_path: Path) -> None:
    source = make(tmp_path / "in.laz")
    for suffix in (".las", ".LAZ"):
        model().classify_file(source, tmp_path / f"out{suffix}")
    a, b = laspy.read(tmp_path / "out.las"), laspy.read(tmp_path / "out.LAZ")
    assert a.header.are_points_compressed is False and b.header.are_points_compressed is True
    np.testing.assert_array_equal(a.points.array, b.points.array)


def test_waveforms_inside_the_file_move_with_it(tmp_path: Path) -> None:
    source = make(tmp_path / "plain.las", 4)
    waveforms = struct.pack("<H16sHQ32s", 0, b"LASF_Spec", 65535, 5000, b"waveforms") + bytes(range(250)) * 20
    content = bytearray(source.read_bytes())
    content[6] |= 2
    struct.pack_into("<Q", content, 227, len(content))
    source.write_bytes(bytes(content) + waveforms)
    model().classify_file(source, tmp_path / "out.laz")
    written = (tmp_path / "out.laz").read_bytes()
    at = struct.unpack_from("<Q", written, 227)[0]
    assert written[at : at + len(waveforms)] == waveforms
    np.testing.assert_array_equal(
        fields(source)["wavepacket_offset"], fields(tmp_path / "out.laz")["wavepacket_offset"]
    )


def test_compression_that_loses_waveforms_is_refused(tmp_path: Path) -> None:
    source = make(tmp_path / "in.las", 9, channels=True)
    with pytest.raises(InputError, match="cannot be compressed"):
        model().classify_file(source, tmp_path / "out.laz")
    model().classify_file(source, tmp_path / "out.las")
    np.testing.assert_array_equal(
        fields(source)["wavepacket_offset"], fields(tmp_path / "out.las")["wavepacket_offset"]
    )


def test_existing_confidence_is_overwritten_in_its_own_type(tmp_path: Path) -> None:
    for kind, options, unit in (("f4", {}, 1.0), ("u1", {}, 100.0), ("u2", {"scales": [1e-4], "offsets": [0.0]}, 1.0)):
        extra = laspy.ExtraBytesParams("confidence", kind, **options)
        source = make(tmp_path / "in.las", 6, extras=[extra])
        model().classify_file(source, tmp_path / "out.las")
        read = laspy.read(tmp_path / "out.las")
        assert read.header.point_format.size == laspy.read(source).header.point_format.size
        values = np.asarray(read["confidence"], np.float64)
        assert values.max() <= unit + 1e-6 and 0.5 * unit < values.max()
        np.testing.assert_array_equal(fields(source)["normal"], fields(tmp_path / "out.las")["normal"])


def test_undescribed_extra_bytes_stay_in_place(tmp_path: Path) -> None:
    source = make(tmp_path / "in.las", 6)
    content = source.read_bytes()
    renamed = content.replace(struct.pack("<16sH", b"LASF_Spec", 4), struct.pack("<16sH", b"nobody", 4), 1)
    assert renamed != content
    source.write_bytes(renamed)
    model().classify_file(source, tmp_path / "out.las")
    before, after = las.read_header(source), las.read_header(tmp_path / "out.las")
    for old, new in zip(las.read_points(before), las.read_points(after), strict=True):
        np.testing.assert_array_equal(old[:, 17:], new[:, 17:-1])
    assert "confidence" in laspy.read(tmp_path / "out.las").point_format.extra_dimension_names


def test_copc_is_read_and_written_as_plain_laz(tmp_path: Path) -> None:
    source = make(tmp_path / "in.laz", 6)
    content = source.read_bytes().replace(struct.pack("<16sH", b"somebody", 77), struct.pack("<16sH", b"copc", 1), 1)
    copc = tmp_path / "in.copc.laz"
    copc.write_bytes(content)
    summary = model().classify_file(copc, tmp_path / "out.laz")
    assert any("COPC" in warning for warning in summary["warnings"])
    assert not las.read_header(tmp_path / "out.laz").is_copc
    with pytest.raises(InputError, match=r"out\.copc\.laz"):
        model().classify_file(copc, tmp_path / "out.copc.laz")


def test_withheld_points_are_not_seen_and_keep_their_class(tmp_path: Path) -> None:
    withheld = (np.arange(4000) % 10 == 0).astype(np.uint8)
    xyz = cloud()
    xyz[withheld == 1, 2] -= 500  # would be the ground of everything
    for point_format in (1, 6):
        source = make(tmp_path / "in.laz", point_format, withheld=withheld, xyz=xyz)
        summary = model().classify_file(source, tmp_path / "out.laz")
        before, after = laspy.read(source), laspy.read(tmp_path / "out.laz")
        np.testing.assert_array_equal(before.classification[withheld == 1], after.classification[withheld == 1])
        assert (np.asarray(after.classification)[withheld == 0] == 2).mean() > 0.6
        assert any("400 points are marked as withheld" in warning for warning in summary["warnings"])


@pytest.fixture
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of 700 points, so that small clouds exercise what large ones need."""
    monkeypatch.setattr(las, "POINTS_PER_READ", 700)


def test_tiles_and_workers_do_not_change_the_result(tmp_path: Path, small_runs: None) -> None:
    xyz = np.concatenate([cloud(6000, 700.0), cloud(500, 40.0) - [0, 3000, 0], cloud(3, 1.0) - [90_000, 0, 0]])
    source = make(tmp_path / "in.laz", xyz=xyz, scales=(0.01,) * 3)
    read = laspy.read(source)
    stored = np.stack([read.x, read.y, read.z], 1)
    expected, confidence = ByPlace().classify(stored, np.ones(len(xyz)), None, None)
    outputs = []
    for block_points in (50, 300, 2_000_000):
        for workers in (1, 3):
            header = las.read_header(source)
            folder = tmp_path / f"{block_points}-{workers}"
            folder.mkdir()
            tiling, _ = predict._sort(header, crs.units_of(header), folder, 1, lambda *_: None)
            tiling.classify(ByPlace(), workers, block_points=block_points)
            classes, hundredths = (np.concatenate(parts) for parts in zip(*tiling.results(), strict=True))
            np.testing.assert_array_equal(classes, expected)
            np.testing.assert_array_equal(hundredths, np.rint(confidence * 100))
            assert not list(folder.iterdir()), "scratch is left behind"
            predict.Model(HeightOverLowest(), workers).classify_file(source, folder / "out.laz")
            outputs.append((folder / "out.laz").read_bytes())
    assert len(set(outputs)) == 1


def test_blocks_hold_the_halo_and_stay_small(tmp_path: Path, small_runs: None) -> None:
    xyz = cloud(20_000, 500.0)
    tiling = tiles.Tiling(tmp_path, np.full(3, 0.01), np.zeros(3))
    for begin in range(0, len(xyz), 700):
        tiling.add(
            np.rint(xyz[begin : begin + 700] * 100).astype(np.int32), np.ones(len(xyz[begin : begin + 700]), "u1")
        )
    plan = tiling.plan(block_points=4000)
    cores = 0
    for tile in plan:
        block = tiling.read(tile)
        cores += int(block.core.sum())
        assert block.core.sum() + (~block.core).sum() / 4 <= 4000
        low = np.array([tile.col, tile.row]) * tiles.CELL_M - tiles.HALO_CELLS * tiles.CELL_M
        high = low + np.array([tile.cols, tile.rows]) * tiles.CELL_M + 2 * tiles.HALO_CELLS * tiles.CELL_M
        inside = ((xyz[:, :2] >= low) & (xyz[:, :2] < high)).all(1)
        assert abs(int(inside.sum()) - len(block.raw)) <= 2  # coordinates were rounded
    assert cores == len(xyz)
    assert abs(tiling.density() - 0.08) < 0.01


def test_arrays_are_classified_like_files(tmp_path: Path) -> None:
    source = make(tmp_path / "in.laz")
    model().classify_file(source, tmp_path / "out.laz")
    read = laspy.read(tmp_path / "out.laz")
    classes, confidence = model().classify(np.stack([read.x, read.y, read.z], 1))
    assert (classes == read.classification).mean() > 0.97  # the tile's grid may begin elsewhere
    assert confidence.dtype == np.float32 and confidence.max() <= 1
    for bad in (np.zeros((0, 3)), np.zeros((5, 2)), np.full((5, 3), np.nan), np.ones((9, 3)), np.eye(3) * 1e12):
        with pytest.raises(InputError):
            model().classify(bad)


def test_units_come_from_the_coordinate_system(tmp_path: Path) -> None:
    seen: list[NDArray[np.float64]] = []

    class Spy(HeightOverLowest):
        def classify(self, xyz: NDArray[np.float64], *rest: Any) -> Any:
            seen.append(xyz)
            return super().classify(xyz, *rest)

    def extent(epsg: Any, units: str = "auto", point_format: int = 6) -> tuple[list[float], list[str]]:
        source = make(tmp_path / "in.laz", point_format, epsg)
        summary = predict.Model(Spy()).classify_file(source, tmp_path / "out.laz", units)
        return np.ptp(seen[-1], axis=0).round(1).tolist(), summary["warnings"]

    metres, warnings = extent(2154)
    assert metres[:2] == pytest.approx([90, 90], abs=0.2) and not warnings
    feet, warnings = extent(2230)  # California, US survey feet
    assert feet == pytest.approx(np.array(metres) * 0.3048, abs=0.1)
    assert "US survey foot" in warnings[0] and "heights" in warnings[1]
    mixed, warnings = extent("EPSG:2230+5703")  # feet across, metres up
    assert mixed == pytest.approx([metres[0] * 0.3048, metres[1] * 0.3048, metres[2]], abs=0.1)
    assert extent(2230, point_format=1)[0] == feet  # by GeoTIFF keys
    none, warnings = extent(None)
    assert none == metres and "metres are assumed" in warnings[0]
    assert extent(None, "ft")[0] == feet
    for geographic in (4326, 4979, 4978):
        with pytest.raises(InputError, match="projected") as refused:
            extent(geographic)
        assert "reproject" in refused.value.hint


def damaged_files(folder: Path) -> dict[str, tuple[bytes, str]]:
    """Name -> (content, a word of the message)."""
    good_las, good_laz = make(folder / "good.las").read_bytes(), make(folder / "good.laz", points=120_000).read_bytes()

    def patched(content: bytes, at: int, layout: str, *values: float) -> bytes:
        changed = bytearray(content)
        struct.pack_into(layout, changed, at, *values)
        return bytes(changed)

    middle = bytearray(good_laz)
    begin = las.read_header(folder / "good.laz").offset_to_points
    middle[begin + 8 : begin + 8 + len(middle) // 2] = bytes(len(middle) // 2)
    return {
        "empty.las": (b"", "empty"),
        "picture.las": (b"\x89PNG\r\n\x1a\n" + bytes(500), "not a LAS"),
        "text.laz": (b"x y z\n1 2 3\n", "not a LAS"),
        "pointer.laz": (b"version https://git-lfs.github.com/spec/v1\n", "not a LAS"),
        "short.las": (good_las[:100], "truncated"),
        "header-only.las": (good_las[:375], "truncated"),
        "half.las": (good_las[: len(good_las) // 2], "truncated"),
        "half.laz": (good_laz[: len(good_laz) // 2], "damaged|truncated"),
        "almost.laz": (good_laz[:-70_000], "damaged|truncated"),
        "zeros.laz": (bytes(middle), "damaged"),
        "no-points.las": (patched(good_las, 247, "<Q", 0), "no points"),
        "version.las": (patched(good_las, 24, "<BB", 2, 0), "LAS 2.0"),
        "format.las": (patched(good_las, 104, "<B", 33), "point format 33"),
        "length.las": (patched(good_las, 105, "<H", 12), "damaged"),
        "vlrs.las": (patched(good_las, 100, "<I", 100_000), "damaged"),
        "scale.las": (patched(good_las, 131, "<d", 0.0), "damaged"),
        "nan.las": (patched(good_las, 155, "<d", float("nan")), "damaged"),
        "far.las": (patched(good_las, 155, "<d", 1e300), "absurd"),
    }


def test_wrong_inputs_are_refused_in_words(tmp_path: Path) -> None:
    for name, (content, word) in damaged_files(tmp_path).items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=word) as refused:
            model().classify_file(tmp_path / name, tmp_path / "out.laz")
        assert refused.value.why, name
    one_place = np.repeat(cloud(1), 50, 0)
    with pytest.raises(InputError, match="no area"):
        model().classify_file(make(tmp_path / "point.las", xyz=one_place), tmp_path / "out.laz")
    with pytest.raises(InputError, match="no points to classify"):
        model().classify_file(make(tmp_path / "gone.las", withheld=np.ones(4000, "u1")), tmp_path / "out.laz")
    for missing in (tmp_path / "nowhere.laz", tmp_path):
        with pytest.raises(InputError):
            model().classify_file(missing, tmp_path / "out.laz")
    assert not (tmp_path / "out.laz").exists() and not list(tmp_path.glob(".*"))


def test_wrong_outputs_are_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make(tmp_path / "in.laz")
    for target, word in (
        (source, "same file"),
        (tmp_path / "out.tif", "suffix|cannot be written"),
        (tmp_path / "nowhere" / "out.laz", "cannot be written"),
        (tmp_path, "suffix|folder|cannot be written"),
    ):
        with pytest.raises(InputError, match=word):
            model().classify_file(source, target)
    monkeypatch.setattr(predict.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match="not enough room"):
        model().classify_file(source, tmp_path / "out.laz")
    assert [path.name for path in tmp_path.iterdir()] == ["in.laz"]


def test_failure_on_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    class Broken:
        def classify(self, *_: Any) -> Any:
            raise MemoryError("no memory left")

    source = make(tmp_path / "in.laz")
    (tmp_path / "out.laz").write_bytes(b"an older result")
    with pytest.raises(MemoryError):
        predict.Model(Broken()).classify_file(source, tmp_path / "out.laz", scratch=tmp_path)
    assert (tmp_path / "out.laz").read_bytes() == b"an older result"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.laz", "out.laz"]


def test_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    source = make(tmp_path / "in.laz")
    for name in ("a.laz", "b.laz"):
        model(threads=2).classify_file(source, tmp_path / name)
    assert (tmp_path / "a.laz").read_bytes() == (tmp_path / "b.laz").read_bytes()


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(las, "POINTS_PER_READ", 20_000)
    peaks = []
    for points in (100_000, 400_000):
        source = make(tmp_path / "in.las", 1, xyz=cloud(points, 90 * (points / 4000) ** 0.5))
        tracemalloc.start()
        model().classify_file(source, tmp_path / "out.las")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.6 * peaks[0]  # 4.0 if it did


def test_the_sample_is_a_cloud_like_any_other(tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="the simulator is compiled with numba")
    run = SimpleNamespace(seed=0, output=tmp_path / "sample.laz", summary={})
    predict.sample(run)
    read = laspy.read(run.output)
    assert {2, 5, 6, 14} <= set(np.unique(read.classification))
    assert read.header.parse_crs().to_epsg() == 25832
    summary = model().classify_file(run.output, tmp_path / "out.laz")
    assert summary["points"] == run.summary["points"] > 150_000 and summary["warnings"] == []


def test_new_files_are_read_by_others(tmp_path: Path) -> None:
    from pyproj import CRS

    xyz = cloud(1000)
    number = np.ones(1000, np.uint8)
    for name in ("new.las", "new.laz"):
        las.write_new(
            tmp_path / name, xyz, number, number * 2, np.arange(1000).astype(np.uint16), number * 6,
            CRS.from_epsg(25832).to_wkt("WKT1_GDAL"),
        )  # fmt: skip
        read = laspy.read(tmp_path / name)
        np.testing.assert_allclose(read.xyz, xyz, atol=0.0006)
        np.testing.assert_allclose(read.header.mins, xyz.min(0), atol=0.0006)
        assert set(read.classification) == {6} and set(read.number_of_returns) == {2}
        assert read.header.parse_crs().to_epsg() == 25832
