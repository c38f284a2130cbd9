"""Pickers that one would otherwise run: an energy or kurtosis trigger, refined by AIC; and AR-AIC, which is ObsPy's.

Thresholds are those with the best F1 of P on simulated validation windows. All take (3, N) at 100 Hz (vertical, north,
east; absent components 0) and return seconds of P and of S.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from .aic import aic_onset

RATE_HZ = 100.0
Waves = NDArray[np.float32]
Found = dict[str, list[float]]
BAND_SOS = signal.butter(4, (2.0, 20.0), "bandpass", fs=RATE_HZ, output="sos")
LONGEST_S_MINUS_P_S = 40.0


def sta_lta(energy: NDArray[np.float64], short_s: float, long_s: float) -> NDArray[np.float64]:
    """Mean of the last `short_s` over the mean of the last `long_s`. Allen (1978)."""
    sums = np.concatenate([[0.0], np.cumsum(energy)])
    index = np.arange(1, len(sums))
    short, long = round(short_s * RATE_HZ), round(long_s * RATE_HZ)
    near = (sums[index] - sums[np.maximum(index - short, 0)]) / short
    far = (sums[index] - sums[np.maximum(index - long, 0)]) / np.minimum(index, long)
    ratio = near / (far + 1e-3 * energy.mean() + 1e-12)
    ratio[: round(RATE_HZ)] = 0  # nothing to compare with yet
    return ratio


def kurtosis_rise(wave: NDArray[np.float64], length_s: float = 3.0) -> NDArray[np.float64]:
    """How the kurtosis of the last `length_s` grows. Saragiotis et al. (2002), Baillard et al. (2014)."""
    size = round(length_s * RATE_HZ)
    origin = -(size // 2)  # windows end at their sample

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(ndimage.uniform_filter1d(values, size, origin=-origin - (size % 2 == 0), mode="nearest"))

    centred = wave - mean(wave)
    kurtosis = mean(centred**4) / (mean(centred**2) ** 2 + 1e-12)
    rise = np.maximum(np.diff(kurtosis, prepend=kurtosis[0]), 0)
    rise[: size // 3] = 0
    return np.asarray(ndimage.uniform_filter1d(rise, 10))


def _triggers(ratio: NDArray[np.float64], on: float, apart_s: float) -> list[int]:
    tops, _ = signal.find_peaks(ratio, height=on, distance=round(apart_s * RATE_HZ))
    return [int(top) for top in tops]


def _refined(wave: NDArray[np.float64], top: int, before_s: float, after_s: float) -> float:
    begin = max(top - round(before_s * RATE_HZ), 0)
    piece = wave[begin : top + round(after_s * RATE_HZ)]
    return (begin + aic_onset(piece)) / RATE_HZ if len(piece) > 40 else top / RATE_HZ


def _bands(waves: Waves) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The vertical, and the louder horizontal (the vertical again where there is none), 2 to 20 Hz."""
    filtered = signal.sosfilt(BAND_SOS, waves.astype(float) - waves[:, :1], axis=-1)
    louder = filtered[1:][np.argmax((filtered[1:] ** 2).sum(1))]
    return filtered[0], louder if louder.any() else filtered[0]


def _s_after(horizontal: NDArray[np.float64], score: NDArray[np.float64], p_s: list[float]) -> list[float]:
    """After each P, before the next, where the score of the horizontal is largest."""
    found = []
    for this, following in zip(p_s, [*p_s[1:], np.inf], strict=False):
        begin = round((this + 0.3) * RATE_HZ)
        end = min(len(score), round(min(following, this + LONGEST_S_MINUS_P_S) * RATE_HZ))
        if end - begin > 50:
            found.append(_refined(horizontal, begin + int(np.argmax(score[begin:end])), 0.7, 0.5))
    return found


def sta_lta_aic(waves: Waves, on: float = 6.0) -> Found:
    vertical, horizontal = _bands(waves)
    p = [_refined(vertical, top, 1.5, 0.5) for top in _triggers(sta_lta(vertical**2, 0.5, 10.0), on, 4.0)]
    return {"P": p, "S": _s_after(horizontal, sta_lta(horizontal**2, 0.4, 4.0), p)}


def kurtosis_aic(waves: Waves, on: float = 1.0) -> Found:
    vertical, horizontal = _bands(waves)
    p = [_refined(vertical, top, 0.8, 0.6) for top in _triggers(kurtosis_rise(vertical), on, 3.0)]
    return {"P": p, "S": _s_after(horizontal, kurtosis_rise(horizontal), p)}


def ar_aic(waves: Waves) -> Found:
    """ObsPy's ar_pick with the settings of its tutorial: one P and one S in what it is given. Akazawa (2004)."""
    from obspy.signal.trigger import ar_pick

    vertical, north, east = (np.ascontiguousarray(part, float) for part in waves)
    if not north.any() and not east.any():
        north = east = vertical
    p, s = ar_pick(vertical, north, east, RATE_HZ, 1.0, 20.0, 1.0, 0.1, 4.0, 1.0, 2, 8, 0.1, 0.2)
    return {"P": [float(p)] if p > 0 else [], "S": [float(s)] if s > 0 else []}
