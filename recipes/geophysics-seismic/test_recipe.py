"""What the network is fed and taught with, how its answers become picks, and what they are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network is torch's")
pytest.importorskip("scipy", reason="filters are SciPy's")

from hive_runner.recipe_module import load  # noqa: E402

HERE = Path(__file__).parent
aic, simulate, conditioning, data, model, gradients, picker, score, baselines, evaluate, unusual, user_picks = (
    load("geophysics-seismic", HERE, name)
    for name in (
        "aic", "simulate", "conditioning", "data", "model", "gradients", "picker", "score", "baselines", "evaluate",
        "unusual", "user_picks",
    )
)  # fmt: skip


def burst(at_s: float = 12.0, length_s: float = 30.0, seed: int = 0) -> Any:
    """(3, N) noise of 1, and from `at_s` on a decaying burst 30 times as loud."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(length_s * 100)) / 100
    loud = np.where(t >= at_s, 30 * np.exp(-np.maximum(t - at_s, 0) / 2.0), 0)
    return (rng.standard_normal((3, len(t))) * (1 + loud)).astype(np.float32)


def untrained(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return picker.Picker(model.Committee().state_dict(), {})


def test_the_network_answers_for_every_sample() -> None:
    net = model.Committee()
    assert net(torch.zeros(2, model.IN_CHANNELS, 3000)).shape == (model.MEMBERS, 2, model.OUT_CHANNELS, 3000)
    assert sum(p.numel() for p in net.parameters()) < 600_000


def test_what_the_network_sees_depends_on_neither_gain_nor_offset() -> None:
    waves = burst()
    seen = conditioning.channels(conditioning.high_passed(waves))
    again = conditioning.channels(conditioning.high_passed(waves * 1e4 + 5e6))
    np.testing.assert_allclose(seen, again, atol=0.02)
    assert np.abs(seen).max() < 30
    waves[1:] = 0
    alone = conditioning.channels(conditioning.high_passed(waves))
    assert np.isfinite(alone).all() and not alone[[1, 2, 4, 5]].any()
    assert not conditioning.channels(np.zeros((3, 3000), np.float32)).any()


def test_a_small_earthquake_beside_a_large_one_stays_in_sight() -> None:
    waves = burst(20.0) + 3 * (burst(5.0, seed=1) - burst(50.0, seed=1))
    waves[:, 2000:] *= 300
    seen = conditioning.channels(conditioning.high_passed(waves))
    assert np.abs(seen[0, 500:600]).max() < 0.2  # lost, as it is
    assert np.abs(seen[3, 500:600]).max() > 1.5  # pressed


def test_labels_peak_at_the_onset_and_ask_nothing_of_what_cannot_be_seen() -> None:
    onsets = (simulate.Onset("P", 10.0, True), simulate.Onset("S", 14.004, True), simulate.Onset("P", 20.0, False))
    batch = data.describe(simulate.Window(burst(), onsets, "one"))
    assert batch.share[0, 1].argmax() == 1000 and batch.share[0, 1].max() == pytest.approx(1)
    assert batch.share[0, 2].argmax() == 1400
    np.testing.assert_allclose(batch.share.sum(1), 1, atol=1e-6)
    assert batch.offset[0, 1, 1390] == pytest.approx(0.104, abs=1e-5) and np.isnan(batch.offset[0, 0, 1100])
    assert not batch.asked[0, 1950:2050].any() and batch.asked[0, :1900].all()


@pytest.mark.slow
def test_gradients_are_the_same_from_one_process_and_from_two() -> None:
    found = []
    for count in (1, 2):
        torch.manual_seed(0)
        net = model.Committee()
        with gradients.workers(count, user_picks.UserWindows(), 1) as pool:
            losses = gradients.accumulate(pool, net, 5, 8, 4, 0.5)
        found.append((losses, [p.grad.clone() for p in net.parameters()], [b.clone() for b in net.buffers()]))
    assert found[0][0] == found[1][0]
    assert all(
        torch.equal(a, b)
        for one, two in zip(found[0][1:], found[1][1:], strict=True)
        for a, b in zip(one, two, strict=True)
    )
    assert all(torch.isfinite(gradient).all() and gradient.any() for gradient in found[0][1])


@pytest.mark.slow
def test_a_device_finds_the_gradients_that_the_cores_find() -> None:
    found = []
    for device in ("cpu", "another"):
        torch.manual_seed(0)
        net = model.Committee()
        with gradients.workers(2, user_picks.UserWindows(), 1) as pool:
            gradients.accumulate(pool, net, 5, 8, 4, 0.5, device)
        found.append(torch.cat([p.grad.ravel() for p in net.parameters()]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-5)


def test_a_long_record_is_answered_as_its_windows_are() -> None:
    waves = np.concatenate([burst(seed=k) for k in range(3)], axis=1)
    whole = untrained().answers(waves)
    later = untrained().answers(waves[:, picker.HOP :])
    assert whole.shape == (7, 9000)
    np.testing.assert_allclose(whole[:, 4000:8000], later[:, 3000:7000], atol=1e-4)
    np.testing.assert_allclose(whole[:3].sum(0), 1, atol=1e-4)
    assert untrained().answers(waves[:, :777]).shape == (7, 777)


def test_a_pick_stands_at_the_peak_moved_by_the_offset_with_its_spread() -> None:
    answers = np.zeros((7, 2000), np.float32)
    answers[1, 500:520], answers[1, 510] = 0.5, 0.9
    answers[2, 900] = 0.2
    answers[3], answers[5] = 0.03, np.log(0.05)
    quiet = np.zeros((3, 2000), np.float32)
    (pick,) = untrained().peaks(quiet, answers, {"P": 0.3, "S": 0.3})
    assert (pick.phase, pick.second) == ("P", pytest.approx(5.13))
    assert pick.probability == pytest.approx(0.9) and pick.spread_s == pytest.approx(0.05)
    assert [p.phase for p in untrained().peaks(quiet, answers, {"P": 0.95, "S": 0.1})] == ["S"]


def test_a_p_is_moved_half_the_way_to_where_aic_parts_the_vertical_if_that_is_near() -> None:
    answers = np.zeros((7, 2000), np.float32)
    answers[1, 510], answers[2, 1510] = 0.9, 0.9
    filtered = np.random.default_rng(3).standard_normal((3, 2000)).astype(np.float32)
    filtered[:, 506:] *= 20
    for onset, expected in ((0, 5.08), (4, 5.10)):
        moved = np.roll(filtered, -onset, 1)
        found = {pick.phase: pick.second for pick in untrained().peaks(moved, answers, {"P": 0.3, "S": 0.3})}
        assert found["P"] == pytest.approx(expected, abs=0.006), "half way, but not to what is 0.08 s off"
        assert found["S"] == pytest.approx(15.1)


def test_a_vertical_component_alone_has_thresholds_of_its_own() -> None:
    net = model.Committee().state_dict()
    own = picker.Picker(net, {"thresholds": {"P": 0.6, "S": 0.5}, "thresholds_alone": {"P": 0.5, "S": 0.2}})
    waves = burst()
    assert own.thresholds_for(waves)["S"] == 0.5
    waves[1:] = 0
    assert own.thresholds_for(conditioning.high_passed(waves))["S"] == 0.2


def test_each_onset_is_matched_with_one_pick_the_closest() -> None:
    assert score.match([1.0, 2.0], [2.04, 1.96, 5.0], 0.1) == [(1, 0)] or score.match(
        [1.0, 2.0], [2.04, 1.96, 5.0], 0.1
    ) == [(1, 1)]
    tally = score.Tally(0.1)
    tally.add([1.0, 2.0, 3.0], [1.05, 2.5, 7.0], unasked_s=[7.2])
    assert (tally.found, tally.missed, tally.false) == (1, 2, 1)
    assert tally.f1 == pytest.approx(2 / 5) and tally.residual_s == [pytest.approx(0.05)]


def test_aic_parts_quiet_from_loud_at_the_sample() -> None:
    rng = np.random.default_rng(3)
    wave = rng.standard_normal(400) * np.where(np.arange(400) < 237, 1, 8)
    assert aic.aic_onset(wave) == pytest.approx(237, abs=2)


@pytest.mark.parametrize("method", ["sta_lta_aic", "kurtosis_aic", "ar_aic"])
def test_the_baselines_find_a_plain_onset(method: str) -> None:
    if method == "ar_aic":
        pytest.importorskip("obspy", reason="AR-AIC is ObsPy's")
    found = getattr(baselines, method)(burst(12.0))
    assert min(abs(second - 12.0) for second in found["P"]) < 0.1


def test_the_threshold_lets_little_through_where_there_is_noise() -> None:
    def answered(kind: str, probability: float, true: bool) -> Any:
        onsets = (simulate.Onset("P", 10.0, True),) if kind == "one" else ()
        return evaluate.Answered(kind, onsets, [picker.Pick("P", 10.0 if true else 20.0, probability, 0.1)])

    rows = [answered("one", 0.3 + 0.006 * k, True) for k in range(100)] + [answered("noise", 0.5, False)] * 30
    rows += [evaluate.Answered("noise", (), [])] * 120
    threshold = evaluate.choose_threshold(rows, "P")
    assert 0.5 < threshold <= 0.52
    assert evaluate.tally(rows, "P", threshold).false == 0


def test_of_thresholds_that_are_as_good_the_highest_is_taken() -> None:
    onset = (simulate.Onset("P", 10.0, True),)
    rows = [evaluate.Answered("one", onset, [picker.Pick("P", 10.0, 0.7, 0.1)])] * 199
    rows += [evaluate.Answered("one", onset, [picker.Pick("P", 10.0, 0.3, 0.1)])]  # one in two hundred is faint
    assert evaluate.choose_threshold(rows, "P") == 0.7
    assert evaluate.choose_threshold(rows + rows[-1:] * 20, "P") == 0.3


def test_an_odd_record_is_told_from_simulated_ones() -> None:
    windows = [conditioning.high_passed(simulate.simulate(7, index).waves) for index in range(120)]
    usual = unusual.learn(windows)
    fresh = [conditioning.high_passed(simulate.simulate(8, index).waves) for index in range(40)]
    assert np.mean([unusual.strange_share(wave, usual) for wave in fresh]) < 0.1
    t = np.arange(9000) / 100
    tone = np.tile(np.sin(2 * np.pi * 5 * t), (3, 1)).astype(np.float32)
    hiss = np.diff(np.random.default_rng(0).standard_normal((3, 9004)), 4).astype(np.float32)  # all of it above 30 Hz
    assert unusual.strange_share(conditioning.high_passed(tone), usual) == 1
    assert unusual.strange_share(conditioning.high_passed(hiss), usual) > unusual.COMMON
