"""Closed forms of seismology: source and path spectra, travel times in a layered crust, the noise of quiet places."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

Floats = NDArray[np.float64]
Spectrum = NDArray[np.complex128]

# Peterson (1993), USGS open-file report 93-322: period (s) from which A + B log10(period) holds, dB of (m/s2)^2/Hz
NLNM = np.array([
    (0.10, -162.36, 5.64), (0.17, -166.70, 0.00), (0.40, -170.00, -8.30), (0.80, -166.40, 28.90),
    (1.24, -168.60, 52.48), (2.40, -159.98, 29.81), (4.30, -141.10, 0.00), (5.00, -71.36, -99.77),
    (6.00, -97.26, -66.49), (10.00, -132.18, -31.57), (12.00, -205.27, 36.16), (15.60, -37.65, -104.33),
    (21.90, -114.37, -47.10), (31.60, -160.58, -16.28), (45.00, -187.50, 0.00), (70.00, -216.47, 15.70),
    (101.00, -185.00, 0.00), (154.00, -168.34, -7.61), (328.00, -217.43, 11.90), (600.00, -258.28, 26.60),
])  # fmt: skip
NHNM = np.array([
    (0.10, -108.73, -17.23), (0.22, -150.34, -80.50), (0.32, -122.31, -23.87), (0.80, -116.85, 32.51),
    (3.80, -108.48, 18.08), (4.60, -74.66, -32.95), (6.30, 0.66, -127.18), (7.90, -93.37, -22.42),
    (15.40, 73.54, -162.98), (20.00, -151.52, 10.01),
])  # fmt: skip


def peterson_db(model: Floats, frequency_hz: ArrayLike) -> Floats:
    """Power of ground acceleration of `NLNM` or `NHNM`, dB of (m/s2)^2/Hz. Above 10 Hz the value at 10 Hz goes on."""
    period_s = np.clip(1.0 / np.asarray(frequency_hz, float), model[0, 0], 1000.0)
    row = np.searchsorted(model[:, 0], period_s, side="right") - 1
    level: Floats = model[row, 1] + model[row, 2] * np.log10(period_s)
    return level


def corner_hz(magnitude: ArrayLike, stress_drop_pa: ArrayLike, beta_m_s: ArrayLike) -> Floats:
    """Corner frequency of a Brune source: fc = 0.49 beta (stress drop / M0)^(1/3), M0 = 10^(1.5 M + 9.1) N m.

    Brune (1970); Hanks & Kanamori (1979).
    """
    moment_nm = 10.0 ** (1.5 * np.asarray(magnitude, float) + 9.1)
    return np.asarray(0.49 * np.asarray(beta_m_s) * (np.asarray(stress_drop_pa) / moment_nm) ** (1 / 3), float)


def brune(frequency_hz: Floats, corner: float) -> Spectrum:
    """Far-field displacement of a Brune source of plateau 1: the transform of wc^2 t exp(-wc t), t > 0; causal."""
    result: Spectrum = 1.0 / (1.0 + 1j * frequency_hz / corner) ** 2
    return result


def high_pass(frequency_hz: Floats, corner: float, damping: float = 0.707) -> Spectrum:
    """What a pendulum of that natural frequency records of ground velocity, over the velocity."""
    s = 1j * frequency_hz
    result: Spectrum = s**2 / (s**2 + 2 * damping * corner * s + corner**2)
    return result


def minimum_phase(log_amplitude: Floats) -> Spectrum:
    """The causal spectrum of least delay with the given log amplitude at the n/2 + 1 frequencies of an n-point rfft.

    By folding the cepstrum: Oppenheim & Schafer, Discrete-Time Signal Processing, ch. 13.
    """
    n = 2 * (len(log_amplitude) - 1)
    cepstrum = fft.irfft(log_amplitude)
    cepstrum[1 : n // 2] *= 2
    cepstrum[n // 2 + 1 :] = 0
    result: Spectrum = np.exp(fft.rfft(cepstrum))
    return result


def log_attenuation(frequency_hz: Floats, travel_s: float, q_1hz: float, q_exponent: float, kappa_s: float) -> Floats:
    """-pi f t / Q(f) - pi kappa f, with Q = q_1hz f^q_exponent. Anderson & Hough (1984) for kappa."""
    q = q_1hz * np.maximum(frequency_hz, 0.1) ** q_exponent
    result: Floats = -np.pi * frequency_hz * (travel_s / q + kappa_s)
    return result


def direct_s(epicentral_km: float, depth_km: float, velocity_km_s: float) -> float:
    """Travel time of the direct wave in a layer of one velocity."""
    return float(np.hypot(epicentral_km, depth_km) / velocity_km_s)


def head_wave_s(
    epicentral_km: float, depth_km: float, thickness_km: ArrayLike, velocity_km_s: ArrayLike, below_km_s: float
) -> float:
    """Travel time of the wave refracted along the floor of a stack of layers, from a source at `depth_km` in them to
    the surface; infinity before the critical distance. Flat Earth.
    """
    thickness, velocity = (
        np.atleast_1d(np.asarray(thickness_km, float)),
        np.atleast_1d(np.asarray(velocity_km_s, float)),
    )
    top = np.concatenate([[0.0], np.cumsum(thickness)[:-1]])
    below_source = np.clip(top + thickness - np.maximum(depth_km, top), 0.0, thickness)
    crossed = thickness + below_source  # km in each layer: down from the source, up to the surface
    sine = velocity / below_km_s
    cosine = np.sqrt(1 - sine**2)
    if epicentral_km < float(np.sum(crossed * sine / cosine)):
        return float("inf")
    return float(epicentral_km / below_km_s + np.sum(crossed * cosine / velocity))
