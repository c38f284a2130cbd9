"""Which unit a file's coordinates are in: metres a unit, across and up, from its coordinate reference system."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from hive_runner.errors import InputError

from .las import GEODOUBLES_VLR, GEOKEYS_VLR, WKT_VLR, LasFile

METRES = {"m": 1.0, "ft": 0.3048, "us-ft": 1200 / 3937}
GEO_UNITS = {9001: 1.0, 9002: 0.3048, 9003: 1200 / 3937}  # EPSG codes of linear units, as in GeoTIFF keys
USER_DEFINED = 32767


@dataclass(frozen=True)
class Units:
    """How to make metres of coordinates, and how sure that is."""

    name: str  # of the CRS, "" if the file has none
    horizontal_m: float
    vertical_m: float
    warnings: tuple[str, ...] = ()


def units_of(las: LasFile, override: str = "auto") -> Units:
    """Units of a file. `override`: "auto", or what the user says the coordinates are in ("m", "ft", "us-ft").

    Raises InputError for degrees: nothing here works on a sphere.
    """
    crs, keys = _wkt(las), _geokeys(las)
    if crs is None and keys:
        crs = _from_keys(keys)
    name = crs.name if crs is not None else ""
    if override != "auto":
        if override not in METRES:
            raise InputError(f"'{override}' is not a unit", "auto, m, ft and us-ft are known", "give --units m")
        return Units(name, METRES[override], METRES[override])
    if crs is None and keys.get(1024) == 1 and keys.get(3076) in GEO_UNITS:  # user-defined, with its unit
        horizontal = GEO_UNITS[keys[3076]]
        return Units("user-defined", horizontal, _vertical(keys, None) or horizontal)
    if crs is None:
        if keys.get(1024) == 2 or _looks_like_degrees(las):
            raise _degrees(las, "its coordinates are longitudes and latitudes")
        return Units("", 1.0, 1.0, ("no coordinate system in the file: metres are assumed (or give --units)",))
    horizontal_crs = _parts(crs)[0]
    if horizontal_crs.is_geographic:
        raise _degrees(las, f"its coordinate system is {name}")
    if horizontal_crs.is_geocentric:
        raise _degrees(las, f"its coordinate system is geocentric ({name}): up is no axis of it")
    axes = horizontal_crs.axis_info
    horizontal = float(axes[0].unit_conversion_factor) if axes else 1.0
    vertical = _vertical(keys, crs)
    warnings = []
    if horizontal != 1.0:
        warnings.append(f"coordinates are in {axes[0].unit_name}: metres for the model, unchanged in the file")
        if vertical is None:
            warnings.append(f"the file does not say the unit of its heights: {axes[0].unit_name} is assumed as well")
    return Units(name, horizontal, horizontal if vertical is None else vertical, tuple(warnings))


def _parts(crs: Any) -> tuple[Any, Any]:
    """Horizontal and vertical part of a pyproj CRS; the vertical one may be None."""
    if crs.is_bound:
        crs = crs.source_crs
    if crs.is_compound:
        horizontal, vertical = crs.sub_crs_list[0], crs.sub_crs_list[1]
        return (horizontal.source_crs if horizontal.is_bound else horizontal), vertical
    return crs, None


def _vertical(keys: dict[int, int], crs: Any) -> float | None:
    """Metres a unit of height, or None if nothing says so."""
    if crs is not None:
        horizontal, vertical = _parts(crs)
        if vertical is not None and vertical.axis_info:
            return float(vertical.axis_info[0].unit_conversion_factor)
        if len(horizontal.axis_info) == 3:
            return float(horizontal.axis_info[2].unit_conversion_factor)
    if keys.get(4099) in GEO_UNITS:
        return GEO_UNITS[keys[4099]]
    vertical = _epsg(keys.get(4096, 0))
    return float(vertical.axis_info[0].unit_conversion_factor) if vertical is not None and vertical.axis_info else None


def _wkt(las: LasFile) -> Any:
    """The CRS of the WKT record, or None."""
    payload = las.payload(WKT_VLR)
    text = payload.split(b"\0")[0].decode("utf-8", "replace").strip() if payload else ""
    if not text:
        return None
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_wkt(text)
    except CRSError:
        return None


def _geokeys(las: LasFile) -> dict[int, int]:
    """Short-valued GeoTIFF keys; a linear unit given by its size comes back as 3076 if it is a known one."""
    payload = las.payload(GEOKEYS_VLR)
    if payload is None or len(payload) < 8:
        return {}
    count = min(struct.unpack_from("<H", payload, 6)[0], len(payload) // 8 - 1)
    entries = [struct.unpack_from("<4H", payload, 8 + 8 * index) for index in range(count)]
    keys = {key: value for key, location, _, value in entries if location == 0}
    doubles = las.payload(GEODOUBLES_VLR) or b""
    for key, location, _, index in entries:
        if key == 3077 and location == 34736 and len(doubles) >= 8 * index + 8:
            size = struct.unpack_from("<d", doubles, 8 * index)[0]
            keys[3076] = next((code for code, metres in GEO_UNITS.items() if abs(metres - size) < 1e-8), 0)
    return keys


def _from_keys(keys: dict[int, int]) -> Any:
    return _epsg(keys.get(3072, 0)) or (_epsg(keys.get(2048, 0)) if keys.get(1024) == 2 else None)


def _epsg(code: int) -> Any:
    if code in (0, USER_DEFINED):
        return None
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_epsg(code)
    except CRSError:
        return None


def _looks_like_degrees(las: LasFile) -> bool:
    """A small box within the globe's degrees, in steps that are fine even for degrees."""
    low_x, low_y, _, high_x, high_y, _ = las.box
    inside = -180 <= low_x <= high_x <= 180 and -90 <= low_y <= high_y <= 90
    return inside and 0 < high_x - low_x < 2 and 0 < high_y - low_y < 2 and las.scales[0] < 1e-4


def _degrees(las: LasFile, why: str) -> InputError:
    return InputError(
        f"{las.path.name} is not in a projected coordinate system",
        why,
        "reproject it first, e.g. pdal translate in.laz out.laz reprojection --filters.reprojection.out_srs=EPSG:32631",
    )
