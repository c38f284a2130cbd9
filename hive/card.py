"""The front matter of a model card, as the Hugging Face Hub reads it: licence, task, tags and the figures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from hive_runner.contract import Metric

from hive.model import Recipe

CARD = "README.md"
FENCE = "---"
PLAIN_PATH = re.compile(r"[A-Za-z0-9._/-]+")
# The licences that the Hub knows by their SPDX name in lower case. Any other is "other", and named beside it.
HUB_LICENCES = (
    "mit apache-2.0 bsd-2-clause bsd-3-clause isc mpl-2.0 unlicense wtfpl zlib ecl-2.0 epl-2.0 eupl-1.1 eupl-1.2 "
    "gpl-2.0 gpl-3.0 lgpl-2.1 lgpl-3.0 agpl-3.0 bsl-1.0 artistic-2.0 cc0-1.0 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 "
    "cc-by-sa-4.0 cc-by-nc-4.0 cc-by-nc-sa-4.0 cc-by-nc-nd-4.0 cc-by-nd-4.0 odc-by odbl-1.0"
)


def render(card: str, recipe: Recipe, real: bool, metrics: Sequence[Metric], figures: Iterable[str] = ()) -> str:
    """The card under its front matter. card: the author's text, "" for none; what front matter it has of its own
    stays, except for what hive knows better. figures: their paths in the artifact; the card ends with those that its
    text does not show.
    """
    own, text = _split(card)
    ours = list(_front_matter(recipe, real, metrics))
    known = {line.partition(":")[0] for line in ours}
    kept = [line for key, lines in own for line in lines if key not in known]
    body = text.strip("\n") or f"# {recipe.name}\n\n{recipe.summary}"
    return "\n".join([FENCE, *ours, *kept, FENCE, "", body, *_shown(figures, body), ""])


def text_of(card: str) -> str:
    """The card below its front matter, for people."""
    return _split(card)[1].lstrip("\n")


def _front_matter(recipe: Recipe, real: bool, metrics: Sequence[Metric]) -> Iterator[str]:
    licence = recipe.licence.lower()
    if licence in HUB_LICENCES.split():
        yield f"license: {licence}"
    else:
        yield "license: other"
        yield f"license_name: {_text(recipe.licence)}"
    yield "library_name: hive"
    if recipe.task:
        yield f"pipeline_tag: {_text(recipe.task)}"
    yield "tags:"
    for tag in dict.fromkeys(["hive", *recipe.keywords, *([] if real else ["no-real-model"])]):
        yield f"- {_text(tag)}"
    if metrics:
        yield "model-index:"
        yield f"- name: {_text(recipe.name)}"
        yield "  results:"
        for dataset in dict.fromkeys(metric.dataset for metric in metrics):
            name = _text(dataset or "held out by the recipe")
            yield f"  - task: {{type: {_text(recipe.task or 'other')}}}"
            yield f"    dataset: {{type: {name}, name: {name}}}"
            yield "    metrics:"
            for metric in metrics:
                if metric.dataset == dataset:
                    yield f"    - {{type: {_text(metric.name)}, value: {_number(metric.value)}}}"


def _shown(figures: Iterable[str], body: str) -> list[str]:
    """Images of those figures that the body does not refer to, with a name that Markdown takes as it is."""
    more = [path for path in figures if path not in body and PLAIN_PATH.fullmatch(path)]
    lines = [f"![{PurePosixPath(path).stem.replace('_', ' ')}]({path})" for path in more]
    return ["", "## Figures", *(part for line in lines for part in ("", line))] if lines else []


def _split(card: str) -> tuple[list[tuple[str, list[str]]], str]:
    """The entries of a card's own front matter, each (key, its lines), and the text below."""
    lines = card.splitlines()
    if not lines or lines[0] != FENCE or FENCE not in lines[1:]:
        return [], card
    end = lines.index(FENCE, 1)
    entries: list[tuple[str, list[str]]] = []
    for line in lines[1:end]:
        if entries and line[:1] in ("", " ", "-", "#"):
            entries[-1][1].append(line)
        else:
            entries.append((line.partition(":")[0], [line]))
    return entries, "\n".join(lines[end + 1 :])


def _text(value: str) -> str:
    """A YAML scalar. JSON's texts are YAML's, where they hold nothing unprintable."""
    return json.dumps("".join(c if c.isprintable() else " " for c in value), ensure_ascii=False)


def _number(value: Any) -> str:
    """A YAML number: 1e-05 would be a text to readers of YAML 1.1."""
    mantissa, e, exponent = repr(float(value)).partition("e")
    return f"{mantissa}{'' if '.' in mantissa or not e else '.0'}{e}{exponent}"
