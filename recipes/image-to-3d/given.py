"""What the network is given of a picture: its colours, its outline, and what of the outline tells depth at once.

0..2   colour times alpha, 0..1
3      alpha, 0..1
4      half the thickness of a balloon of that outline, half widths of the picture
5      how far up the picture, -1..1
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

F32 = NDArray[np.float32]

CHANNELS = 6


def given(rgba: NDArray[np.uint8]) -> F32:
    """(h, w, 4) bytes -> (CHANNELS, h, w). Its mirror image is what is given of the picture's mirror image."""
    share = rgba.transpose(2, 0, 1).astype(np.float32) / 255
    up = np.linspace(1, -1, len(rgba), dtype=np.float32)[:, None]
    return np.stack(
        [*share[:3] * share[3], share[3], balloon(share[3]), np.broadcast_to(up, share[3].shape)], dtype=np.float32
    )


def balloon(alpha: F32) -> F32:
    """(h, w) 0..1 -> (h, w) half widths: at each place half the chord of a circle that fits into the outline there."""
    inside = np.asarray(ndimage.distance_transform_edt(alpha > 0.5), np.float32) * np.float32(2 / len(alpha))
    widest = ndimage.maximum_filter(inside, 2 * int(inside.max() * len(alpha) / 4) + 1)
    return np.asarray(np.sqrt(np.maximum(inside * (2 * np.maximum(widest, inside) - inside), 0)), np.float32)
