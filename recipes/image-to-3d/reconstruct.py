"""A picture that is cut out -> a shape: what `predict` writes, and what other recipes build on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from hive_recipe_shape_corpus.mesh import F32, Mesh
from hive_recipe_shape_corpus.render import Camera
from hive_runner.export import load_weights
from numpy.typing import NDArray
from scipy.special import expit

from . import colour
from .decode import MESH_CELLS, Decoding, Field, calibrated, on_grid, outline, placed, surface
from .frustum import CELLS, Frustum
from .given import given
from .matte import squared
from .model import ShapeNet
from .simplify import simplified

FIELD_CELLS = 64
FACES = 20_000


@dataclass(frozen=True)
class Sight:
    """What the network says of one picture, as arrays."""

    logits: F32  # (CELLS, CELLS, BINS)
    depth: F32  # (CELLS, CELLS) of the front, half widths
    behind: F32  # (CELLS, CELLS, 3) 0..1
    elevation_deg: float
    fov_deg: float


@dataclass(frozen=True)
class Reconstruction:
    """A shape in the viewer's frame: upright, centred, longest side 1, its front towards the viewer."""

    field: F32  # (64, 64, 64) logits over the cube [-.5, .5]^3, [x, y, z]: above 0 inside
    mesh: Mesh
    elevation_deg: float
    fov_deg: float
    depth: F32  # (SIZE_PX, SIZE_PX) of the front along the optical axis, in the mesh's unit; inf outside of the outline
    rgba: NDArray[np.uint8]  # (SIZE_PX, SIZE_PX, 4) as the network saw it
    camera: Camera  # in whose picture the shape has the outline of rgba
    confidence: float  # IoU with the truth to expect, 0..1
    frustum: Frustum
    frustum_field: Field


class Reconstructor:
    """The trained network and all that turns its answers into meshes."""

    def __init__(self, artifact: Path, threads: int = 1) -> None:
        tensors, config = load_weights(artifact)
        self.config = config
        self.decoding = Decoding(**config["decoding"])
        self.net = ShapeNet()
        self.net.load_state_dict(tensors)
        self.net.eval().to(memory_format=torch.channels_last)
        torch.set_num_threads(threads)

    def reconstruct(
        self, rgba: NDArray[np.uint8], elevation_deg: float | None = None, fov_deg: float | None = None,
        faces: int = FACES,
    ) -> Reconstruction:  # fmt: skip
        """rgba: (h, w, 4), the object cut out by its alpha. elevation_deg, fov_deg: if known. faces: at most, 0: any.

        Raises hive_runner.errors.InputError if nothing is opaque.
        """
        picture = squared(rgba)
        return decoded(see(self.net, picture), picture, self.decoding, elevation_deg, fov_deg, faces)


def see(net: ShapeNet, rgba: NDArray[np.uint8], mirrored: bool = True) -> Sight:
    """Ask the network. rgba: (SIZE_PX, SIZE_PX, 4). mirrored: ask again of the mirror image, and take the mean."""
    pictures = torch.from_numpy(given(rgba)[None])
    if mirrored:
        pictures = torch.cat([pictures, pictures.flip(3)])
    with torch.inference_mode():
        answer = net(pictures)

    def mean(values: torch.Tensor) -> F32:
        values = values.float()
        both = (values[0] + values[1].flip(-1)) / 2 if mirrored else values[0]
        return np.ascontiguousarray(both.numpy(), np.float32)

    return Sight(
        np.ascontiguousarray(mean(answer.occupancy).transpose(1, 2, 0)), mean(answer.depth),
        np.ascontiguousarray(mean(answer.behind).transpose(1, 2, 0)),
        float(answer.elevation_deg.mean()), float(answer.fov_deg.mean().clamp(8, 60)),
    )  # fmt: skip


def columns_of(rgba: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(CELLS, CELLS): the columns that hold something, from alpha (SIZE_PX, SIZE_PX)."""
    return np.asarray(rgba[..., 3].reshape(CELLS, 2, CELLS, 2).mean((1, 3)) > 64)


def decoded(
    sight: Sight, rgba: NDArray[np.uint8], decoding: Decoding, elevation_deg: float | None = None,
    fov_deg: float | None = None, faces: int = FACES, mesh_cells: int = MESH_CELLS,
) -> Reconstruction:  # fmt: skip
    """The shape in an answer, coloured."""
    elevation_deg = sight.elevation_deg if elevation_deg is None else elevation_deg
    fov_deg = sight.fov_deg if fov_deg is None else fov_deg
    field, frustum = shaped(sight.logits, rgba, decoding, elevation_deg, fov_deg)
    mesh = surface(field, frustum, mesh_cells)
    behind = decoding.guess * sight.behind + (1 - decoding.guess) * colour.turned_to_back(rgba)
    mesh = colour.painted(simplified(mesh, faces) if faces else mesh, field, frustum, rgba, behind)
    return Reconstruction(
        on_grid(field, frustum, FIELD_CELLS), mesh, elevation_deg, fov_deg, _depth(field, frustum, rgba), rgba,
        frustum.camera, decoding.confidence(promised_iou(sight.logits, field.cells, columns_of(rgba))), frustum, field,
    )  # fmt: skip


def shaped(
    logits: F32, rgba: NDArray[np.uint8], decoding: Decoding, elevation_deg: float, fov_deg: float
) -> tuple[Field, Frustum]:
    """The shape along the rays of the picture, and where it lies in its own frame."""
    wanted = columns_of(rgba)
    cells = calibrated(logits, wanted, decoding)
    field = Field(cells, outline(rgba[..., 3].astype(np.float32) / 255), float(np.tan(np.radians(fov_deg) / 2)))
    return field, placed(field, wanted, elevation_deg, fov_deg)


def _depth(field: Field, frustum: Frustum, rgba: NDArray[np.uint8]) -> F32:
    front = np.repeat(np.repeat(field.front(), 2, 0), 2, 1) * frustum.unit + frustum.seen_depth
    return np.where(rgba[..., 3] > 127, front, np.inf).astype(np.float32)


def promised_iou(logits: F32, cells: F32, wanted: NDArray[np.bool_]) -> float:
    """Of the cells taken for matter with those that are, if the probabilities are right."""
    p = expit(logits[wanted])
    inside = cells[wanted] > 0
    hit = float(p[inside].sum())
    return hit / max(float(inside.sum()) + float(p[~inside].sum()), 1e-6)
