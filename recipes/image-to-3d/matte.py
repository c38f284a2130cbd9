"""From a user's picture to an object cut out of it, in the square the network looks at.

Transparency is believed where there is some. Otherwise the background must be plain: a smooth colour that is fitted to
the picture's border, whatever stands out from it being the object.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hive_runner.errors import InputError
from numpy.typing import NDArray
from scipy import ndimage

from .frustum import FILL, SIZE_PX

F32 = NDArray[np.float32]

WORK_PX = 512  # the longer side while the background is found
RIM = 0.03  # of the picture's shorter side: the border that the background is fitted to
PLAIN = 6.0  # a border may differ so much from a smooth colour, CIE76
CLUTTER = 0.35  # of the border may be something else (the object may touch it)
STANDS_OUT = 7.0  # at least this far from the background's colour, CIE76
SHADOW, SHADOW_HUE = 40.0, 6.0  # a shadow is at most so much darker, and of the background's hue, CIE76
FADES = 1.5  # lightness a pixel: where a shadow ends it changes less
CRUMB = 0.03  # pieces of less than this share of the largest are dropped
HOLE = 0.0008  # of the picture: smaller holes are closed
HINT = "photograph it in front of a plain wall or sheet, or cut it out (PNG with transparency)"


@dataclass(frozen=True)
class Cutout:
    rgba: NDArray[np.uint8]  # (h, w, 4)
    by: str  # "transparency" or "plain background"
    warnings: tuple[str, ...]


def read(path: Path) -> Cutout:
    """Open a picture and cut the object out. Raises InputError."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert("RGBA")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path.name} is no picture that can be read", str(error), "PNG, JPEG or WebP") from error
    if min(image.size) < 16:
        raise InputError(f"{path.name} is only {image.width} x {image.height} pixels", hint="give a larger picture")
    image.thumbnail((1024, 1024))
    return cut_out(np.asarray(image), path.name)


def cut_out(rgba: NDArray[np.uint8], name: str = "the picture") -> Cutout:
    alpha = rgba[..., 3]
    if (alpha < 128).mean() > 0.01:
        if not (alpha > 127).any():
            raise InputError(f"{name} is transparent everywhere", hint="give a picture with something in it")
        return _checked(rgba, "transparency", name)
    colour = rgba[..., :3]
    step = max(1, round(max(colour.shape[:2]) / WORK_PX))
    mask = stands_out(colour[::step, ::step], name)
    rows = np.minimum(np.arange(colour.shape[0]) // step, mask.shape[0] - 1)
    columns = np.minimum(np.arange(colour.shape[1]) // step, mask.shape[1] - 1)
    soft = ndimage.gaussian_filter(mask[rows][:, columns].astype(np.float32), 0.8 * step)
    return _checked(np.dstack([colour, (soft * 255 + 0.5).astype(np.uint8)]), "plain background", name)


def stands_out(colour: NDArray[np.uint8], name: str) -> NDArray[np.bool_]:
    """(h, w, 3) sRGB -> what is not background. Raises InputError where the background is not plain."""
    from skimage.color import rgb2lab

    lab = ndimage.gaussian_filter(rgb2lab(colour).astype(np.float32), (0.7, 0.7, 0))
    h, w = lab.shape[:2]
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j].astype(np.float32)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1)
    width = max(2, round(RIM * min(h, w)))
    rim = np.ones((h, w), bool)
    rim[width:-width, width:-width] = False
    fit, spread = _smooth_fit(terms[rim], lab[rim])
    unlike = lab - terms @ fit
    distance = np.linalg.norm(unlike, axis=2)
    level = max(STANDS_OUT, 4 * spread)
    other = float((distance[rim] > level).mean())
    if spread > PLAIN or other > CLUTTER:
        raise InputError(
            f"{name} has no plain background",
            f"{other:.0%} of its border is not one smooth colour" if spread <= PLAIN else "its border is a pattern",
            HINT,
        )
    return _solid(distance, level, name) & ~_shadow(unlike, distance > level)


def _shadow(unlike: F32, found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of what was found, regions of the background's hue, somewhat darker, that fade into it: an object has an edge."""
    light, hue = unlike[..., 0], np.hypot(unlike[..., 1], unlike[..., 2])
    pieces, _ = ndimage.label(found & (light < 0) & (light > -SHADOW) & (hue < SHADOW_HUE))
    steep = ndimage.gaussian_gradient_magnitude(light, 0.7)
    shadow = np.zeros_like(found)
    for index, window in enumerate(ndimage.find_objects(pieces), start=1):
        grown = tuple(slice(max(side.start - 2, 0), side.stop + 2) for side in window)
        piece = pieces[grown] == index
        rim = ndimage.binary_dilation(piece) & ~found[grown]
        if piece.sum() > 30 and rim.any() and np.median(steep[grown][rim]) < FADES:
            shadow[grown] |= piece
    return shadow


def _smooth_fit(terms: F32, lab: F32) -> tuple[F32, float]:
    """Quadratic in x and y, robust: what the object or a shadow covers counts little. And the spread of the rest."""
    weight = np.exp(-0.5 * (np.linalg.norm(lab - np.median(lab, 0), axis=1) / 12) ** 2) + 1e-3
    for _ in range(6):
        root = np.sqrt(weight)[:, None]
        ridge = 0.03 * np.sqrt(len(terms)) * np.diag([0, 1, 1, 3, 3, 3])
        fit = np.linalg.lstsq(
            np.concatenate([terms * root, ridge]), np.concatenate([lab * root, np.zeros((6, 3))]), rcond=None
        )[0]
        off = np.linalg.norm(lab - terms @ fit, axis=1)
        spread = max(float(np.median(off)), 0.5)
        weight = 1 / (1 + (off / (2.5 * spread)) ** 4)
    return fit.astype(np.float32), spread


def _solid(distance: F32, level: float, name: str) -> NDArray[np.bool_]:
    """The object: large pieces of what stands out, small holes closed, background seen through it left open."""
    found = ndimage.binary_closing(np.pad(distance > level, 2), iterations=1)[2:-2, 2:-2]
    pieces, count = ndimage.label(found)
    if not count:
        raise InputError(f"nothing stands out from the background of {name}", "it is one smooth colour", HINT)
    sizes = np.bincount(pieces.ravel())[1:]
    found = np.isin(pieces, 1 + np.flatnonzero(sizes >= CRUMB * sizes.max()))
    holes, count = ndimage.label(~found)
    if count:
        index = np.arange(1, count + 1)
        sizes = np.bincount(holes.ravel(), minlength=count + 1)[1:]
        unlike = ndimage.mean(distance, holes, index) > level * 0.6
        outside = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
        closed = ((sizes < HOLE * distance.size) | unlike) & ~np.isin(index, outside)
        found |= np.isin(holes, index[closed])
    return np.asarray(found)


def _checked(rgba: NDArray[np.uint8], by: str, name: str) -> Cutout:
    inside = rgba[..., 3] > 127
    share = float(inside.mean())
    border = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    warnings = []
    if share < 0.001 or inside.sum() < 60:
        raise InputError(f"the object in {name} is too small", f"it covers {share:.2%} of it", "crop it")
    if share > 0.97 or border.mean() > 0.6:
        raise InputError(f"the object fills {name}", "no background is left around it", HINT)
    if border.mean() > 0.03:
        warnings.append("the object is cut off by the edge of the picture: what is beyond it is missing")
    pieces, count = ndimage.label(inside)
    sizes = np.bincount(pieces.ravel())[1:]
    if count > 1 and np.sort(sizes)[-2] > 0.25 * sizes.max():
        warnings.append("there is more than one thing in the picture: they are taken for one object")
    if np.sqrt(inside.sum()) < 48:
        warnings.append("the object is only a few pixels large in this picture")
    return Cutout(rgba, by, tuple(warnings))


def squared(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w, 4) -> (SIZE_PX, SIZE_PX, 4): the opaque part in the middle, its longer side FILL of the square."""
    from PIL import Image

    rows, columns = (np.flatnonzero((rgba[..., 3] > 127).any(axis)) for axis in (1, 0))
    if not len(rows):
        raise InputError("the picture is transparent everywhere", hint="give a picture with something in it")
    middle = (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2
    half = max(np.ptp(rows) + 1, np.ptp(columns) + 1) / FILL / 2
    pad = int(np.ceil(half)) + 2
    share = np.pad(rgba, ((pad, pad), (pad, pad), (0, 0))).astype(np.float32)
    share[..., :3] *= share[..., 3:] / 255
    box = tuple(at + pad + sign * half for sign in (-1, 1) for at in middle)
    channels = [
        np.asarray(Image.fromarray(share[..., k]).resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC, box=box))
        if half * 2 < SIZE_PX
        else np.asarray(Image.fromarray(share[..., k]).resize((SIZE_PX, SIZE_PX), Image.Resampling.BOX, box=box))
        for k in range(4)
    ]
    small = np.stack(channels, 2)
    alpha = np.clip(small[..., 3:], 0, 255)
    colour = np.clip(small[..., :3] / np.maximum(alpha / 255, 1e-3), 0, 255)
    return (np.concatenate([np.where(alpha > 0.5, colour, 0), alpha], 2) + 0.5).astype(np.uint8)
