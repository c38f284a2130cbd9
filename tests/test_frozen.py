"""@frozen: to whoever uses such a class it is a frozen dataclass."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest
from hive_runner.frozen import asdict, field, frozen, replace


@frozen
class Point:
    x: float
    y: float = 0.0

    def __str__(self) -> str:
        return f"({self.x}, {self.y})"


@frozen
class Path:
    name: str
    points: tuple[Point, ...] = ()
    notes: dict[str, Any] = field(default_factory=dict)


HERE = Path("way", (Point(1.0), Point(2.0, 3.0)), {"end": Point(4.0)})


def test_fields_are_given_by_place_by_name_or_by_default():
    assert Point(1.0, 2.0) == Point(y=2.0, x=1.0)
    assert Point(1.0).y == 0.0
    assert Path("a").notes is not Path("b").notes


@pytest.mark.parametrize(
    "wrong", [lambda: Point(), lambda: Point(1, 2, 3), lambda: Point(1, x=1), lambda: Point(1, z=2)]
)
def test_wrong_fields_are_a_type_error(wrong):
    with pytest.raises(TypeError, match="Point"):
        wrong()


def test_a_value_cannot_be_changed():
    point = Point(1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2.0
    with pytest.raises(AttributeError):
        del point.x
    assert point == Point(1.0)


def test_equal_by_type_and_fields():
    @frozen
    class Other:
        x: float
        y: float = 0.0

    assert Point(1.0) != Other(1.0)
    assert Point(1.0) != Point(2.0)
    assert {Point(1.0), Point(1.0)} == {Point(1.0)}


def test_repr_names_the_fields_and_own_methods_stay():
    assert repr(Path("a")) == "Path(name='a', points=(), notes={})"
    assert str(Point(1.0)) == "(1.0, 0.0)"


def test_asdict_and_replace_agree_with_those_of_dataclasses():
    plain = asdict(HERE)
    assert plain == {
        "name": "way",
        "points": [{"x": 1.0, "y": 0.0}, {"x": 2.0, "y": 3.0}],
        "notes": {"end": {"x": 4.0, "y": 0.0}},
    }
    assert dataclasses.asdict(HERE) == {**plain, "points": tuple(plain["points"])}
    assert dataclasses.replace(HERE, name="b") == replace(HERE, name="b") == Path("b", HERE.points, HERE.notes)
    assert [(f.name, f.type) for f in dataclasses.fields(Point)] == [("x", "float"), ("y", "float")]


def test_copies_and_pickles_are_equal():
    assert copy.deepcopy(HERE) == pickle.loads(pickle.dumps(HERE)) == HERE
