"""From sentences to coloured meshes, with the trained networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from hive_recipe_shape_corpus.mesh import F32, Mesh
from hive_recipe_shape_corpus.surface import extract
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from . import flow, match
from .autoencoder import COLOUR_CELLS, LATENT_SHAPE, Autoencoder
from .encoder import Encoded

TOGETHER = 8  # shapes that are made at once


@dataclass(frozen=True)
class Field:
    """A shape before it has a surface. filled: probability (64, 64, 64); colour: sRGB 0..1 (3, 32, 32, 32)."""

    filled: F32
    colour: F32


class Maker:
    """The networks of an artifact. tensors, config: as `save_weights` has them."""

    def __init__(self, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
        own = {kind: _own(tensors, kind) for kind in ("autoencoder", "flow", "matcher")}
        self.autoencoder = Autoencoder().to(memory_format=torch.channels_last_3d)
        self.autoencoder.load_state_dict(own["autoencoder"])
        self.basis = flow.Basis(**_own(tensors, "basis"))
        self.flow = flow.Flow(len(self.basis.scale), int(config["width"]), int(config["layers"]))
        self.flow.load_state_dict(own["flow"])
        self.matcher = match.Matcher(len(self.basis.scale))
        self.matcher.load_state_dict(own["matcher"])
        self.level = float(config.get("level", 0.5))
        self.guidance = float(config.get("guidance", 3.0))
        self.candidates = int(config.get("candidates", 1))
        self.margin = float(config.get("margin", 0.0))

    def fields(
        self, said: Encoded, seeds: list[int], steps: int, guidance: float | None = None, candidates: int | None = None
    ) -> list[Field]:
        """One shape a sentence: of so many candidates, each from noise of the seed, one that matches it about best."""
        guidance = self.guidance if guidance is None else guidance
        candidates = self.candidates if candidates is None else candidates
        found: list[Field] = []
        for start in range(0, len(seeds), TOGETHER):
            some = seeds[start : start + TOGETHER]
            noise = torch.cat([_noise(seed, candidates, len(self.basis.scale)) for seed in some])
            heard = said.pick(torch.arange(start, start + len(some)))
            each = heard.pick(torch.arange(len(some)).repeat_interleave(candidates))
            numbers = flow.sample(self.flow, each, noise, steps, guidance).unflatten(0, (len(some), candidates))
            kept = match.chosen(self.matcher, numbers, heard, self.margin)
            found += self.decode(self.basis.outward(kept).unflatten(1, LATENT_SHAPE))
        return found

    @torch.inference_mode()
    def decode(self, latent: Tensor) -> list[Field]:
        """(B, *LATENT_SHAPE) -> B fields."""
        logits, colour = self.autoencoder.decode(latent)
        filled = torch.sigmoid(logits).numpy()
        return [Field(*each) for each in zip(filled, colour.clamp(0, 1).numpy(), strict=True)]

    def solid(self, field: Field) -> NDArray[np.bool_]:
        """Never empty: where nothing reaches the level, the half of the likeliest counts."""
        found: NDArray[np.bool_] = field.filled > reached(field, self.level)
        return found

    def mesh(self, field: Field, faces: int = 0) -> Mesh:
        """Closed, coloured, normalised. faces: at most so many, about; 0: as many as it has."""
        mesh = surface(field, self.level)
        if 0 < faces < len(mesh.faces):
            mesh = simplified(mesh, faces)
        return painted(mesh, field.colour).normalised()


def surface(field: Field, level: float) -> Mesh:
    """Grey, where it lies in the cube."""
    return extract(field.filled, reached(field, level))


def reached(field: Field, level: float) -> float:
    """The level, or half of the highest that the field reaches."""
    return min(level, float(field.filled.max()) / 2)


def painted(mesh: Mesh, colour: F32) -> Mesh:
    """Each face in the colour of the grid (3, n, n, n) at its middle."""
    middle = mesh.vertices[mesh.faces].mean(1)
    at = ((middle + 0.5) * COLOUR_CELLS - 0.5).T
    channels = [ndimage.map_coordinates(channel, at, order=1, mode="nearest") for channel in colour]
    return replace(mesh, colours=(np.stack(channels, 1) * 255 + 0.5).astype(np.uint8))


def simplified(mesh: Mesh, faces: int) -> Mesh:
    """Fewer faces by quadric error (Garland & Heckbert 1997)."""
    from fast_simplification import simplify

    vertices, kept = simplify(mesh.vertices, mesh.faces, target_count=faces)
    colours = np.full((len(kept), 3), mesh.colours[0], np.uint8)
    return Mesh(vertices.astype(np.float32), kept.astype(np.int32), colours)


def _noise(seed: int, candidates: int, count: int) -> Tensor:
    """(candidates, count); the first ones are the same however many there are."""
    return torch.randn(candidates, count, generator=torch.Generator().manual_seed(seed))


def _own(tensors: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{kind}."): each for name, each in tensors.items() if name.startswith(f"{kind}.")}
