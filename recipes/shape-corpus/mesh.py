"""A coloured triangle mesh in the frame of an object, and what is asked of one everywhere.

Frame of an object: right-handed, z up, x to the right and y away from who looks at the front (the front faces -y).
A normalised mesh has its bounding box centred at 0 and the longest side of it 1 long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Mesh:
    vertices: F32  # (n, 3)
    faces: NDArray[np.int32]  # (m, 3), counter-clockwise as seen from outside
    colours: NDArray[np.uint8]  # (m, 3) sRGB, one a face

    def normalised(self) -> Mesh:
        """Centred, the longest side 1 long."""
        low, high = self.vertices.min(0), self.vertices.max(0)
        return replace(self, vertices=((self.vertices - (low + high) / 2) / (high - low).max()).astype(np.float32))


def join(parts: list[Mesh]) -> Mesh:
    """Several meshes as one, not merged."""
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    return Mesh(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)]).astype(np.int32),
        np.concatenate([part.colours for part in parts]),
    )
