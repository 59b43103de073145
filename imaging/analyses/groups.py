"""Groups of wells within which these are made comparable, and the wells that are the measure of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from imaging.analyses.profiles import GROUP_COLUMNS, NEGCON, Profiles
from imaging.errors import ConfigurationError

LEAST_MEASURES = 3
"""Wells that a centre and a spread need at least; of two the spread says next to nothing."""
_NAMED = 20


@dataclass(frozen=True, eq=False)
class MeasureGroup:
    """Wells of one group, and those of them that are its measure.

    Parameters
    ----------
    name
        In words: ``plate P1``, ``batch week 2``, ``plate P1 at time point 3``.
    rows
        Positions of the group's wells, sorted, shape ``(wells,)``, int.
    measures
        Positions of the wells that are the measure, shape ``(measures,)``, int.
    """

    name: str
    rows: np.ndarray
    measures: np.ndarray


def find_groups(profiles: Profiles, *, by: str, to: str, section: str) -> tuple[MeasureGroup, ...]:
    """Groups of wells with their measures, sorted by name.

    Parameters
    ----------
    profiles
        Wells.
    by
        ``plate``, ``batch`` or ``experiment``.
    to
        Which wells are the measure: ``negcon`` or ``all``; a well without any value is none.
    section
        Section of the recipe in messages.

    Raises
    ------
    ConfigurationError
        If groups have no negative controls, or fewer than `LEAST_MEASURES` measures; all groups in one sentence.
    """
    is_measure = np.asarray(~np.isnan(profiles.values).all(axis=1))
    if to == "negcon":
        is_measure &= profiles.is_control(NEGCON)
    groups = tuple(
        MeasureGroup(_name(by, key), rows, rows[is_measure[rows]]) for key, rows in profiles.groups(GROUP_COLUMNS[by])
    )
    _refuse_few(groups, by, to, section)
    return groups


def _name(by: str, key: tuple[object, ...]) -> str:
    """A group in words; the experiment is named only where nothing else is."""
    names = dict(zip(GROUP_COLUMNS[by], key, strict=True))
    name = f"{by} {names[by]}" if names[by] else f"{by} without a name"
    time_point = names["time_point"]
    later = isinstance(time_point, float) and time_point > 1
    return f"{name} at time point {time_point:g}" if later else name


def _refuse_few(groups: Sequence[MeasureGroup], by: str, to: str, section: str) -> None:
    wells = "negative controls" if to == "negcon" else "wells with values"
    without = [group.name for group in groups if not len(group.measures)]
    few = [f"{group.name} ({len(group.measures)})" for group in groups if 0 < len(group.measures) < LEAST_MEASURES]
    said = [f"no {wells} in {name_some(without)}"] if without else []
    said += [f"fewer than {LEAST_MEASURES} {wells} in {name_some(few)}"] if few else []
    if said:
        raise ConfigurationError(f"there are {', and '.join(said)}; {_cure(by, to, section)}")


def _cure(by: str, to: str, section: str) -> str:
    if to == "all":
        return "leave these wells out, or take a wider group (`by: experiment`)"
    declare = "say in the plate map which wells are (control: negcon)"
    if section == "normalize":
        return f"{declare}, or let all wells be the measure (`normalize: {{to: all}}`)"
    wider = "experiment" if by == "batch" else "batch"
    return f"{declare}, or correct within wider groups (`{section}: {{by: {wider}}}`), or not at all"


def name_some(names: Sequence[str], most: int = _NAMED) -> str:
    """Names in a sentence: ``a, b and 30 more``."""
    if len(names) <= most:
        return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def feature_blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Columns of an array of this shape, in blocks of about 2 MB that stay in the processor's cache when sorted."""
    width = max(64, 2**18 // max(shape[0], 1))
    return (slice(begin, min(begin + width, shape[1])) for begin in range(0, shape[1], width))
