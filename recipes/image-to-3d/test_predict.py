"""Pictures as people have them: what is cut out, what is refused and why, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network is torch's")
pytest.importorskip("numba", reason="pictures are rendered by numba's code")
trimesh = pytest.importorskip("trimesh", reason="meshes are written by trimesh")
pytest.importorskip("skimage", reason="colours are compared by scikit-image")
pytest.importorskip("fast_simplification", reason="triangles are collapsed by it")

from hive_runner.contract import JobSpec  # noqa: E402
from hive_runner.errors import InputError  # noqa: E402
from hive_runner.export import save_weights  # noqa: E402
from hive_runner.recipe_module import load  # noqa: E402
from hive_runner.run import Run  # noqa: E402
from PIL import Image  # noqa: E402

HERE = Path(__file__).parent
load("shape-corpus", HERE.parent / "shape-corpus", "mesh")
matte = load("image-to-3d", HERE, "matte")
model = load("image-to-3d", HERE, "model")
predict = load("image-to-3d", HERE, "predict")

OPTIONS = {"elevation": "auto", "fov": "auto", "faces": 5000, "size": 1.0}


def scene(height: int = 300, width: int = 400, noise: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """A red ring on a grey wall lit from the left, with sensor noise; and the ring's mask."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    wall = 150 + 60 * columns / width
    picture = np.repeat(wall[..., None], 3, 2)
    distance = np.hypot(rows - height / 2, columns - width / 2)
    ring = (distance < 100) & (distance > 40)
    picture[ring] = (180, 40, 40)
    return np.clip(picture + rng.normal(0, noise, picture.shape), 0, 255).astype(np.uint8), ring


def test_a_plain_background_is_removed_and_seen_through_holes() -> None:
    picture, ring = scene()
    cut = matte.cut_out(np.dstack([picture, np.full(ring.shape, 255, np.uint8)]))
    found = cut.rgba[..., 3] > 127
    assert (found & ring).sum() / (found | ring).sum() > 0.97
    assert cut.by == "plain background" and not cut.warnings


def test_a_shadow_that_fades_is_no_part_of_the_object() -> None:
    picture, ring = scene()
    rows, columns = np.mgrid[:300, :400]
    dark = 0.3 * np.exp(-(((rows - 250) / 18) ** 2 + ((columns - 200) / 110) ** 2))
    shaded = np.where(ring[..., None], picture, picture * (1 - dark[..., None])).astype(np.uint8)
    found = matte.cut_out(np.dstack([shaded, np.full(ring.shape, 255, np.uint8)])).rgba[..., 3] > 127
    assert (found & ring).sum() / (found | ring).sum() > 0.95
    grey = np.where(ring[..., None], 120, picture).astype(np.uint8)  # an object of the shadow's colour has an edge
    found = matte.cut_out(np.dstack([grey, np.full(ring.shape, 255, np.uint8)])).rgba[..., 3] > 127
    assert (found & ring).sum() / (found | ring).sum() > 0.95


@pytest.mark.parametrize("quality", [30, 90])
def test_a_jpeg_of_any_size_is_read(tmp_path: Path, quality: int) -> None:
    picture, _ = scene(1500, 2000)
    Image.fromarray(picture).save(tmp_path / "ring.jpg", quality=quality)
    cut = matte.read(tmp_path / "ring.jpg")
    assert max(cut.rgba.shape) == 1024
    assert 0.005 < (cut.rgba[..., 3] > 127).mean() < 0.02


def test_transparency_is_believed(tmp_path: Path) -> None:
    picture, ring = scene(noise=60)
    alpha = (ring * 255).astype(np.uint8)
    Image.fromarray(np.dstack([picture, alpha])).save(tmp_path / "ring.png")
    cut = matte.read(tmp_path / "ring.png")
    assert cut.by == "transparency" and np.array_equal(cut.rgba[..., 3], alpha)


def rooms() -> np.ndarray:
    """Furniture before furniture: rectangles of all colours."""
    rng = np.random.default_rng(1)
    picture = np.zeros((300, 400, 3), np.uint8)
    for _ in range(150):
        top, left = rng.integers(0, 300), rng.integers(0, 400)
        picture[top : top + rng.integers(20, 120), left : left + rng.integers(20, 120)] = rng.integers(0, 255, 3)
    return picture


REFUSED = {
    "cluttered": (rooms, "no plain background"),
    "noise": (lambda: np.random.default_rng(0).integers(0, 255, (200, 200, 3)).astype(np.uint8), "no plain background"),
    "nothing": (lambda: np.full((200, 200, 3), 200, np.uint8), "nothing stands out"),
    "tiny": (lambda: np.full((8, 8, 3), 200, np.uint8), "only 8 x 8"),
    "filled": (lambda: np.dstack([rooms(), np.where(np.mgrid[:300, :400][0] < 240, 255, 0).astype(np.uint8)]), "fills"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_cut_out_is_refused_with_a_reason(tmp_path: Path, name: str) -> None:
    make, why = REFUSED[name]
    Image.fromarray(make()).save(tmp_path / "given.png")
    with pytest.raises(InputError, match=why) as raised:
        matte.read(tmp_path / "given.png")
    assert raised.value.hint


def test_a_text_called_png_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("a chair, they said")
    with pytest.raises(InputError, match=r"a\.png is no picture"):
        matte.read(tmp_path / "a.png")


def test_what_is_cut_off_or_many_is_warned_of() -> None:
    picture, ring = scene()
    moved = np.roll(np.dstack([picture, (ring * 255).astype(np.uint8)]), -130, 1)
    moved[:, -70:, 3] = 0
    assert "cut off" in matte.cut_out(moved).warnings[0]
    two = np.zeros((100, 200, 4), np.uint8)
    two[20:80, 20:80] = two[20:80, 120:180] = 255
    assert "more than one" in matte.cut_out(two).warnings[0]


def test_the_square_shows_the_object_in_its_middle() -> None:
    rgba = np.zeros((300, 500, 4), np.uint8)
    rgba[100:150, 300:480] = (200, 100, 50, 255)
    square = matte.squared(rgba)
    rows, columns = np.nonzero(square[..., 3] > 127)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(63.5, abs=1)
    assert np.ptp(columns) + 1 == pytest.approx(0.9 * 128, abs=1.5)
    assert np.abs(square[64, 64].astype(int) - (200, 100, 50, 255)).max() <= 2


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a network that takes everything for a slab."""
    folder = tmp_path_factory.mktemp("artifact")
    net = model.ShapeNet()
    with torch.no_grad():
        net.coarse.bias[25:45] = 3.0
    config = {"decoding": {"scale": 1.0, "low": 0.05, "high": 0.6}, "usual_confidence": 0.95}
    save_weights(folder, net.state_dict(), config)
    return folder


def job(tmp_path: Path, artifact: Path, output: str, **options: Any) -> Run:
    (tmp_path / "out").mkdir(exist_ok=True)
    spec = JobSpec(
        action="predict", recipe="image-to-3d", version="1", recipe_path=str(HERE), out=str(tmp_path / "out"),
        checkpoints="", events=str(tmp_path / "events"), result=str(tmp_path / "result"), artifact=str(artifact),
        inputs=[str(tmp_path / "ring.png")], output=output, options=OPTIONS | options,
    )  # fmt: skip
    return Run(spec)


def test_a_photograph_becomes_a_mesh_with_words_and_pictures_beside(tmp_path: Path, artifact: Path) -> None:
    Image.fromarray(scene()[0]).save(tmp_path / "ring.png")
    run = job(tmp_path, artifact, "ring.glb", elevation="12.5", size=0.4)
    predict.predict(run)
    mesh = trimesh.load(tmp_path / "out/ring.glb", force="mesh")
    assert mesh.is_watertight and max(mesh.extents) == pytest.approx(0.4, rel=1e-3)
    words = json.loads((tmp_path / "out/ring.json").read_text())
    assert words["elevation_deg"] == 12.5 and "guess" in words["hidden_side"]
    assert any("less sure" in warning for warning in words["warnings"])  # .95 is much
    with Image.open(tmp_path / "out/ring-views.png") as strip:
        assert strip.width == 8 * strip.height
    assert run.summary["warnings"] == words["warnings"]


def test_a_folder_is_filled(tmp_path: Path, artifact: Path) -> None:
    Image.fromarray(scene()[0]).save(tmp_path / "ring.png")
    predict.predict(job(tmp_path, artifact, "things", faces=0))
    assert {each.name for each in (tmp_path / "out/things").iterdir()} == {
        "model.glb", "model.json", "model-views.png",
    }  # fmt: skip


def test_options_and_formats_that_make_no_sense_are_refused(tmp_path: Path, artifact: Path) -> None:
    Image.fromarray(scene()[0]).save(tmp_path / "ring.png")
    for output, options in (("ring.fbx", {}), ("ring.glb", {"elevation": "high"}), ("ring.glb", {"fov": "170"})):
        with pytest.raises(InputError) as raised:
            predict.predict(job(tmp_path, artifact, output, **options))
        assert raised.value.hint


def test_the_sample_is_a_picture_that_can_be_given_back(tmp_path: Path, artifact: Path) -> None:
    run = job(tmp_path, artifact, "sample.png")
    predict.sample(run)
    assert matte.read(tmp_path / "out/sample.png").by == "transparency"
