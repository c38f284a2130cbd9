"""Windows of 30 s as a seismometer would record them, with the true onsets of P and S.

An earthquake is a Brune source seen through attenuation and a site, once for P and once for S. Each is a series of
arrivals (the direct one, later phases, conversions, scattered energy under an envelope) convolved with its spectrum.
Window `index` of a seed depends on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from . import noise
from .physics import brune, corner_hz, direct_s, head_wave_s, high_pass, log_attenuation, minimum_phase

RATE_HZ = 100.0
SAMPLES = 3000  # of a window
LENGTH = 4096  # simulated: before the window, the window, what filters need behind it
BEFORE = 500
FREQUENCY_HZ = fft.rfftfreq(LENGTH, 1 / RATE_HZ)
INDEX = np.arange(LENGTH)
VELOCITY_HZ = 2j * np.pi * FREQUENCY_HZ  # displacement -> velocity
VISIBILITY_SOS = signal.butter(2, (1.0, 30.0), "bandpass", fs=RATE_HZ, output="sos")
VISIBILITY = np.abs(signal.sosfreqz(VISIBILITY_SOS, FREQUENCY_HZ, fs=RATE_HZ)[1]).astype(np.float32)

# An onset whose first second stands out that much from what came just before (ratio of rms) is a pick that the network
# must make; below the lower figure nobody could; in between it is not asked.
VISIBLE = {"P": (0.7, 1.3), "S": (0.6, 1.1)}
STANDS_OUT = 1.5  # so many times the rms of what came just before: there people see that S has begun

Range = tuple[float, float]


@dataclass(frozen=True)
class Domain:
    """Ranges that the generator draws from."""

    s_minus_p_s: Range = (0.25, 32.0)  # log-uniform, but for a share of nearby ones
    magnitude: Range = (-1.0, 3.2)
    stress_drop_mpa: Range = (0.5, 50.0)
    q_1hz: Range = (25.0, 500.0)
    q_exponent: Range = (0.0, 0.8)
    kappa_s: Range = (0.003, 0.08)
    vp_over_vs: Range = (1.6, 2.1)
    peak_to_noise: Range = (3.0, 3000.0)  # log-uniform
    s_to_p: tuple[float, float] = (
        3.0,
        0.75,
    )  # median and log spread of the ratio of the recorded peaks of the direct waves
    direct_to_scattered: Range = (0.25, 6.0)  # peak of the sharp arrival over rms of the scattered at its loudest
    nuisances: float = 0.65  # share of windows with man-made disturbances
    vertical_only: float = 0.3  # share of records with one component


TRAINED = Domain()
# Held-out figures are taken on windows of other ranges
SHIFTED = Domain(
    s_minus_p_s=(0.4, 25.0), magnitude=(-0.5, 4.0), stress_drop_mpa=(0.1, 10.0), q_1hz=(20.0, 150.0),
    q_exponent=(0.3, 1.0), kappa_s=(0.01, 0.09), vp_over_vs=(1.65, 1.9), peak_to_noise=(4.0, 1000.0),
    s_to_p=(2.5, 0.9), direct_to_scattered=(0.15, 4.0), nuisances=0.65, vertical_only=0.25,
)  # fmt: skip


@dataclass(frozen=True)
class Onset:
    phase: str  # "P" | "S"
    second: float  # after the window's first sample
    visible: bool  # False: too weak to be asked for, or to be counted as wrong


@dataclass(frozen=True)
class Window:
    waves: NDArray[np.float32]  # (3, 3000) counts: vertical, north, east; absent components are 0
    onsets: tuple[Onset, ...]
    kind: str  # "noise" | "one" | "two" | "swarm"


KINDS = ("noise", "one", "two", "swarm")
SHARES = (0.22, 0.48, 0.12, 0.18)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


@dataclass(frozen=True)
class Path:
    """What the earthquakes of one place have in common at one station."""

    s_minus_p_s: float
    head_wave_first_s: float  # by how much the head wave leads the direct P; 0: there is none
    p: NDArray[np.complex128]  # (2049,) everything but the source: attenuation, site, instrument
    s: NDArray[np.complex128]
    p_axis: NDArray[np.float64]  # (3,) direction of the first motion
    s_axis: NDArray[np.float64]
    s_to_p: float
    beta_m_s: float
    scatter_s: float  # how long energy goes on scattering


def draw_path(rng: np.random.Generator, domain: Domain, s_minus_p_s: float, instrument: NDArray[np.complex128]) -> Path:
    ratio = rng.uniform(*domain.vp_over_vs)
    beta = rng.uniform(2.0, 3.8)
    alpha = ratio * beta
    distance_km = s_minus_p_s / (1 / beta - 1 / alpha)
    depth_km = min(distance_km * rng.uniform(0.05, 1.0), rng.uniform(5, 30))
    epicentral_km = float(np.sqrt(max(distance_km**2 - depth_km**2, 0.0)))
    head_s = head_wave_s(epicentral_km, depth_km, rng.uniform(31, 45), alpha, max(8.0, 1.15 * alpha))
    leads_s = max(direct_s(epicentral_km, depth_km, alpha) - head_s, 0.0)
    q, exponent, kappa = log_uniform(rng, *domain.q_1hz), rng.uniform(*domain.q_exponent), rng.uniform(*domain.kappa_s)
    q = max(q, 3.0 * distance_km / beta)  # what is recorded from afar has crossed rock that lets it through
    site_p, site_s = _site(rng), _site(rng)
    p = minimum_phase(log_attenuation(FREQUENCY_HZ, distance_km / alpha, 1.5 * q, exponent, 0.6 * kappa) + site_p)
    s = minimum_phase(log_attenuation(FREQUENCY_HZ, distance_km / beta, q, exponent, kappa) + site_s)
    azimuth, incidence = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(3, 40))
    radial = np.array([0.0, np.cos(azimuth), np.sin(azimuth)])
    across = np.array([0.0, -np.sin(azimuth), np.cos(azimuth)])
    up = np.array([1.0, 0.0, 0.0])
    sv = np.cos(incidence) * radial - np.sin(incidence) * up
    mix = rng.uniform(0, 2 * np.pi)
    return Path(
        s_minus_p_s=s_minus_p_s,
        head_wave_first_s=leads_s,
        p=VELOCITY_HZ * instrument * p,
        s=VELOCITY_HZ * instrument * s,
        p_axis=np.cos(incidence) * up + np.sin(incidence) * radial,
        s_axis=np.cos(mix) * sv + np.sin(mix) * across,
        s_to_p=float(np.exp(rng.normal(np.log(domain.s_to_p[0]), domain.s_to_p[1]))),
        beta_m_s=1000 * beta,
        scatter_s=log_uniform(rng, 0.3, 2.5) * (0.6 + s_minus_p_s**0.7),
    )


def _site(rng: np.random.Generator) -> NDArray[np.float64]:
    """(2049,) log amplitude of a soft site: up to three resonances."""
    log_f = np.log(np.maximum(FREQUENCY_HZ, 0.01))
    gain = np.zeros(len(log_f))
    for _ in range(rng.integers(0, 4)):
        centre, width = rng.uniform(np.log(0.8), np.log(25)), rng.uniform(0.08, 0.5)
        gain += rng.uniform(0.2, 1.8) * np.exp(-0.5 * ((log_f - centre) / width) ** 2)
    return gain


def _arrival(series: NDArray[np.float32], sample: float, axis: NDArray[np.float64], strength: float) -> None:
    """Add a sharp arrival between two samples."""
    first = int(np.floor(sample))
    if 0 <= first < LENGTH - 1:
        later = sample - first
        series[:, first] += (strength * (1 - later) * axis).astype(np.float32)
        series[:, first + 1] += (strength * later * axis).astype(np.float32)


def _onset(
    rng: np.random.Generator, series: NDArray[np.float32], sample: float, axis: NDArray[np.float64], strength: float,
    latest_s: float,
) -> None:  # fmt: skip
    """The direct arrival: sharp, or weak at first and strong within `latest_s`."""
    if rng.random() < 0.5:
        _arrival(series, sample, axis, strength)
        return
    _arrival(series, sample, axis, strength * log_uniform(rng, 0.1, 0.8))
    late = log_uniform(rng, 0.02, latest_s)
    _arrival(series, sample + RATE_HZ * late, axis, strength * rng.choice([-1.0, 1.0], p=[0.3, 0.7]))


def _scattered(
    rng: np.random.Generator, sample: float, axis: NDArray[np.float64], weights: NDArray[np.float64],
    rise_s: float, decay_s: float, tail: float,
) -> NDArray[np.float32]:  # fmt: skip
    """(3, 4096) scattered arrivals after `sample`: at first along `axis`, later on all components by their weights.

    Envelope: a rise, then an exponential decay over a power law (Sato, Fehler & Maeda 2012, ch. 2).
    """
    series = np.zeros((3, LENGTH), np.float32)
    first = max(int(np.ceil(sample)), 0)
    if first >= LENGTH:
        return series
    tau = ((INDEX[first:] - sample) / RATE_HZ).astype(np.float32)
    envelope = (1 - np.exp(-tau / rise_s)) * (np.exp(-tau / decay_s) + tail * (1 + tau / decay_s) ** -1.6)
    density = log_uniform(rng, 0.15, 1.0)
    crowd = rng.random(len(tau), np.float32) < density
    polarised = np.exp(-tau / (0.5 * decay_s))
    common = axis.astype(np.float32)[:, None] * rng.standard_normal(len(tau), np.float32) * polarised
    free = weights.astype(np.float32)[:, None] * rng.standard_normal((3, len(tau)), np.float32)
    series[:, first:] = (common + free * np.sqrt(1 - polarised**2)) * (envelope * crowd / np.sqrt(density))
    return series


P_WEIGHTS = np.array([1.0, 0.5, 0.5])
S_WEIGHTS = np.array([0.55, 1.0, 1.0])


@dataclass(frozen=True)
class Earthquake:
    p: NDArray[np.float32]  # (3, 4096) as recorded; the direct P is of plateau 1
    s: NDArray[np.float32]
    p_sample: float  # where P begins
    s_sample: float


def earthquake(rng: np.random.Generator, domain: Domain, path: Path, magnitude: float, p_sample: float) -> Earthquake:
    """One earthquake, alone."""
    corner = float(corner_hz(magnitude, 1e6 * log_uniform(rng, *domain.stress_drop_mpa), path.beta_m_s))
    p_source = brune(FREQUENCY_HZ, corner * rng.uniform(1.0, 1.7))
    s_source = brune(FREQUENCY_HZ, corner)
    direct_p = p_sample + RATE_HZ * path.head_wave_first_s
    s_sample = direct_p + RATE_HZ * path.s_minus_p_s
    explosion = rng.random() < 0.08
    sign = 1.0 if explosion else rng.choice([-1.0, 1.0])
    s_to_p = path.s_to_p * float(np.exp(rng.normal(0, 0.2))) * (0.2 if explosion else 1.0)

    p_response = (p_source * path.p).astype(np.complex64)
    s_response = (s_source * path.s).astype(np.complex64)
    p_pulse, s_pulse = fft.irfft(p_response), fft.irfft(s_response)
    s_to_p *= float(np.abs(p_pulse).max() / (np.abs(s_pulse).max() + 1e-30))

    p = np.zeros((3, LENGTH), np.float32)
    _onset(rng, p, direct_p, path.p_axis, sign, 0.15)
    rise_s = log_uniform(rng, 0.01, 0.3) * min(1.0, 0.3 + path.s_minus_p_s / 6)
    decay_s = log_uniform(rng, 0.3, 3.0) * (0.3 + 0.6 * path.s_minus_p_s)
    loudness = _loudness(p_pulse) / log_uniform(rng, *domain.direct_to_scattered)
    tail = rng.uniform(0, 0.5)
    p += loudness * _scattered(rng, direct_p, path.p_axis, P_WEIGHTS, rise_s, decay_s, tail)
    if path.head_wave_first_s > 0:
        weak = log_uniform(rng, 0.05, 0.6)
        _arrival(p, p_sample, path.p_axis, sign * weak)
        p += 0.7 * weak * loudness * _scattered(rng, p_sample, path.p_axis, P_WEIGHTS, 0.1, decay_s, 0.3)
    for _ in range(rng.integers(0, 4) if rng.random() < 0.6 else 0):  # later P phases, subevents, depth phases
        at = direct_p + RATE_HZ * min(path.s_minus_p_s, 8.0) * rng.uniform(0.02, 0.9) ** 1.5
        _arrival(p, at, path.p_axis, rng.choice([-1.0, 1.0]) * log_uniform(rng, 0.2, 2.0))
    if rng.random() < 0.35:  # P turned into S below the station arrives after P, on the horizontals
        late = min(rng.uniform(0.05, 1.5), 0.6 * path.s_minus_p_s)
        _arrival(p, direct_p + RATE_HZ * late, np.array([0.1, 0.7, 0.7]), log_uniform(rng, 0.1, 0.8))

    s = np.zeros((3, LENGTH), np.float32)
    _onset(rng, s, s_sample, path.s_axis, s_to_p, 0.25)
    rise_s = log_uniform(rng, 0.01, 0.3) * min(1.0, 0.3 + path.s_minus_p_s / 8)
    loudness = s_to_p * _loudness(s_pulse) / log_uniform(rng, *domain.direct_to_scattered)
    s += loudness * _scattered(rng, s_sample, path.s_axis, S_WEIGHTS, rise_s, path.scatter_s, rng.uniform(0, 0.5))
    for _ in range(rng.integers(0, 3) if rng.random() < 0.5 else 0):
        at = s_sample + RATE_HZ * min(path.s_minus_p_s, 8.0) * rng.uniform(0.02, 0.6)
        _arrival(s, at, path.s_axis, s_to_p * rng.choice([-1.0, 1.0]) * log_uniform(rng, 0.2, 1.2))
    if rng.random() < 0.35:  # S turned into P below the station arrives before S, on the vertical
        early = min(rng.uniform(0.05, 1.5), 0.5 * path.s_minus_p_s)
        up = np.array([1.0, 0.2, 0.2]) * rng.choice([-1.0, 1.0])
        _arrival(s, s_sample - RATE_HZ * early, up, s_to_p * log_uniform(rng, 0.04, 0.4))

    p_wave = fft.irfft(fft.rfft(p) * p_response)
    s_wave = fft.irfft(fft.rfft(s) * s_response)
    if rng.random() < (0.4 if explosion else 0.08):
        s_wave += _surface_wave(rng, path, s_sample) * (np.abs(s_wave).max() * log_uniform(rng, 0.1, 0.7))
    return Earthquake(p_wave, s_wave, p_sample, s_sample)


def _loudness(pulse: NDArray[np.float32]) -> float:
    """Of white noise, such that its rms becomes the peak that one sharp arrival becomes, when both are smeared by
    `pulse`."""
    return float(np.abs(pulse).max() / np.sqrt((pulse**2).sum() + 1e-30))


def _surface_wave(rng: np.random.Generator, path: Path, s_sample: float) -> NDArray[np.float32]:
    """A dispersed Rayleigh train of 0.5 to 4 Hz after S: long waves first; elliptical, (3, 4096), peak near 1."""
    begin = s_sample + RATE_HZ * path.s_minus_p_s * rng.uniform(0.05, 0.6)
    t = (INDEX - begin) / RATE_HZ
    length_s = 0.6 + path.s_minus_p_s * rng.uniform(0.15, 0.6)
    low = rng.uniform(0.5, 1.5)
    phase = 2 * np.pi * (low * t + 0.5 * low * rng.uniform(0.3, 1.5) * np.clip(t, 0, None) ** 2 / length_s)
    envelope = np.exp(-0.5 * ((t - length_s) / (0.5 * length_s)) ** 2) * (t > 0) * np.minimum(t / 0.5, 1)
    east = rng.uniform(0, 2 * np.pi)
    vertical, radial = np.cos(phase) * envelope, 0.7 * np.sin(phase) * envelope
    return np.stack([vertical, radial * np.cos(east), radial * np.sin(east)]).astype(np.float32)


@dataclass(frozen=True)
class Arrived:
    phase: str
    sample: float
    wave: NDArray[np.float32]  # (3, 80) its first samples, of the phase alone


def _draw_s_minus_p(rng: np.random.Generator, domain: Domain) -> float:
    low, high = domain.s_minus_p_s
    if rng.random() < 0.5:
        return float(np.clip(log_uniform(rng, 0.4, 5.0), low, high))
    return log_uniform(rng, low, high)


def _earthquakes(
    rng: np.random.Generator, domain: Domain, instrument: NDArray[np.complex128], kind: str
) -> Iterator[tuple[Earthquake, float, float]]:
    """Each with its peak over the noise's rms and the sample in the window where its P begins."""
    if kind == "swarm":
        yield from _swarm(rng, domain, instrument)
        return
    for _ in range(KINDS.index(kind)):
        gap_s = _draw_s_minus_p(rng, domain)
        # most often P is in view; in a fifth of the windows it has passed already
        begin = RATE_HZ * (rng.uniform(-min(gap_s + 12, 25), 30) if rng.random() < 0.25 else rng.uniform(0, 30))
        over_noise = log_uniform(rng, *domain.peak_to_noise)
        path = draw_path(rng, domain, gap_s, instrument)
        yield (
            earthquake(rng, domain, path, _magnitude(rng, domain, gap_s, over_noise), BEFORE + begin),
            over_noise,
            begin,
        )


def _swarm(
    rng: np.random.Generator, domain: Domain, instrument: NDArray[np.complex128]
) -> Iterator[tuple[Earthquake, float, float]]:
    """Many earthquakes of one place: up to three kinds of them that repeat, large and small."""
    low, high = domain.s_minus_p_s
    gap_s = float(np.clip(log_uniform(rng, 0.3, 6.0), low, high))
    count = int(rng.integers(3, 11))
    strongest = log_uniform(rng, 10.0, domain.peak_to_noise[1])
    # Gutenberg & Richter: amplitudes follow a power law
    strengths = strongest * np.maximum(rng.random(count), 1e-3) ** rng.uniform(0.6, 1.5)
    if rng.random() < 0.5:
        begins = np.sort(rng.uniform(-4, 30, count))
    else:
        begins = rng.uniform(-4, 10) + np.cumsum(rng.exponential(rng.uniform(1.0, 5.0), count))
    path = draw_path(rng, domain, gap_s, instrument)
    first = BEFORE + RATE_HZ * float(begins[0])
    kinds = []
    for _ in range(min(count, 3)):
        near = replace(path, s_minus_p_s=gap_s * float(np.exp(rng.normal(0, 0.05))))
        kinds.append(earthquake(rng, domain, near, _magnitude(rng, domain, gap_s, strongest), first))
    for strength, begin in zip(strengths, begins, strict=True):
        yield (
            kinds[int(rng.integers(len(kinds)))],
            max(float(strength), domain.peak_to_noise[0]),
            RATE_HZ * float(begin),
        )


def _magnitude(rng: np.random.Generator, domain: Domain, s_minus_p_s: float, over_noise: float) -> float:
    magnitude = rng.uniform(*domain.magnitude) - 1.5 * max(0.0, 1 - np.log10(over_noise))
    return max(magnitude, 1.5) if s_minus_p_s > 8 else magnitude  # what is seen from afar is large


def simulate(seed: int, index: int, domain: Domain = TRAINED, kind: str = "") -> Window:
    """Window `index`. `kind`: one of KINDS, or drawn by SHARES."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    kind = kind or str(rng.choice(KINDS, p=SHARES))
    instrument = _instrument(rng)
    background = _background(rng, domain, instrument)
    total = background.copy()
    parts: list[Arrived] = []
    for waves, over_noise, begin in _earthquakes(rng, domain, instrument, kind):
        late = round(BEFORE + begin - waves.p_sample)
        if late >= LENGTH:
            continue
        scale = np.float32(over_noise / (np.abs(waves.p + waves.s).max() + 1e-30))
        for phase, wave, sample in (("P", waves.p, waves.p_sample), ("S", waves.s, waves.s_sample)):
            total[:, late:] += scale * wave[:, : LENGTH - late]
            parts.append(Arrived(phase, sample + late, scale * wave[:, int(max(sample, 0)) : int(max(sample, 0)) + 80]))
    absent = rng.random() < domain.vertical_only
    heard = np.array([True, not absent, not absent])
    onsets = _visible_onsets(total, parts, heard)
    waves = _record(rng, total[:, BEFORE : BEFORE + SAMPLES], heard)
    return Window(waves, onsets, kind)


def _visible_onsets(total: NDArray[np.float32], parts: list[Arrived], heard: NDArray[np.bool_]) -> tuple[Onset, ...]:
    """Onsets in the window, and whether each stands out from what the ground did just before it.

    S begins where it first stands out from what P left behind on one of the components: what came earlier and weaker
    nobody could pick. P has quiet before it, and its first motion can be followed back to where it began.
    """
    if not parts:
        return ()
    loudness = signal.sosfilt(VISIBILITY_SOS, total[heard]) ** 2
    onsets = []
    for part in parts:
        second = (part.sample - BEFORE) / RATE_HZ
        if not 0 <= second < SAMPLES / RATE_HZ:
            continue
        at = round(part.sample)
        before = loudness[:, max(at - 150, 0) : at - 3].mean(1, keepdims=True)
        over = part.wave[heard] ** 2 / (before + 1e-30)
        ratio = np.sqrt(over.mean(1).max())
        low, high = VISIBLE[part.phase]
        if part.phase == "S":
            loudest = over.max(0)
            second += int(np.argmax(loudest >= min(STANDS_OUT**2, float(loudest.max())))) / RATE_HZ
        if ratio >= low and second < SAMPLES / RATE_HZ:
            onsets.append(Onset(part.phase, float(second), bool(ratio >= high)))
    return tuple(onsets)


def _instrument(rng: np.random.Generator) -> NDArray[np.complex128]:
    """(2049,) response to ground velocity: a seismometer, geophone or accelerometer behind a digitiser."""
    natural_hz = float(rng.choice([0.01, 0.05, 0.2, 1.0, 2.0, 4.5, 10.0], p=[0.3, 0.05, 0.05, 0.25, 0.1, 0.2, 0.05]))
    response = high_pass(FREQUENCY_HZ, natural_hz, rng.uniform(0.5, 0.9))
    if natural_hz < 1 and rng.random() < 0.4:
        response = response * VELOCITY_HZ  # an accelerometer
    if rng.random() < 0.3:  # records of a low rate, brought to 100 Hz: nothing above their own limit
        edge = rng.choice([20.0, 25.0, 40.0, 50.0, 62.5, 75.0, 80.0]) * rng.uniform(0.38, 0.46)
    else:
        edge = rng.uniform(36, 60)
    response = response / np.sqrt(1 + (FREQUENCY_HZ / edge) ** int(rng.choice([8, 16, 40])))
    return np.asarray(response, np.complex128)


def _background(
    rng: np.random.Generator, domain: Domain, instrument: NDArray[np.complex128]
) -> NDArray[np.float32]:  # fmt: skip
    """(3, 4096) noise of the ground, of people and of the instrument; rms of the vertical above 1 Hz about 1."""
    amplitude = noise.ground_noise_amplitude(rng)
    spectrum = noise.gaussian(rng, amplitude) * instrument.astype(np.complex64)
    if rng.random() < 0.5:  # the horizontals are another draw of the same place
        spectrum[1:] = noise.gaussian(rng, noise.ground_noise_amplitude(rng), 2) * instrument.astype(np.complex64)
    rms = np.sqrt(2 * (np.abs(spectrum * VISIBILITY) ** 2).sum(1, keepdims=True)) / LENGTH  # Parseval
    waves = fft.irfft(spectrum).astype(np.float32)
    waves *= (np.exp(rng.normal(0, 0.3, (3, 1))) / (rms + 1e-30)).astype(np.float32)
    if rng.random() < 0.35:  # of one frequency, or louder and quieter
        waves += noise.narrow(rng) * np.float32(log_uniform(rng, 0.2, 2.0))
    if rng.random() < 0.7:
        waves *= noise.swell(rng, LENGTH)
    if rng.random() < 0.4:  # the digitiser's own, white
        waves += rng.standard_normal(waves.shape, np.float32) * rng.uniform(0, 1)
    if rng.random() < domain.nuisances:
        for _ in range(rng.integers(1, 4)):
            nuisance = noise.NUISANCES[int(rng.integers(len(noise.NUISANCES)))](rng, LENGTH)
            peak = float(np.abs(nuisance).max())
            waves += nuisance * np.float32(log_uniform(rng, 2, 60) / (peak + 1e-30))
    return np.asarray(waves, np.float32)


def _record(
    rng: np.random.Generator, waves: NDArray[np.float32], heard: NDArray[np.bool_]
) -> NDArray[np.float32]:  # fmt: skip
    """What ends up in the file: gains, counts, clipping, offsets, gaps, dead components."""
    gain = np.exp(rng.normal(0, 0.15, 3)) * rng.choice([-1.0, 1.0], 3, p=[0.5, 0.5])
    waves = waves * gain[:, None].astype(np.float32)
    if rng.random() < 0.05:
        limit = np.abs(waves).max() * rng.uniform(0.1, 0.8)
        waves = np.clip(waves, -limit, limit)
    counts = log_uniform(rng, 0.7, 3000)  # the noise's rms in counts
    waves = np.round(waves * np.float32(counts))
    waves += np.round(rng.normal(0, 1000, (3, 1)) * rng.choice([0, 1, 30])).astype(np.float32)
    if rng.random() < 0.05:  # samples that never came
        at, width = int(rng.integers(0, SAMPLES)), int(log_uniform(rng, 5, 1500))
        waves[:, at : at + width] = 0 if rng.random() < 0.5 else waves[:, max(at - 1, 0), None]
    if rng.random() < 0.04:
        waves[int(rng.integers(1, 3))] = 0
    waves[~heard] = 0
    return waves.astype(np.float32)
