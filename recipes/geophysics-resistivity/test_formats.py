"""The same readings in every format come back the same; what a file does not say is asked for or noted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="readers use the solver's geometry")
pytest.importorskip("scipy", reason="readers use the solver's geometry")

from hive_runner.errors import InputError
from hive_runner.recipe_module import load
from numpy.typing import NDArray

HERE = Path(__file__).parent
NAME = "geophysics-resistivity"
formats = load(NAME, HERE, "formats")
arrays = load(NAME, HERE, "arrays")
report = load(NAME, HERE, "report")
solver = load(NAME, HERE, "solver")

SPACING_M = 2.5
PLACES = np.arange(16) * SPACING_M
Abmn = NDArray[np.int64]


def apparent_of(abmn: Abmn) -> NDArray[np.float64]:
    return np.asarray(100.0 + np.arange(len(abmn)) % 37)


def resistance_of(abmn: Abmn) -> NDArray[np.float64]:
    return np.asarray(apparent_of(abmn) / solver.geometric_factors(PLACES, abmn))


def place(electrode: int, infinity: str = "") -> str:
    return infinity if electrode < 0 else f"{PLACES[electrode]:g}"


def unified(path: Path, abmn: Abmn) -> None:
    report.write_unified(path, PLACES, abmn, apparent_of(abmn), np.full(len(abmn), 0.02))


def unified_resistances(path: Path, abmn: Abmn) -> None:
    """As BERT has them: u in mV and i in mA, errors in per cent, no name over the electrodes."""
    rows = [f"{len(PLACES)}", *(f"{x:g}\t0" for x in PLACES), f"{len(abmn)}", "#a\tb\tm\tn\tu/mV\ti/mA\terr/%"]
    for e, r in zip(abmn, resistance_of(abmn), strict=True):
        rows.append("\t".join(map(str, e + 1)) + f"\t{r * 200:.9g}\t200\t2")
    path.write_text("\n".join(rows) + "\n0\n")


def res2dinv_general(path: Path, abmn: Abmn) -> None:
    rows = ["A line", f"{SPACING_M}", "11", "0", "Type of measurement (0=app. resistivity,1=resistance)", "0"]
    rows += [str(len(abmn)), "2", "0"]
    for e, value in zip(abmn, apparent_of(abmn), strict=True):
        there = [f"{PLACES[i]:g} 0" for i in e if i >= 0]
        rows.append(f"{len(there)} {' '.join(there)} {value:g}")
    path.write_text("\n".join([*rows, "0", "0", "0", "0"]))


def ubc_lines(path: Path, abmn: Abmn) -> None:
    rows = ["! simple surface format"]
    for e, r in zip(abmn, resistance_of(abmn), strict=True):
        a, b, m, n = (place(i) for i in e)
        rows.append(f"{a} {b or a} {m} {n or m} {r:.9g} {abs(r) * 0.02:.6g}")
    path.write_text("\n".join(rows))


def ubc_sources(path: Path, abmn: Abmn) -> None:
    """As SimPEG writes it: a line a source, then its receivers."""
    rows = ["COMMON_CURRENT", "! general"]
    for source in np.unique(abmn[:, :2], axis=0):
        group = np.flatnonzero((abmn[:, :2] == source).all(1))
        a = place(source[0])
        rows.append(f"{a} 0 {place(source[1]) or a} 0 {len(group)}")
        for row in group:
            m = place(abmn[row, 2])
            r = resistance_of(abmn)[row]
            rows.append(f"{m} 0 {place(abmn[row, 3]) or m} 0 {r:.9g} {abs(r) * 0.02:.6g}")
    path.write_text("\n".join(rows))


def syscal(path: Path, abmn: Abmn) -> None:
    rows = ["#,El-array,Spa.1,Spa.2,Spa.3,Spa.4,Rho,Dev.,M,Sp,Vp,In"]
    for index, (e, value) in enumerate(zip(abmn, apparent_of(abmn), strict=True)):
        rows.append(f"{index + 1},1,{','.join(place(i, '100000') for i in e)},{value:.6g},2.0,0,-3.2,12,100")
    path.write_text("\n".join(rows))


def semicolons(path: Path, abmn: Abmn) -> None:
    """A spreadsheet of a country that writes 1,5 for one and a half."""
    rows = ["xA (m);xB (m);xM (m);xN (m);Rho (Ohm.m);Dev. Rho (%)"]
    for e, value in zip(abmn, apparent_of(abmn), strict=True):
        rows.append(";".join(place(i) for i in e).replace(".", ",") + f";{value:.2f};2,0".replace(".", ","))
    path.write_text("\n".join(rows))


WRITERS = [unified, unified_resistances, res2dinv_general, ubc_lines, ubc_sources, syscal, semicolons]


@pytest.mark.parametrize("kind", ["schlumberger", "dipole-dipole", "pole-dipole", "pole-pole"])
@pytest.mark.parametrize("write", WRITERS)
def test_every_format_and_array_comes_back(write: Callable[[Path, Abmn], None], kind: str, tmp_path: Path) -> None:
    abmn = arrays.layout(kind, len(PLACES))
    path = tmp_path / "line.dat"
    write(path, abmn)
    line = formats.read(path)
    found = {tuple(line.positions[e, 0] if e >= 0 else np.inf for e in row): value
             for row, value in zip(line.abmn, line.apparent, strict=True)}  # fmt: skip
    assert len(line.abmn) == len(abmn)
    for row, value in zip(abmn, apparent_of(abmn), strict=True):
        assert found[tuple(PLACES[e] if e >= 0 else np.inf for e in row)] == pytest.approx(value, rel=1e-4)
    if write is not res2dinv_general:
        np.testing.assert_allclose(line.error, 0.02, rtol=1e-3)


def test_what_pygimli_saves_is_read(tmp_path: Path) -> None:
    pygimli = pytest.importorskip("pygimli", reason="the independent writer is not installed")
    abmn = arrays.layout("pole-dipole", len(PLACES))
    data = pygimli.DataContainerERT()
    for i, x in enumerate(PLACES):
        data.createSensor([x, 0.0, 0.1 * i])
    data.resize(len(abmn))
    for name, column in zip("abmn", abmn.T, strict=True):
        data[name] = column.astype(float)
    data["k"] = solver.geometric_factors(PLACES, abmn)
    data["r"] = resistance_of(abmn)
    data["err"] = np.full(len(abmn), 0.02)
    data["valid"] = (np.arange(len(abmn)) != 4).astype(float)  # pyGIMLi leaves it out
    data.save(str(tmp_path / "saved.ohm"), "a b m n r k err valid")
    line = formats.read(tmp_path / "saved.ohm")
    kept = np.arange(len(abmn)) != 4
    np.testing.assert_allclose(line.apparent, apparent_of(abmn)[kept], rtol=1e-4)
    np.testing.assert_array_equal(line.abmn, abmn[kept])
    np.testing.assert_allclose(line.positions[:, 1], 0.1 * np.arange(len(PLACES)))


def test_res2dinv_places_its_arrays_by_first_electrode_or_by_middle(tmp_path: Path) -> None:
    def read(kind: int, rows: list[str], by_middle: int) -> list[list[float]]:
        text = ["t", "1.0", str(kind), str(len(rows)), str(by_middle), "0", *rows, "0", "0"]
        (tmp_path / "a.dat").write_text("\n".join(text))
        line = formats.read(tmp_path / "a.dat")
        return [[line.positions[e, 0] if e >= 0 else np.nan for e in row] for row in line.abmn]

    assert read(1, ["10 2 50"] * 2, 0)[0] == [10, 16, 12, 14]
    assert read(1, ["13 2 50"] * 2, 1)[0] == [10, 16, 12, 14]
    assert read(3, ["10 1 4 50"] * 2, 0)[0] == [11, 10, 15, 16]
    assert read(7, ["10 2 3 50"] * 2, 0)[0] == [10, 24, 16, 18]
    np.testing.assert_equal(read(6, ["10 1 4 50"] * 2, 0)[0], [10, np.nan, 14, 15])
    np.testing.assert_equal(read(6, ["10 1 -4 50"] * 2, 0)[0], [15, np.nan, 11, 10])


def test_res2dinv_topography_and_chargeability(tmp_path: Path) -> None:
    rows = ["t", "1.0", "1", "3", "0", "1", "Chargeability", "mV/V", "0.1,1.0"]
    rows += ["0 1 50 3.1", "1 1 51 3.2", "2 1 52 3.3", "2", "3", "0 100", "2 102", "6 102", "1", "0", "0"]
    (tmp_path / "a.dat").write_text("\n".join(rows))
    line = formats.read(tmp_path / "a.dat")
    assert line.apparent.tolist() == [50, 51, 52]
    np.testing.assert_allclose(line.positions[:4, 1], [100, 101, 102, 102])
    assert any("induced polarisation" in note for note in line.notes)


def test_numbered_electrodes_need_a_spacing(tmp_path: Path) -> None:
    path = tmp_path / "line.csv"
    path.write_text("a,b,m,n,rhoa\n" + "\n".join(f"{i},{i + 3},{i + 1},{i + 2},50" for i in range(1, 9)))
    with pytest.raises(InputError, match="numbers, not places"):
        formats.read(path)
    line = formats.read(path, spacing_m=5.0)
    assert np.ptp(line.positions[:, 0]) == 50.0
    assert any("5 m apart" in note for note in line.notes)


def test_voltages_whose_sign_is_lost_and_errors_that_are_none_are_told(tmp_path: Path) -> None:
    abmn = arrays.layout("dipole-dipole", len(PLACES))
    abmn = abmn[:, [1, 0, 2, 3]]  # A before B, as most have it: the voltages are negative
    volts = zip(abmn, resistance_of(abmn), strict=True)
    rows = [" ".join(place(i) for i in e) + f" {abs(r):.6g} 3.0" for e, r in volts]
    (tmp_path / "v.dat").write_text("! volts\n" + "\n".join(rows))
    line = formats.read(tmp_path / "v.dat")
    np.testing.assert_allclose(line.apparent, apparent_of(abmn), rtol=1e-4)
    assert any("without their sign" in note for note in line.notes)
    assert any("per cent" in note for note in line.notes)
    np.testing.assert_allclose(line.error, 0.03)


def test_apparent_resistivities_in_the_place_of_voltages_are_recognised(tmp_path: Path) -> None:
    abmn = arrays.layout("dipole-dipole", len(PLACES))
    values = zip(abmn, apparent_of(abmn), strict=True)
    rows = [" ".join(place(i) for i in e) + f" {r:.6g} {0.02 * r:.6g}" for e, r in values]
    (tmp_path / "v.dat").write_text("! apparent\n" + "\n".join(rows))
    line = formats.read(tmp_path / "v.dat")
    np.testing.assert_allclose(line.apparent, apparent_of(abmn), rtol=1e-4)
    assert any("not voltages" in note for note in line.notes)


def test_a_line_on_the_map_is_unrolled_and_a_crooked_one_told(tmp_path: Path) -> None:
    corner = [(i * 3.0, 0.0) for i in range(8)] + [(21.0, (i + 1) * 3.0) for i in range(8)]
    rows = ["16", "# x y z", *(f"{x} {y} {i % 2}" for i, (x, y) in enumerate(corner)), "2", "# a b m n rhoa"]
    (tmp_path / "map.ohm").write_text("\n".join([*rows, "1 4 2 3 50", "2 5 3 4 50"]))
    line = formats.read(tmp_path / "map.ohm")
    np.testing.assert_allclose(line.positions[:, 0], np.arange(16) * 3.0)
    assert line.positions[1, 1] == 1
    assert any("crooked" in note for note in line.notes)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("hello\nworld\n", "format"),
        ("4\n# x z\n0 0\n1 0\n2 0\n3 0\n1\n# a b m n rhoa\n1 9 2 3 50\n", "electrode 9 of 4"),
        ("4\n# x z\n0 0\n1 0\n2 0\n3 0\n0\n# a b m n rhoa\n0\n", "there are 0"),
        ("4\n# x z\n0 0\n1 0\n2 0\n3 0\n5\n# a b m n rhoa\n1 4 2 3 50\n", "5 readings are promised"),
        ("4\n# x z\n0 0\n1 0\n2 0\n3 0\n1\n# a b m n ip\n1 4 2 3 50\n", "no readings"),
        ("t\n1.0\n8\n3\n0\n0\n0 1 50\n1 1 50\n2 1 50\n0\n", "array 8 is not supported"),
        ("! ubc\n0 1 2 3\n1 2 3 4\n", "A, B, M, N and the reading"),
        ("a,b,m,n,rhoa\nx,y,z,w,v\n", "no row"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "line.dat"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        formats.read(path)
    assert told in f"{caught.value.message} {caught.value.why}"


def test_a_picture_is_no_line(tmp_path: Path) -> None:
    path = tmp_path / "line.dat"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    with pytest.raises(InputError, match="no text"):
        formats.read(path)
