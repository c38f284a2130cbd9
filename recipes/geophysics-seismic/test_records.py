"""Files in and out: rates, components, gaps, errors, CSV and QuakeML, the user's own picks."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network is torch's")
obspy = pytest.importorskip("obspy", reason="records are read with ObsPy")

from hive_runner.errors import InputError  # noqa: E402
from hive_runner.recipe_module import load  # noqa: E402

HERE = Path(__file__).parent
records, conditioning, simulate, model, predict, user_picks, unusual = (
    load("geophysics-seismic", HERE, name)
    for name in ("records", "conditioning", "simulate", "model", "predict", "user_picks", "unusual")
)
START = obspy.UTCDateTime(2024, 5, 1, 12)


def trace(values: Any, rate: float = 100.0, channel: str = "HHZ", start: Any = START, station: str = "ABC") -> Any:
    header = {"network": "XX", "station": station, "channel": channel, "sampling_rate": rate, "starttime": start}
    return obspy.Trace(np.asarray(values), header)


def noise(seconds: float, rate: float = 100.0, seed: int = 0) -> Any:
    return np.round(np.random.default_rng(seed).standard_normal(round(seconds * rate)) * 100).astype(np.int32)


def written(folder: Path, *traces: Any, name: str = "record", kind: str = "MSEED") -> Path:
    path = folder / name
    obspy.Stream(list(traces)).write(str(path), format=kind)
    return path


def stretches(*paths: Path) -> tuple[list[Any], Any]:
    notes = records.Notes()
    return list(records.stretches(list(paths), notes)), notes


@pytest.mark.parametrize("rate", [20.0, 40.0, 50.0, 62.5, 80.0, 100.0, 125.0, 200.0, 250.0, 500.0])
def test_an_instant_stays_where_it_is_at_any_rate(tmp_path: Path, rate: float) -> None:
    values = np.zeros(round(20 * rate))
    values[round(8.4 * rate)] = 1000.0
    values[0] = 1.0
    (stretch,), notes = stretches(written(tmp_path, trace(values, rate)))
    assert stretch.waves.shape[1] == pytest.approx(2000, abs=6)
    assert np.argmax(stretch.waves[0]) == pytest.approx(840, abs=1)
    assert bool(notes.lines) == (rate < 40)


def test_components_go_where_they_belong_and_one_alone_is_the_vertical(tmp_path: Path) -> None:
    parts = [trace(noise(10, seed=k), channel=f"HH{code}") for k, code in enumerate("12Z")]
    (stretch,), _ = stretches(written(tmp_path, *parts))
    assert stretch.components == "Z12" and stretch.instrument == "XX.ABC..HH"
    assert np.corrcoef(stretch.waves[0], parts[2].data)[0, 1] > 0.999
    assert np.corrcoef(stretch.waves[1], parts[0].data)[0, 1] > 0.999
    (alone,), notes = stretches(written(tmp_path, trace(noise(10), channel="EHN"), name="alone"))
    assert alone.waves[0].any() and not alone.waves[1:].any()
    assert "taken as the vertical" in notes.lines[0]


def test_a_gap_parts_a_record_and_is_not_filled(tmp_path: Path) -> None:
    before, after = trace(noise(20)), trace(noise(30, seed=1), start=START + 25)
    found, notes = stretches(written(tmp_path, before, after))
    assert [s.start - START for s in found] == [0, 25]
    assert [s.waves.shape[1] for s in found] == [2000, 3000]
    assert notes.gaps == 1


def test_where_a_component_is_missing_the_others_go_on(tmp_path: Path) -> None:
    parts = [trace(noise(30)), trace(noise(10), channel="HHN"), trace(noise(30, seed=2), channel="HHE")]
    found, _ = stretches(written(tmp_path, *parts))
    assert [(s.components, s.waves.shape[1]) for s in found] == [("ZNE", 1000), ("ZE", 2000)]


def test_dead_time_and_values_that_are_no_numbers_are_gaps(tmp_path: Path) -> None:
    values = noise(30).astype(np.float32)
    values[1000:1200] = np.nan
    found, notes = stretches(written(tmp_path, trace(values)))
    assert [s.waves.shape[1] for s in found] == [1000, 1800]
    assert all(np.isfinite(s.waves).all() for s in found) and "no numbers" in notes.lines[0]
    with pytest.raises(InputError, match="nothing to pick"):
        untrained().pick_files([written(tmp_path, trace(np.full(3000, 7)), name="dead")], tmp_path / "out")


def test_channels_of_another_rate_are_passed_over_and_told(tmp_path: Path) -> None:
    slow = trace(noise(300, 1.0), 1.0, "LHZ")
    (stretch,), notes = stretches(written(tmp_path, slow, trace(noise(300))))
    assert stretch.channel == "HH" and "1 samples a second" in notes.lines[0]
    with pytest.raises(InputError, match="nothing to pick") as raised:
        untrained().pick_files([written(tmp_path, slow, name="slow")], tmp_path / "out")
    assert "1 samples a second" in raised.value.why


def test_three_sac_files_in_a_folder_are_one_instrument(tmp_path: Path) -> None:
    for k, code in enumerate("ZNE"):
        written(
            tmp_path, trace(noise(12, seed=k).astype(np.float32), channel=f"BH{code}"), name=f"{code}.sac", kind="SAC"
        )
    (tmp_path / "notes.txt").write_text("field notes")
    (stretch,), notes = stretches(tmp_path)
    assert stretch.components == "ZNE" and stretch.waves.any(1).all()
    assert notes.lines == ["notes.txt was passed over: ObsPy cannot read it"]


def test_a_long_record_is_read_in_parts_that_leave_nothing_out_and_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PART_S", 100.0)
    monkeypatch.setattr(records, "MARGIN_S", 20.0)
    found, _ = stretches(written(tmp_path, trace(noise(250))))
    assert len(found) == 3
    kept = [(s.start + max(s.keep_from_s, 0), s.start + min(s.keep_to_s, s.waves.shape[1] / 100)) for s in found]
    assert kept[0][0] == START and kept[-1][1] - START == pytest.approx(250, abs=0.02)
    assert all(abs(end - begin) < 0.011 for (_, end), (begin, _) in itertools.pairwise(kept))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "text", "no seismic record"),
        (lambda folder: folder / "empty", "nothing to pick in"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, make: Any, message: str) -> None:
    (tmp_path / "text").write_text("not a record\n" * 100)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message) as raised:
        stretches(make(tmp_path))
    assert raised.value.why and raised.value.hint


def untrained() -> Any:
    torch.manual_seed(0)
    usual = unusual.learn([conditioning.high_passed(simulate.simulate(1, index).waves) for index in range(40)])
    return predict.Model(model.Committee().state_dict(), {"usual": usual, "thresholds": {"P": 0.018, "S": 0.018}})


def test_the_sample_is_picked_into_a_csv_a_quakeml_and_a_figure(tmp_path: Path) -> None:
    run = SimpleNamespace(seed=0, output=tmp_path / "sample", summary={})
    predict.sample(run)
    assert run.summary["stations"] == 4
    summary = untrained().pick_files([run.output], tmp_path / "out")
    with (tmp_path / "out" / "picks.csv").open() as file:
        rows = list(csv.DictReader(file))
    picks = obspy.read_events(str(tmp_path / "out" / "picks.xml"))[0].picks
    assert len(rows) == len(picks) == summary["picks_p"] + summary["picks_s"] > 0
    for row, pick in zip(rows, picks, strict=True):
        assert abs(obspy.UTCDateTime(row["time"]) - pick.time) < 0.002
        assert pick.phase_hint == row["phase"] and pick.waveform_id.station_code == row["station"]
        assert pick.time_errors.uncertainty == pytest.approx(float(row["uncertainty_s"]), abs=1e-3)
        assert 0.018 <= float(row["probability"]) <= 1
    assert (tmp_path / "out" / "picks.png").read_bytes().startswith(b"\x89PNG")
    assert [s[-1] for s in {row["channel"] for row in rows if row["phase"] == "P"}] == ["Z"]


def test_one_file_is_written_where_its_suffix_says_so(tmp_path: Path) -> None:
    record = written(tmp_path, trace(noise(40)))
    untrained().pick_files([record], tmp_path / "a.csv")
    untrained().pick_files([record], tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv", "record"]


def test_an_array_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(3, N\)"):
        untrained().pick(np.zeros((1000, 3)))


def a_survey(folder: Path, picks: str, name: str = "picks.csv") -> Path:
    long = [trace(noise(900, seed=k), channel=f"HH{code}") for k, code in enumerate("ZNE")]
    written(folder, *long, name="day.mseed")
    (folder / name).write_text(picks)
    return folder


def test_the_users_picks_become_excerpts_and_every_fifth_is_held_out(tmp_path: Path) -> None:
    lines = [f"ABC,{p},{START + 100 * k + (60 if p == 'P' else 63.5)}" for k in range(8) for p in "PS"]
    folder = a_survey(tmp_path, "station,phase,time\n" + "\n".join(lines))
    user = user_picks.cut_excerpts(folder, tmp_path / "scratch")
    assert (len(user.training), len(user.held_out)) == (6, 2)
    window = user.window(np.random.default_rng(0))
    assert window.waves.shape == (3, 3000) and {onset.phase for onset in window.onsets} <= {"P", "S"}
    first = user.training[0]
    assert first.onsets[0] == ("P", pytest.approx(35.0)) and first.onsets[1] == ("S", pytest.approx(38.5))
    np.testing.assert_allclose(
        np.load(first.waves)[0, 3500:3600], noise(900)[6000:6100] - noise(900)[0], atol=1
    )  # fmt: skip


def test_what_hive_wrote_can_be_learned_from(tmp_path: Path) -> None:
    record = written(tmp_path, *[trace(noise(200, seed=k), channel=f"HH{c}") for k, c in enumerate("ZNE")])
    for name in ("picks.csv", "picks.xml"):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        untrained().pick_files([record], folder / name)
        obspy.read(str(record)).write(str(folder / "day.mseed"), format="MSEED")
        found = user_picks.read_picks([folder / name])
        assert set(found) == {("XX", "ABC")} and len(found["XX", "ABC"]) > 2


@pytest.mark.parametrize(
    ("picks", "message"),
    [
        ("station,phase\nABC,P\n", "holds no picks"),
        ("station,phase,time\nABC,P,noon\n", "has no time"),
        ("station,phase,time\nELSEWHERE,P,2024-05-01T12:01:00\n", "too few picks"),
    ],
)
def test_picks_that_cannot_be_learned_from_are_told(tmp_path: Path, picks: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        user_picks.cut_excerpts(a_survey(tmp_path, picks), tmp_path / "scratch")
