"""What people might say of a shape, and the combinations of words that training never sees.

Of grammar shapes the attributes are known; of furniture the name and tags are, and its colour and height are measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hive_recipe_shape_corpus.palette import COLOURS, MATERIALS

if TYPE_CHECKING:
    from hive_recipe_shape_corpus.corpus import Item

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
FEATURES = {
    "has_back": "a back", "has_arms": "arms", "has_handle": "a handle", "has_doors": "doors",
    "has_chimney": "a chimney", "has_lid": "a lid", "has_headboard": "a headboard",
}  # fmt: skip
COUNTED = {
    "n_legs": ("leg", "legs"), "n_shelves": ("shelf", "shelves"), "n_drawers": ("drawer", "drawers"),
    "n_seats": ("seat", "seats"), "n_floors": ("floor", "floors"), "n_wheels": ("wheel", "wheels"),
    "n_rungs": ("rung", "rungs"), "n_engines": ("engine", "engines"), "n_arms": ("arm", "arms"),
}  # fmt: skip
FOOTED = ("lamp",)  # nobody speaks of its leg
LOW_FURNITURE, TALL_FURNITURE = 0.35, 1.8  # height over width
QUANTILES = (0.3, 0.7)  # of a family's heights: what is below is low, what is above is tall

# What training never sees together, by family: so many legs in such a colour, ...
HELD_OUT_LEGS: dict[str, tuple[tuple[int, str], ...]] = {
    "table": (
        (3, "red"),
        (1, "brown"),
        (4, "green"),
        (4, "blue"),
        (3, "black"),
        (4, "grey"),
        (1, "white"),
        (3, "beige"),
    ),
    "stool": (
        (1, "red"),
        (4, "brown"),
        (3, "green"),
        (3, "blue"),
        (4, "white"),
        (3, "grey"),
        (1, "black"),
        (4, "yellow"),
    ),
    "chair": (
        (1, "red"),
        (3, "brown"),
        (1, "blue"),
        (4, "green"),
        (4, "yellow"),
        (3, "white"),
        (4, "orange"),
        (3, "grey"),
    ),
}
# ... and such a height in such a colour
HELD_OUT_HEIGHTS: dict[str, tuple[tuple[str, str], ...]] = {
    "bookcase": (("tall", "red"), ("low", "green"), ("tall", "white"), ("low", "brown")),
    "cabinet": (("low", "blue"), ("tall", "brown"), ("tall", "green"), ("low", "white")),
    "lamp": (("low", "red"), ("tall", "blue"), ("low", "green"), ("tall", "beige")),
    "sofa": (("tall", "red"), ("low", "blue"), ("tall", "grey"), ("low", "brown")),
    "desk": (("low", "brown"), ("tall", "white"), ("low", "black")),
    "vase": (("tall", "blue"), ("low", "red"), ("tall", "green"), ("low", "white")),
    "bottle": (("tall", "green"), ("low", "blue")),
    "cup": (("tall", "red"), ("low", "yellow")),
    "house": (("tall", "red"), ("low", "white")),
}


@dataclass(frozen=True)
class Seen:
    """What there is to say of a shape. height: "low", "tall" or nothing, beside others of its family."""

    name: str
    family: str
    tags: tuple[str, ...]
    colour: str
    height: str
    attributes: Mapping[str, Any]


class Heights:
    """How tall the families are: height over the longer side of the floor plan, at QUANTILES."""

    def __init__(self, table: Mapping[str, Sequence[float]]) -> None:
        self.table = table

    @classmethod
    def of(cls, families: Sequence[str], sizes: Sequence[Sequence[float]]) -> Heights:
        """Families with fewer than 8 members, or all alike, are neither low nor tall."""
        table = {}
        for family in sorted(set(families)):
            heights = [height_over_width(s) for f, s in zip(families, sizes, strict=True) if f == family]
            low, high = np.quantile(heights, QUANTILES)
            if len(heights) >= 8 and high > 1.15 * low:
                table[family] = [round(float(low), 3), round(float(high), 3)]
        return cls(table)

    def word(self, family: str, size: Sequence[float]) -> str:
        if family not in self.table:
            return ""
        low, high = self.table[family]
        height = height_over_width(size)
        return "low" if height <= low else "tall" if height >= high else ""


def height_over_width(size: Sequence[float]) -> float:
    width, depth, height = size
    return float(height / max(width, depth))


def see(item: Item, colour: str, heights: Heights) -> Seen:
    """colour: the name of the measured one, used where no attribute names it."""
    family = item.family
    if item.kind == "furniture":  # its family is a room, where low and tall things stand together
        above = height_over_width(item.size_m)
        height = "low" if above < LOW_FURNITURE else "tall" if above > TALL_FURNITURE else ""
        return Seen(item.name, family, item.tags, colour, height, {})
    known, height = item.attributes, heights.word(family, item.size_m)
    return Seen(item.name, family, item.tags, str(known.get("colour", colour)), height, known)


def is_held_out(seen: Seen) -> bool:
    """Whether it has a combination that training never sees."""
    legs = (seen.attributes.get("n_legs"), seen.colour)
    height = (seen.height, seen.colour)
    return legs in HELD_OUT_LEGS.get(seen.family, ()) or height in HELD_OUT_HEIGHTS.get(seen.family, ())


def captions(seen: Seen, count: int, rng: np.random.Generator) -> list[str]:
    """`count` things to say of it, no two alike where that is possible."""
    draw = _of_grammar if seen.attributes else _of_furniture
    found: list[str] = []
    for _ in range(4 * count):
        caption = draw(seen, rng)
        if caption not in found:
            found.append(caption)
        if len(found) == count:
            return found
    return (found * count)[:count]


def telling(seen: Seen, rng: np.random.Generator) -> str:
    """A caption that names colour, height and number of legs, as far as it has them: what probes ask for."""
    return _of_grammar(seen, rng, always=("colour", "height", "n_legs"))


def _of_grammar(seen: Seen, rng: np.random.Generator, always: tuple[str, ...] = ()) -> str:
    known = seen.attributes
    if known.get("material") and seen.colour not in usual_colours(str(known["material"])):
        always += ("colour",)  # or "wooden" would come to mean green
    chance = {"height": 0.6, "colour": 0.85, "material": 0.5, "top_shape": 0.7, "style": 0.5}
    said = {**known, "height": seen.height, "colour": seen.colour}
    kept = [
        str(said[key]).replace("-", " ") if key == "style" else str(said[key])
        for key, share in chance.items()
        if said.get(key) and (rng.random() < share or key in always)
    ]
    if len(kept) > 1 and rng.random() < 0.3 and not always:
        kept = [kept[each] for each in rng.permutation(len(kept))]
    parts = [
        _counted(key, int(known[key]), rng)
        for key in COUNTED
        if known.get(key)
        and not (key == "n_legs" and seen.family in FOOTED)
        and (key in always or rng.random() < (0.75 if key == "n_legs" else 0.5))
    ]
    parts += [noun for key, noun in FEATURES.items() if known.get(key) and rng.random() < 0.3]
    if known.get("colour2") and rng.random() < 0.25:
        parts.append(f"parts in {known['colour2']}")
    return _sentence(" ".join([*kept, seen.family.replace("-", " ").replace("_", " ")]), parts, rng)


def usual_colours(material: str) -> set[str]:
    """Those that it comes in more often than in others, all if there are none such."""
    colours = MATERIALS.get(material, tuple(COLOURS))
    return {each for each in colours if colours.count(each) > 1} or set(colours)


def _of_furniture(seen: Seen, rng: np.random.Generator) -> str:
    name = seen.name.lower()
    if seen.tags and rng.random() < 0.2:
        name += ", " + str(rng.choice(seen.tags)).lower()
    words = []
    if seen.height and rng.random() < 0.4:
        words.append(seen.height)
    if seen.colour and seen.colour not in name and rng.random() < 0.6:
        words.append(seen.colour)
    return _sentence(" ".join([*words, name]), [], rng)


def _counted(key: str, count: int, rng: np.random.Generator) -> str:
    one, many = COUNTED[key]
    if key == "n_legs" and count == 1:
        return str(rng.choice(["one leg", "a single leg", "one central leg"]))
    return f"{NUMBERS[count] if count < len(NUMBERS) else count} {one if count == 1 else many}"


def _sentence(noun: str, parts: list[str], rng: np.random.Generator) -> str:
    article = str(rng.choice(["a", "", "the", "a model of a", "this is a"], p=[0.6, 0.25, 0.05, 0.05, 0.05]))
    if article.endswith("a") and noun[0] in "aeiou":
        article += "n"
    if not parts:
        return f"{article} {noun}".strip()
    together = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    linked = str(
        rng.choice([f"{noun} with {together}", f"{noun} that has {together}", f"{noun}, {together}"], p=[0.8, 0.1, 0.1])
    )
    return f"{article} {linked}".strip()
