"""Picks as files: CSV, and QuakeML for SeisComP, Hypo programs and ObsPy."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .picker import Pick
from .records import Stretch

if TYPE_CHECKING:
    from obspy import UTCDateTime

COLUMNS = ("network", "station", "location", "channel", "phase", "time", "probability", "uncertainty_s")
VERTICAL, HORIZONTAL = "Z3UV", "NE12RTXY"


@dataclass(frozen=True)
class StationPick:
    """A pick of an instrument, with its time."""

    network: str
    station: str
    location: str
    channel: str  # where it is seen best: the vertical for P, a horizontal for S, if there is one
    time: UTCDateTime
    pick: Pick

    def row(self) -> list[str]:
        return [
            self.network, self.station, self.location, self.channel, self.pick.phase,
            self.time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            f"{self.pick.probability:.3f}", f"{self.pick.spread_s:.3f}",
        ]  # fmt: skip


def of_stretch(stretch: Stretch, picks: Sequence[Pick]) -> list[StationPick]:
    """Those of a stretch that are its own and not those of the part of the record before or after."""
    wanted = {"P": VERTICAL, "S": HORIZONTAL}
    kept = []
    for pick in picks:
        if not stretch.keep_from_s <= pick.second < stretch.keep_to_s:
            continue
        codes = [code for code in stretch.components if code in wanted[pick.phase]] or list(stretch.components)
        channel = stretch.channel + (codes[0] if codes else "")
        kept.append(
            StationPick(stretch.network, stretch.station, stretch.location, channel, stretch.start + pick.second, pick)
        )
    return kept


def write_csv(path: Path, picks: Sequence[StationPick]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(pick.row() for pick in picks)


def write_quakeml(path: Path, picks: Sequence[StationPick], model: str) -> None:
    """QuakeML 1.2. Picks need an event to stand in; nothing is said of which belong together, so there is one for all.

    The identifiers follow from the picks: the same picks give the same bytes.
    """
    from obspy.core.event import (
        Catalog,
        Comment,
        CreationInfo,
        Event,
        QuantityError,
        ResourceIdentifier,
        WaveformStreamID,
    )
    from obspy.core.event import Pick as QuakePick

    def name(kind: str, *parts: object) -> Any:
        digest = hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:16]
        return ResourceIdentifier(f"smi:local/{kind}/{digest}")

    entries = []
    for each in picks:
        row = each.row()
        comment = Comment(text=f"probability={each.pick.probability:.3f}", resource_id=name("comment", *row))
        entries.append(
            QuakePick(
                resource_id=name("pick", *row),
                time=each.time,
                time_errors=QuantityError(uncertainty=round(each.pick.spread_s, 3), confidence_level=68.0),
                waveform_id=WaveformStreamID(each.network, each.station, each.location, each.channel),
                phase_hint=each.pick.phase,
                evaluation_mode="automatic",
                method_id=ResourceIdentifier(f"smi:local/{model}"),
                comments=[comment],
            )
        )
    everything = [field for each in picks for field in each.row()]
    event = Event(resource_id=name("event", *everything), picks=entries, creation_info=CreationInfo(author=model))
    catalogue = Catalog([event], resource_id=name("catalogue", *everything), creation_info=CreationInfo(author=model))
    catalogue.write(str(path), format="QUAKEML", validate=False)
