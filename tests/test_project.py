"""hive.toml: what it may say, and what it is told when it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from hive.errors import RequestError
from hive.project import Wanted, read_project


def project(folder: Path, text: str) -> Path:
    path = folder / "hive.toml"
    path.write_text(text)
    return path


def test_models_in_their_order_each_with_what_is_said_of_it(tmp_path: Path) -> None:
    path = project(
        tmp_path,
        """[models]
zebra = "*"
ape = "1.2"
[models.bear]
version = ">=1,<2"
profile = "smoke"
seed = 7
params = { steps = 3 }
data = "tiles"
""",
    )
    assert read_project(path) == (
        Wanted("zebra"),
        Wanted("ape", "==1.2"),
        Wanted("bear", ">=1,<2", "smoke", 7, {"steps": 3}, str(tmp_path / "tiles")),
    )
    assert [each.request for each in read_project(path)] == ["zebra", "ape==1.2", "bear>=1,<2"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[models]\nx = 3", "[models.x] is not a table"),
        ("[models]\n'No Name' = '*'", "not a model's name"),
        ("[models.x]\nsead = 3", "unknown 'sead'"),
        ("[models.x]\nseed = -1", "a whole number from 0"),
        ("[models.x]\nseed = true", "a whole number from 0"),
        ("[models.x]\nparams = 3", "params is not a table"),
        ("[modles]\nx = '*'", "unknown 'modles'"),
        ("[models]\nx = \ny = '*'", "line 2"),
        ("", "it has no [models]"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_project(project(tmp_path, text))
    assert complaint in caught.value.why and str(tmp_path / "hive.toml") in caught.value.message


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot read"):
        read_project(tmp_path / "hive.toml")
