"""From counts to what the network sees, the same for simulated windows and for records.

The slow parts are filtered away causally, so that no onset begins early. The network sees each component twice: as it
is (over the window's largest component), and pressed by asinh in units of the window's quiet level, so that a small
earthquake is seen beside a large one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

RATE_HZ = 100.0
HIGH_PASS_HZ = 0.8
SOS = signal.butter(2, HIGH_PASS_HZ, "highpass", fs=RATE_HZ, output="sos")
_STATE = signal.sosfilt_zi(SOS)
QUIET_BLOCK = 50  # samples whose loudness is one figure
QUIET_SHARE = 0.25  # of the blocks that are quieter than the quiet level


def high_passed(waves: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3, N) -> (3, N) without offset and slow drift, as if the first value had always been there."""
    state = _STATE[:, None, :] * waves[None, :, :1].astype(float)
    filtered, _ = signal.sosfilt(SOS, waves.astype(float), axis=-1, zi=state)
    return np.asarray(filtered, np.float32)


def is_alone(waves: NDArray[np.float32]) -> bool:
    """Whether only the first of the three components holds anything. (3, N)"""
    return not waves[1:].any()


def channels(filtered: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., 3, N) high-passed windows -> (..., 6, N), N a multiple of 50."""
    loudness = np.sqrt((filtered**2).mean(axis=-1))  # (..., 3)
    linear = filtered / (loudness.max(axis=-1)[..., None, None] + 1e-12)
    blocks = filtered.reshape(*filtered.shape[:-1], -1, QUIET_BLOCK)
    rms = np.sqrt((blocks**2).mean(axis=-1))  # (..., 3, N / 50)
    rms = np.where(rms > 0, rms, np.inf)  # what is missing is not quiet
    rank = int(QUIET_SHARE * rms.shape[-1])
    quiet = np.partition(rms, rank, axis=-1)[..., rank, None]
    quiet = np.where(np.isfinite(quiet), np.maximum(quiet, 1e-3 * loudness[..., None]), loudness[..., None] + 1e-12)
    pressed = np.arcsinh(filtered / (2 * quiet)) * 0.7
    return np.concatenate([linear, pressed], axis=-2).astype(np.float32)
