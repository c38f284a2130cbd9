"""hive.lock: written so that the same facts are the same bytes, read back as they were, compared in words."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hive.errors import LockError
from hive.lockfile import Lock, Locked, keep_built, read_lock, render, stale_fields

NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
VALUES = st.one_of(
    st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(blacklist_categories=["Cs", "Cc"])),
)  # fmt: skip
MODELS = st.builds(
    Locked,
    name=NAMES,
    version=st.just("1.0"),
    source=st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=9),
    recipe=st.just("sha256:1"),
    requirements=st.lists(st.sampled_from(["numpy>=1", "torch"]), unique=True).map(sorted).map(tuple),
    profile=st.sampled_from(["standard", "smoke"]),
    seed=st.integers(0, 2**32 - 1),
    params=st.dictionaries(NAMES, VALUES, max_size=3),
    depends=st.dictionaries(NAMES, st.just("1.0"), max_size=2),
    automatic=st.booleans(),
    built=st.one_of(
        st.just({}),
        st.just(
            {"artifact": "sha256:2", "pins": ["a==1", "b-c==2"], "libraries": {"a": "sha256:3", "b-c": "sha256:4"}}
        ),
    ),
)


def model(**facts: Any) -> Locked:
    return Locked(**{"name": "m", "version": "1.0", "source": "s", "recipe": "sha256:1", "requirements": (), **facts})


@given(st.lists(MODELS, unique_by=lambda each: each.name, max_size=3), st.sampled_from(["", "sha256:3"]))
def test_what_is_written_is_read_back_and_written_the_same(
    tmp_path_factory: pytest.TempPathFactory, models: list[Locked], image: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "hive.lock"
    text = render(Lock(tuple(models), image))
    tomllib.loads(text)
    path.write_text(text)
    back = read_lock(path)
    assert back == Lock(tuple(sorted(models, key=lambda each: each.name)), image)
    assert render(back) == text == render(Lock(tuple(reversed(models)), image))


def test_every_difference_is_named() -> None:
    old = Lock((model(), model(name="gone"), model(name="same")), "sha256:a")
    new = Lock((model(version="1.1", params={"x": 1}), model(name="new"), model(name="same")), "sha256:b")
    assert stale_fields(old, new) == [
        "new: not in the lock",
        "gone: not wanted any more, or no source has it",
        "m.params: locked None, now {'x': 1}",
        "m.version: locked '1.0', now '1.1'",
        "runner.image: locked 'sha256:a', now 'sha256:b'",
    ]
    assert stale_fields(old, Lock(old.models)) == [], "a lock made elsewhere says nothing of the image"


def test_what_a_model_became_is_no_part_of_being_stale_and_stays_while_it_is_the_same() -> None:
    old = Lock((model(built={"artifact": "sha256:2"}), model(name="n", built={"artifact": "sha256:2"})), "sha256:a")
    new = Lock((model(), model(name="n", seed=1)))
    assert stale_fields(Lock((old.models[0],)), Lock((new.models[0],))) == []
    kept = keep_built(new, old)
    assert [each.built for each in kept.models] == [{"artifact": "sha256:2"}, {}] and kept.image == "sha256:a"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("not toml", "cannot be read"),
        ("format = 99", "by a newer hive"),
        ("", "cannot be read"),
        ("format = 1\n[[model]]\nname = 'x'", "cannot be read"),
        ("format = 1\n[[model]]\nname = 'x'\nstrange = 1\nrequirements = []", "cannot be read"),
        ("format = 1\nmodel = 3", "cannot be read"),
        ("format = 1\n[[model]]\nrequirements = []\n[model.built]\nlibraries = 3", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "hive.lock").write_text(text)
    with pytest.raises(LockError, match=complaint):
        read_lock(tmp_path / "hive.lock")
