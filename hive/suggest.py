"""A guess at what somebody meant."""

from __future__ import annotations


def did_you_mean(name: str, known: list[str], otherwise: str = "hive search lists what there is") -> tuple[str, str]:
    """The why and the hint for a name that nobody knows."""
    import difflib

    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    near = near or [candidate for candidate in known if name.lower() in candidate or candidate in name.lower()]
    hint = f"did you mean {' or '.join(near)}?" if near else otherwise
    return (f"known are {', '.join(known)}" if known else "no source has any recipe", hint)
