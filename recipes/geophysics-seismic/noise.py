"""What a station records when no earthquake is near: ground noise of random colour, and what people and machines do.

Everything is in units of its own; `simulate` scales and mixes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from .physics import NHNM, NLNM, peterson_db

RATE_HZ = 100.0
Waves = NDArray[np.float32]  # (3, N): vertical, north, east

FREQUENCY_HZ = np.concatenate([[1e-3], fft.rfftfreq(4096, 1 / RATE_HZ)[1:]])
_LOW, _HIGH = (peterson_db(model, FREQUENCY_HZ) for model in (NLNM, NHNM))
_LOG_F = np.log(FREQUENCY_HZ)


def ground_noise_amplitude(rng: np.random.Generator) -> NDArray[np.float64]:
    """(2049,) amplitude of ground velocity: between Peterson's models by a random, smooth curve, with a bump where
    towns are loud (1 to 30 Hz) and the hum of machines at single frequencies.
    """
    knots = np.log([1e-3, 0.1, 0.3, 1.0, 3.0, 8.0, 20.0, 50.0])
    share = np.interp(_LOG_F, knots, rng.uniform(0.1, 0.9) + rng.normal(0, 0.18, len(knots)))
    level_db = _LOW + share * (_HIGH - _LOW)
    if rng.random() < 0.6:
        centre, width = np.log(rng.uniform(1.0, 30.0)), rng.uniform(0.2, 1.0)
        level_db = level_db + rng.uniform(3, 30) * np.exp(-0.5 * ((_LOG_F - centre) / width) ** 2)
    amplitude = 10 ** (level_db / 20) / (2 * np.pi * FREQUENCY_HZ)
    for _ in range(rng.integers(0, 4) if rng.random() < 0.5 else 0):
        line_hz = rng.choice([16.67, 25.0, 50.0, 30.0, rng.uniform(1.0, 45.0), rng.uniform(1.0, 45.0)])
        index = int(np.argmin(np.abs(FREQUENCY_HZ - line_hz)))
        spread = int(rng.integers(0, 4))
        amplitude[index - spread : index + spread + 1] *= rng.uniform(2, 25)
    return amplitude


def gaussian(rng: np.random.Generator, amplitude: NDArray[np.float64], components: int = 3) -> NDArray[np.complex64]:
    """(components, 2049) spectrum of Gaussian noise of that amplitude."""
    white = rng.standard_normal((components, 2, len(amplitude)), np.float32)
    return ((white[:, 0] + 1j * white[:, 1]) * amplitude).astype(np.complex64)


def swell(rng: np.random.Generator, length: int) -> NDArray[np.float64]:
    """(length,) rise and fall of a noise level around 1, as by wind or traffic, within a third of a second or ten."""
    knots = rng.normal(0, rng.choice([0.05, 0.2, 0.5, 0.8]), int(np.exp(rng.uniform(np.log(4), np.log(120)))))
    return np.exp(np.interp(np.linspace(0, len(knots) - 1, length), np.arange(len(knots)), knots))


def narrow(rng: np.random.Generator, low_hz: float = 0.9, high_hz: float = 25.0) -> Waves:
    """(3, 4096) noise about one frequency, as a soft layer or a building rings: on some components more, rms 1."""
    centre, width = rng.uniform(np.log(low_hz), np.log(high_hz)), np.exp(rng.uniform(np.log(0.03), np.log(0.5)))
    spectrum = gaussian(rng, np.exp(-0.5 * ((_LOG_F - centre) / width) ** 2))
    if rng.random() < 0.5:  # the same on all, out of step
        spectrum = spectrum[:1] * np.exp(1j * rng.uniform(0, 2 * np.pi, (3, 1)))
    waves = fft.irfft(spectrum)
    waves /= np.sqrt((waves**2).mean(1, keepdims=True)) + 1e-30
    return (waves * np.exp(rng.normal(0, 0.8, (3, 1)))).astype(np.float32)


def packets(rng: np.random.Generator, length: int) -> Waves:
    """Bursts of a narrow band that come and go, sharp or slow, stronger on the one or the other component."""
    waves = narrow(rng)[:, :length]
    t = np.arange(0, length + 8, 8) / RATE_HZ
    rise_s, decay_s = np.exp(rng.uniform(np.log(0.03), np.log(1.0))), np.exp(rng.uniform(np.log(0.15), np.log(2.5)))
    count = int(rng.integers(2, 25))
    tau = t - rng.uniform(-1, length / RATE_HZ, (count, 1))
    decays_s = decay_s * np.exp(rng.normal(0, 0.3, (count, 1)))
    bursts = np.exp(np.where(tau < 0, tau / rise_s, -tau / decays_s))  # (count, length / 8)
    envelope = np.exp(rng.normal(0, 0.7, count) + rng.normal(0, 0.3, (3, count))) @ bursts
    smooth = np.stack([np.interp(np.arange(length) / RATE_HZ, t, each) for each in envelope])
    return (waves * smooth).astype(np.float32)


def polarised(rng: np.random.Generator, trace: NDArray[np.float64]) -> Waves:
    """(3, N): one trace on all components, each with a strength of its own and some milliseconds apart."""
    weights = rng.normal(0, 1, 3)
    weights /= np.abs(weights).max()
    return np.stack([w * np.roll(trace, int(rng.integers(0, 4))) for w in weights]).astype(np.float32)


def _thud(rng: np.random.Generator, length_s: float) -> NDArray[np.float64]:
    """A blow nearby: one or two damped resonances."""
    t = np.arange(int(length_s * RATE_HZ)) / RATE_HZ
    wave = np.zeros(len(t))
    for _ in range(rng.integers(1, 3)):
        frequency, decay_s = rng.uniform(4, 45), np.exp(rng.uniform(np.log(0.02), np.log(0.25)))
        wave += rng.uniform(0.3, 1) * np.sin(2 * np.pi * frequency * t + rng.uniform(0, 6)) * np.exp(-t / decay_s)
    return wave


def footsteps(rng: np.random.Generator, length: int) -> Waves:
    """Blows at even intervals that grow and fade as somebody walks by."""
    trace = np.zeros(length)
    interval_s = rng.uniform(0.3, 1.5)
    blow = _thud(rng, 1.0)
    near, width = rng.uniform(0, length), rng.uniform(200, 1500)
    for start in np.arange(rng.uniform(0, interval_s), length / RATE_HZ, interval_s):
        at = int((start + rng.normal(0, 0.03 * interval_s)) * RATE_HZ)
        if 0 <= at < length - len(blow):
            trace[at : at + len(blow)] += rng.uniform(0.6, 1.2) * np.exp(-0.5 * ((at - near) / width) ** 2) * blow
    return polarised(rng, trace)


def vehicle(rng: np.random.Generator, length: int) -> Waves:
    """A rumble that swells and fades over seconds."""
    low, high = np.sort(rng.uniform(2, 35, 2))
    spectrum = gaussian(rng, ((low <= FREQUENCY_HZ) & (high + 2 >= FREQUENCY_HZ)).astype(float))
    near, width = rng.uniform(0, length), rng.uniform(100, 900)
    distance = (np.arange(length) - near) / width
    envelope = np.exp(-0.5 * distance**2) if rng.random() < 0.5 else 1 / (1 + distance**2)
    return (fft.irfft(spectrum)[:, :length] * envelope).astype(np.float32)


def blow(rng: np.random.Generator, length: int) -> Waves:
    """A door, a rock, a hammer: one to three blows."""
    trace = np.zeros(length)
    for _ in range(rng.integers(1, 4)):
        wave = _thud(rng, 1.5)
        at = int(rng.integers(0, length - len(wave)))
        trace[at : at + len(wave)] += rng.uniform(0.3, 1) * wave
    return polarised(rng, trace)


def spikes(rng: np.random.Generator, length: int) -> Waves:
    """Single wrong samples, on one component or all."""
    waves = np.zeros((3, length), np.float32)
    for _ in range(rng.integers(1, 8)):
        at, width = int(rng.integers(0, length - 4)), int(rng.integers(1, 4))
        waves[rng.random(3) < rng.choice([0.4, 1.0]), at : at + width] += rng.normal(0, 1)
    return waves


def step(rng: np.random.Generator, length: int) -> Waves:
    """An offset that stays, or leaks away as through a high-pass filter."""
    t = np.arange(length) - rng.integers(0, length)
    leak = np.exp(-np.maximum(t, 0) / rng.uniform(10, 3000)) if rng.random() < 0.7 else 1.0
    weights = rng.normal(0, 1, 3) * (rng.random(3) < 0.6)
    return (weights[:, None] * ((t >= 0) * leak)[None]).astype(np.float32)


def machine(rng: np.random.Generator, length: int) -> Waves:
    """A tone or a few harmonics that is switched on and off, or goes on, and drifts."""
    t = np.arange(length) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(rng.uniform(1.5, 30) * (1 + rng.normal(0, 0.01) * t / 30)) / RATE_HZ
    trace = sum(rng.uniform(0.1, 1) / k * np.sin(k * phase + rng.uniform(0, 6)) for k in range(1, rng.integers(2, 5)))
    begin, end = np.sort(rng.uniform(-10, 45, 2))
    ramp_s = rng.choice([0.05, 0.5, 3.0])
    gate = 1 / (1 + np.exp(-np.clip((t - begin) / ramp_s, -50, 50)))
    gate /= 1 + np.exp(np.clip((t - end) / ramp_s, -50, 50))
    return polarised(rng, np.asarray(trace * gate))


def telemetry(rng: np.random.Generator, length: int) -> Waves:
    """Bursts of white noise that begin and end at once, as of a bad radio link."""
    waves = np.zeros((3, length), np.float32)
    for _ in range(rng.integers(1, 4)):
        at, width = int(rng.integers(0, length - 50)), int(np.exp(rng.uniform(np.log(5), np.log(800))))
        part = waves[:, at : at + width]
        part += rng.standard_normal(part.shape, np.float32) * (rng.random(3) < 0.7)[:, None]
    return waves


def distant(rng: np.random.Generator, length: int) -> Waves:
    """Long waves of a far earthquake or the sea: 0.1 to 1.5 Hz, beginning slowly or already there."""
    low = rng.uniform(0.1, 0.7)
    spectrum = gaussian(rng, ((low <= FREQUENCY_HZ) & (low * rng.uniform(1.3, 3) >= FREQUENCY_HZ)).astype(float))
    t = np.arange(length) / RATE_HZ - rng.uniform(-30, 30)
    return (fft.irfft(spectrum)[:, :length] / (1 + np.exp(-np.clip(t / rng.uniform(1, 6), -50, 50)))).astype(np.float32)


def thunder(rng: np.random.Generator, length: int) -> Waves:
    """Sound that shakes the ground: a sharp or slow beginning, then seconds of rumble of even frequency."""
    centre = rng.uniform(5, 25)
    spectrum = gaussian(rng, np.exp(-0.5 * ((FREQUENCY_HZ - centre) / (0.3 * centre)) ** 2))
    t = np.arange(length) / RATE_HZ - rng.uniform(0, 30)
    rise_s, decay_s = rng.uniform(0.3, 3), rng.uniform(0.5, 5)
    envelope = np.where(t > 0, (1 - np.exp(-np.maximum(t, 0) / rise_s)) * np.exp(-np.maximum(t, 0) / decay_s), 0)
    return (fft.irfft(spectrum)[:, :length] * envelope).astype(np.float32)


NUISANCES: tuple[Callable[[np.random.Generator, int], Waves], ...] = (
    footsteps, vehicle, vehicle, blow, spikes, step, machine, telemetry, distant, thunder, packets, packets, packets,
)  # fmt: skip
