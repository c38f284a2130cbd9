"""The simulated ground motion against closed forms and ObsPy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="spectra are SciPy's")
pytest.importorskip("torch", reason="the recipe's modules import it")

from hive_runner.recipe_module import load

HERE = Path(__file__).parent
physics = load("geophysics-seismic", HERE, "physics")
simulate = load("geophysics-seismic", HERE, "simulate")
noise = load("geophysics-seismic", HERE, "noise")

FREQUENCY_HZ = simulate.FREQUENCY_HZ
EVERYTHING = np.ones(len(FREQUENCY_HZ), complex)  # an instrument that passes everything


def test_a_brune_source_is_the_pulse_of_its_paper_with_plateau_and_corner() -> None:
    corner = 4.0
    spectrum = physics.brune(FREQUENCY_HZ, corner)
    assert abs(spectrum[0]) == pytest.approx(1.0)
    assert abs(physics.brune(np.array([corner]), corner)[0]) == pytest.approx(0.5)
    t = np.arange(200) / 100.0
    omega = 2 * np.pi * corner
    pulse = np.fft.irfft(spectrum)[:200] * 100
    np.testing.assert_allclose(pulse[1:], (omega**2 * t * np.exp(-omega * t))[1:], atol=0.01 * pulse.max())


def test_corner_of_a_magnitude_3_at_3_mpa() -> None:
    # M0 = 10^13.6 N m; 0.49 * 3500 * (3e6 / 3.981e13)^(1/3) = 7.24 Hz
    assert physics.corner_hz(3.0, 3e6, 3500.0) == pytest.approx(7.24, abs=0.01)


def test_minimum_phase_of_a_one_pole_filters_amplitude_is_that_filter() -> None:
    exact = 1 / (1 - 0.8 * np.exp(-2j * np.pi * FREQUENCY_HZ / 100.0))
    np.testing.assert_allclose(physics.minimum_phase(np.log(np.abs(exact))), exact, rtol=1e-6)


def test_attenuation_has_its_amplitude_and_comes_never_before_the_onset() -> None:
    log_amplitude = physics.log_attenuation(FREQUENCY_HZ, 10.0, 100.0, 0.0, 0.02)
    assert np.exp(log_amplitude[FREQUENCY_HZ == 5.0]) == pytest.approx(np.exp(-np.pi * 5 * (10 / 100 + 0.02)), rel=1e-6)
    pulse = np.fft.irfft(physics.minimum_phase(log_amplitude))
    assert (pulse[2048:] ** 2).sum() < 1e-4 * (pulse**2).sum()


def test_travel_times_agree_with_taup_in_iasp91() -> None:
    taup = pytest.importorskip("obspy.taup", reason="travel times of iasp91 are ObsPy's")
    model = taup.TauPyModel("iasp91")

    def first(phase: str, degrees: float, depth_km: float) -> float:
        return float(model.get_travel_times(depth_km, degrees, [phase])[0].time)

    kilometres = 111.19
    assert physics.direct_s(0.3 * kilometres, 10.0, 5.8) == pytest.approx(first("p", 0.3, 10.0), abs=0.02)
    for degrees in (2.0, 3.0):  # 10 km deep below 20 km of 5.8 and 15 km of 6.5; a flat Earth is good to 0.2 s there
        ours = physics.head_wave_s(degrees * kilometres, 10.0, [20.0, 15.0], [5.8, 6.5], 8.04)
        assert ours == pytest.approx(first("Pn", degrees, 10.0), abs=0.25)
    assert physics.head_wave_s(20.0, 10.0, [20.0, 15.0], [5.8, 6.5], 8.04) == np.inf


def test_the_noise_models_are_petersons() -> None:
    module = pytest.importorskip("obspy.signal.spectral_estimation", reason="the reference tables are ObsPy's")
    for ours, theirs in ((physics.NLNM, module.get_nlnm()), (physics.NHNM, module.get_nhnm())):
        period_s, level_db = theirs
        known = (period_s > 0.1) & (period_s < 300)
        np.testing.assert_allclose(physics.peterson_db(ours, 1 / period_s[known]), level_db[known], atol=0.6)


def test_ground_noise_has_the_spectrum_it_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    amplitude = noise.ground_noise_amplitude(rng)
    power = np.mean([np.abs(noise.gaussian(rng, amplitude)) ** 2 for _ in range(200)], axis=(0, 1))
    np.testing.assert_allclose(power, 2 * amplitude**2, rtol=0.4)


def a_path(rng: np.random.Generator, s_minus_p_s: float) -> object:
    return simulate.draw_path(rng, simulate.TRAINED, s_minus_p_s, EVERYTHING)


def test_an_earthquake_has_the_corner_of_its_magnitude() -> None:
    domain = replace(simulate.TRAINED, stress_drop_mpa=(3.0, 3.0))
    rng = np.random.default_rng(1)
    path = replace(a_path(rng, 2.0), beta_m_s=3500.0, s=simulate.VELOCITY_HZ.copy())  # nothing on the way
    spectra = [np.abs(np.fft.rfft(simulate.earthquake(rng, domain, path, 3.0, 800.0).s)).mean(0) for _ in range(200)]
    displacement = np.median(spectra, axis=0)[1:] / np.abs(simulate.VELOCITY_HZ[1:])
    trials = np.linspace(3, 15, 121)
    band = (FREQUENCY_HZ[1:] > 4) & (FREQUENCY_HZ[1:] < 40)
    misfit = [np.std(np.log(displacement / np.abs(physics.brune(FREQUENCY_HZ[1:], fc)))[band]) for fc in trials]
    assert trials[int(np.argmin(misfit))] == pytest.approx(7.24, rel=0.15)


@pytest.mark.parametrize("s_minus_p_s", [0.4, 3.0, 25.0])
def test_nothing_moves_before_p_and_s_comes_when_it_should(s_minus_p_s: float) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        path = a_path(rng, s_minus_p_s)
        shock = simulate.earthquake(rng, simulate.TRAINED, path, 2.0, 700.3)
        total = ((shock.p + shock.s) ** 2).sum()
        # the first seconds hold what the transform wraps around from the end; they are cut off; sampling rings a little
        assert ((shock.p + shock.s)[:, 400:699] ** 2).sum() < 2e-3 * total
        assert shock.p_sample == 700.3
        assert shock.s_sample == pytest.approx(700.3 + 100 * (s_minus_p_s + path.head_wave_first_s))
        assert (path.head_wave_first_s == 0) or s_minus_p_s > 5


def test_windows_depend_on_seed_and_index_and_hold_what_their_kind_says() -> None:
    first, again, other = simulate.simulate(3, 5), simulate.simulate(3, 5), simulate.simulate(3, 6)
    np.testing.assert_array_equal(first.waves, again.waves)
    assert first.onsets == again.onsets and not np.array_equal(first.waves, other.waves)
    assert simulate.simulate(3, 7, kind="noise").onsets == ()
    swarm = [simulate.simulate(3, index, kind="swarm") for index in range(20)]
    assert np.mean([len(window.onsets) for window in swarm]) > 4
    for window in swarm:
        assert window.waves.shape == (3, simulate.SAMPLES) and np.isfinite(window.waves).all()
        assert all(0 <= onset.second < 30 for onset in window.onsets)


def test_a_loud_onset_is_visible_and_one_below_the_noise_is_not_asked_for() -> None:
    loud = replace(simulate.TRAINED, peak_to_noise=(2000.0, 3000.0), nuisances=0.0)
    faint = replace(simulate.TRAINED, peak_to_noise=(0.05, 0.06), nuisances=0.0)
    p_loud = [o.visible for i in range(60) for o in simulate.simulate(0, i, loud, "one").onsets if o.phase == "P"]
    all_faint = [o for i in range(60) for o in simulate.simulate(0, i, faint, "one").onsets]
    assert np.mean(p_loud) > 0.9 and len(p_loud) > 30
    assert len(all_faint) < 4


def test_s_begins_where_it_stands_out_from_what_p_left_behind() -> None:
    rng = np.random.default_rng(0)
    total = np.tile(rng.standard_normal(simulate.LENGTH).astype(np.float32), (3, 1))
    wave = np.zeros((3, 80), np.float32)
    wave[:, :12] = 1.0  # the noise's rms
    wave[1, 12:] = 5.0
    heard = np.ones(3, bool)
    sample = simulate.BEFORE + 1000.0
    for phase, late_s in (("S", 0.12), ("P", 0.0)):
        [onset] = simulate._visible_onsets(total, [simulate.Arrived(phase, sample, wave)], heard)
        assert onset.visible and onset.second == pytest.approx(10 + late_s)
    last = simulate.BEFORE + simulate.SAMPLES - 10.0
    assert simulate._visible_onsets(total, [simulate.Arrived("S", last, wave)], heard) == ()


def test_a_record_of_one_component_has_no_others() -> None:
    only = replace(simulate.TRAINED, vertical_only=1.0)
    waves = simulate.simulate(0, 0, only, "one").waves
    assert waves[0].std() > 0 and not waves[1:].any()
