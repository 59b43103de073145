"""Records of ours as they are read back: whole, or refused with what is wrong with them.

A shape says what a reader relies on: the kind of a value, ``[shape]`` for a list of such values, a mapping for one with
at least these names; a name that ends in ``?`` may be absent or null. What stands beside is of no concern: later
versions may write more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from imaging.errors import StoredDataError
from imaging.shared_columns import IMAGE_METRICS
from imaging.store import Store

Shape = Any
"""``str``, ``int``, ``float``, ``bool``, ``dict``, ``list``, ``[shape]`` or ``{name: shape}``."""

OBJECT = {"key": str}
IMAGE = {
    "channel": str,
    "modified": float,
    "height": int,
    "width": int,
    "digest": str,
    "size_bytes?": int,
    "name?": str,
}
METRICS: Shape = {"channel": str} | {f"{column.name}?": float for column in IMAGE_METRICS}
PROVENANCE: Shape = {
    "started_at?": str,
    "seconds?": float,
    "cpu_seconds?": float,
    "machine_seconds?": float,
    "price_per_hour?": float,
    "cost?": float,
}
SITE: Shape = {
    "experiment": str,
    "plate": str,
    "well": str,
    "site": int,
    "content": str,
    "images": [IMAGE],
    "missing": [str],
    "duplicates": [{"name": str, "channel": str, "same_bytes": bool}],
    "image_metrics": [METRICS],
    "counts": {"Nuclei?": int, "Cells?": int},
    "part?": OBJECT,
    "image_part?": OBJECT,
    "zarr?": {"group": str, "objects": [OBJECT]},
    "provenance?": PROVENANCE,
}
"""The record of a finished or previewed site."""
PUBLICATION: Shape = {
    "number": int,
    "run": str,
    "status": str,
    "experiment": str,
    "plate": str,
    "recipe": str,
    "tables?": {"*": str},
    "manifests?": [str],
    "history?": [{"plate": str, "run": str}],
    "manifest_sums?": [str],
    "replaced?": [str],
    "compared?": [str],
    "illumination?": {"fields?": {"*": OBJECT}},
}
PINS: Shape = {"illumination?": {}, "recipe": str, "pixels": {}}
REASON: Shape = {"reason": str}
"""A fault, or the failure of a site."""
DECISION: Shape = {"well": str, "site": int, "channel": str, "by": str, "reason": str}
"""That an image is missing."""
FIELD: Shape = {"digest?": str, "field?": OBJECT}
"""What froze a plate's field of illumination."""
ACQUISITIONS: Shape = {
    "experiment": str,
    "barcode": str,
    "number": int,
    "plate": str,
    "reason": str,
    "decided_by": str,
    "decided_at": str,
    "rule?": str,
    "by_hand?": {"plate": str, "by": str, "because": str},
    "acquisitions": [{"plate": str, "status": str, "first_image_at?": float}],
}
"""Which acquisition of a barcode counts."""
SMALL = {"faults": REASON, "attempts": REASON, "decisions": DECISION}
"""Shapes of small records by their folder."""
_KINDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", dict: "names and values"}


def read_record(store: Store, key: str, shape: Shape, *, cure: str = "platestream repair mends it") -> dict[str, Any]:
    """Read a record of this shape.

    Parameters
    ----------
    store, key
        Where it is.
    shape
        What it has to hold.
    cure
        What to do where it does not, for the sentence.

    Raises
    ------
    FileNotFoundError
        If there is none.
    StoredDataError
        If it is no JSON, or not of this shape.
    """
    return parse_record(store.read(key), shape, key=key, cure=cure)


def read_small_record(store: Store, key: str) -> dict[str, Any]:
    """Read the record of a fault, a failure or a decision; its folder says which it is.

    Raises
    ------
    FileNotFoundError, StoredDataError
        As ``read_record``.
    """
    return read_record(store, key, SMALL[key.split("/")[-2]])


def parse_record(data: bytes, shape: Shape, *, key: str, cure: str) -> dict[str, Any]:
    """Read the bytes of a record; the rest is as ``read_record``.

    Raises
    ------
    StoredDataError
        If it is no JSON, or not of this shape.
    """
    try:
        record = json.loads(data, parse_constant=_refuse_constant)
        if b"\\u" in data:  # half of a sign, which could be written nowhere
            json.dumps(record, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise StoredDataError(f"the record is damaged: it is no JSON; {cure}", key=key) from error
    fault = find_fault(record, shape)
    if fault:
        raise StoredDataError(f"the record is damaged: {fault}; {cure}", key=key)
    return record


def _refuse_constant(name: str) -> None:
    """Our records hold no NaN and no infinity, which JSON does not know."""
    raise ValueError(f"{name} is no JSON")


def find_fault(value: Any, shape: Shape, place: str = "it") -> str:
    """What is wrong with a value of a record; empty if nothing is."""
    if isinstance(shape, Mapping):
        return _find_fault_of_names(value, shape, place)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{place} is no list"
        faults = (find_fault(item, shape[0], f"{place}[{number}]") for number, item in enumerate(value))
        return next((fault for fault in faults if fault), "")
    kinds = (int, float) if shape is float else shape
    is_right = isinstance(value, kinds) and (shape is bool or not isinstance(value, bool))
    is_right = is_right and not (isinstance(value, float) and not math.isfinite(value))
    return "" if is_right else f"{place} is not {_KINDS[shape]}"


def _find_fault_of_names(value: Any, shape: Mapping[str, Shape], place: str) -> str:
    if not isinstance(value, dict):
        return f"{place} holds no names and values"
    inside = "" if place == "it" else f"{place}."
    for name, inner in shape.items():
        plain = name.removesuffix("?")
        held = value.items() if name == "*" else ((plain, value.get(plain)),)
        for key, item in held:
            if item is None and name.endswith("?"):
                continue
            if key not in value:
                return f"{place} lacks {key}"
            if fault := find_fault(item, inner, f"{inside}{key[:60]!r}" if name == "*" else f"{inside}{key}"):
                return fault
    return ""
