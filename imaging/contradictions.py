"""Faults of an experiment that lie between its parts: names that refer to nothing, counts that cannot be.

They are looked for in the tree as it was written, so that a fault in one part does not hide those of another. Each
check takes the tree and yields places with sentences.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from imaging.declared import Fault, did_you_mean
from imaging.feature_names import find_feature_faults
from imaging.illumination import find_illumination_faults
from imaging.layouts import Layout
from imaging.names import EXPERIMENTAL
from imaging.patterns import compile_pattern
from imaging.plain_yaml import Place
from imaging.recipes import take_preset
from imaging.rules import COUNTS
from imaging.wells import PLATE_SHAPES, Well, expand_wells

Tree = dict[str, Any]

PATTERN_GROUPS = ("well", "row", "column", "site", "channel", "z", "t")
_HINT = r"; a pattern that works: '(?P<well>[A-P]\d\d)_s(?P<site>\d+)_(?P<channel>\w+)\.tif'"


def find_contradictions(tree: Tree) -> list[Fault]:
    """Every contradiction in an experiment's tree, each with its place."""
    if isinstance(tree.get("recipe"), dict):
        tree = tree | {"recipe": take_preset(tree["recipe"])}
    checks = (
        _channels,
        _layout,
        _pattern,
        _recipe,
        _limits,
        _outliers,
        find_feature_faults,
        _plates,
        find_illumination_faults,
    )
    return [fault for check in checks for fault in check(tree)]


def _channels(tree: Tree) -> Iterator[Fault]:
    entries = _mappings(tree, "channels")
    if tree.get("channels") == []:
        yield ("channels",), "must not be empty; list the channels"
    for key, spelling in (("name", str.casefold), ("code", str)):
        seen: dict[str, int] = {}
        for number, entry in enumerate(entries):
            text = entry.get(key, entry.get("name") if key == "code" else None)
            if not isinstance(text, str):
                continue
            if (folded := spelling(text)) in seen:
                yield ("channels", number, key), f"{text!r} is channel {seen[folded] + 1}'s {key} too; give each one"
            seen.setdefault(folded, number)
    for role in ("nucleus", "cell"):
        numbers = [number for number, entry in enumerate(entries) if entry.get("role") == role]
        for number in numbers[1:]:
            yield (
                ("channels", number, "role"),
                f"channel {numbers[0] + 1} is the {role} channel already; one can be, mark the others as other",
            )


def _layout(tree: Tree) -> Iterator[Fault]:
    layout = tree.get("layout")
    if not isinstance(layout, dict):
        return
    imaged = layout.get("imaged")
    if imaged == []:
        yield ("layout", "imaged"), "is an empty list; leave it out when all wells are imaged"
    shape = PLATE_SHAPES.get(_whole(layout.get("wells")))
    for number, text in enumerate(imaged if isinstance(imaged, list) else [imaged]):
        place = ("layout", "imaged", number) if isinstance(imaged, list) else ("layout", "imaged")
        if not isinstance(text, str):
            continue
        try:
            wells = expand_wells(text)
        except ValueError as error:
            yield place, str(error)
            continue
        if shape and any(well.row >= shape[0] or well.column > shape[1] for well in wells):
            last = Well(shape[0] - 1, shape[1])
            yield place, f"{text} lies outside a plate of {layout['wells']} wells (A01-{last})"


def _pattern(tree: Tree) -> Iterator[Fault]:
    files = tree.get("files")
    pattern = files.get("pattern") if isinstance(files, dict) else None
    if not isinstance(pattern, str):
        return
    place = ("files", "pattern")
    try:
        groups = set(compile_pattern(pattern).groupindex)
    except ValueError as error:
        yield place, str(error)
        return
    for group in sorted(groups - set(PATTERN_GROUPS)):
        yield place, f"the group {group!r} is not known; {did_you_mean(group, PATTERN_GROUPS)}"
    if "well" in groups and groups & {"row", "column"}:
        yield place, "has the group well beside row and column; keep the one or the two"
    elif "well" not in groups and not groups >= {"row", "column"}:
        yield place, f"needs the group (?P<well>...), or (?P<row>...) and (?P<column>...){_HINT}"
    if "channel" not in groups and len(_mappings(tree, "channels")) > 1:
        yield place, f"needs the group (?P<channel>...), as there is more than one channel{_HINT}"
    layout = _sound_layout(tree)
    for group, name in (("t", "time_points"), ("z", "z")):
        if group not in groups and layout is not None and getattr(layout, name) not in (None, 1, (1,)):
            yield place, f"needs the group (?P<{group}>...), as layout.{name} is not 1{_HINT}"
    if "site" not in groups and layout is not None and layout.sites != (1,):
        yield place, f"needs the group (?P<site>...), as layout.sites is not 1{_HINT}"


def _recipe(tree: Tree) -> Iterator[Fault]:
    recipe = tree.get("recipe")
    if not isinstance(recipe, dict):
        return
    if _text(recipe, "name").endswith(EXPERIMENTAL):
        yield ("recipe", "name"), f"must not end with {EXPERIMENTAL}, as recipes of uploads do; choose another"
    entries = _mappings(tree, "channels")
    for part, role in (("nuclei", "nucleus"), ("cells", "cell")):
        settings = recipe.get(part)
        if not isinstance(settings, dict):
            continue
        named = settings.get("channel")
        marked = [_text(entry, "name") for entry in entries if entry.get("role") == role]
        yield from _channel_reference(tree, ("recipe", part, "channel"), named)
        if part == "nuclei" and named is None and not marked:
            yield ("recipe", part), "needs a channel: give `channel`, or one channel the role nucleus"
        if isinstance(named, str) and marked and named not in marked and named in _channel_names(tree):
            yield ("recipe", part, "channel"), f"is {named!r}, but {marked[0]!r} has the role {role}; name one"
        for length in ("diameter", "smoothing", "expansion"):
            if settings.get(f"{length}_um") is not None and _lacks_pixel_size(tree):
                yield ("recipe", part, f"{length}_um"), f"needs layout.pixel_size_um; give it, or use {length}_px"
    if isinstance(recipe.get("cells"), dict) and not isinstance(recipe.get("nuclei"), dict):
        yield ("recipe", "cells"), "needs recipe.nuclei, as cells are grown from nuclei"


def _limits(tree: Tree) -> Iterator[Fault]:
    analysis = tree.get("analysis")
    entries = _mappings(analysis, "limits") if isinstance(analysis, dict) else []
    for number, entry in enumerate(entries):
        place = ("analysis", "limits", number)
        yield from _channel_reference(tree, (*place, "channel"), entry.get("channel"))
        if not entry:
            continue
        bounds = {key: _number(entry.get(key)) for key in ("warn_below", "warn_above", "fail_below", "fail_above")}
        if all(value is None for value in bounds.values()):
            yield place, "sets no limit; give warn_below, warn_above, fail_below or fail_above"
        for side, sign in (("below", 1), ("above", -1)):
            warn, fail = bounds[f"warn_{side}"], bounds[f"fail_{side}"]
            if warn is not None and fail is not None and sign * fail > sign * warn:
                yield place, f"fails ({fail:g}) before it warns ({warn:g}) {side}; swap fail_{side} and warn_{side}"


def _outliers(tree: Tree) -> Iterator[Fault]:
    analysis, recipe = tree.get("analysis"), tree.get("recipe")
    entries = _mappings(analysis, "outliers") if isinstance(analysis, dict) else []
    has_objects = isinstance(recipe, dict) and recipe.get("nuclei") is not None
    seen: dict[tuple[str, ...], int] = {}
    for number, entry in enumerate(entries):
        place = ("analysis", "outliers", number)
        metric, channel = entry.get("metric"), entry.get("channel")
        yield from _channel_reference(tree, (*place, "channel"), channel)
        if not entry:
            continue
        warn, fail = _number(entry.get("warn_z")), _number(entry.get("fail_z"))
        if entry.get("warn_z") is None and entry.get("fail_z") is None:
            yield place, "sets no limit; give warn_z or fail_z, such as warn_z: 5"
        if warn is not None and fail is not None and fail < warn:
            yield place, f"fails ({fail:g}) before it warns ({warn:g}); swap fail_z and warn_z"
        if metric in COUNTS and channel is not None:
            yield (*place, "channel"), f"{metric} is counted per site, not per channel; leave the channel out"
        if metric in COUNTS and not has_objects:
            yield (*place, "metric"), f"{metric!r} needs objects; give recipe.nuclei"
        given = {"metric": "", "channel": "", "against": "plate", "side": "both"}
        same = tuple(_text(entry, key) or default for key, default in given.items())
        if same[0] and same in seen:
            yield place, f"is the same rule as analysis.outliers[{seen[same]}]; keep one"
        seen.setdefault(same, number)


def _plates(tree: Tree) -> Iterator[Fault]:
    plates = tree.get("plates")
    names = plates if isinstance(plates, list) else []
    for number, name in enumerate(names):
        if name in names[:number]:
            yield ("plates", number), f"{name!r} is listed twice; keep one"


def _channel_reference(tree: Tree, place: Place, name: Any) -> Iterator[Fault]:
    names = _channel_names(tree)
    if isinstance(name, str) and name not in names:
        yield place, f"{name!r} is not among the channels; {did_you_mean(name, names)}"


def _channel_names(tree: Tree) -> list[str]:
    return [name for entry in _mappings(tree, "channels") if (name := _text(entry, "name"))]


def _sound_layout(tree: Tree) -> Layout | None:
    try:
        return Layout.model_validate(tree.get("layout"))
    except ValidationError:
        return None


def _lacks_pixel_size(tree: Tree) -> bool:
    layout = tree.get("layout")
    return not (isinstance(layout, dict) and layout.get("pixel_size_um") is not None)


def _mappings(tree: Tree, key: str) -> list[Tree]:
    """The entries of a list of mappings, by position; anything else counts as an empty mapping."""
    entries = tree.get(key)
    return [entry if isinstance(entry, dict) else {} for entry in entries] if isinstance(entries, list) else []


def _text(entry: Tree, key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _whole(value: Any) -> int:
    number = _number(value)
    return int(number) if number is not None and number.is_integer() else 0
