"""Dispensing patterns: rows, columns and edges of a plate whose wells are unlike the others; the B-score.

    median polish    value = plate + row + column + residual, with medians taken off in turn (Tukey 1977, Exploratory
                     Data Analysis, chapter 11)
    B-score          residual over the plate's median absolute deviation of residuals x 1.4826 (Malo et al. 2006, Nat
                     Biotechnol 24:167, after Brideau et al. 2003, J Biomol Screen 8:634)

A line of m wells is suspected where its effect is beyond the limit in units of the standard error of a median, 1.2533 s
/ sqrt(m) with s the robust standard deviation of the residuals, and fails where hardly any way of putting the same
values into the plate's wells at random gives a line as unlike the rest: 0.2 % over all plates and summaries, so that
clean plates are quiet however many of their treatments do something. It is excluded where the difference is large, a
fifth of the cells or three spreads of a well; smaller ones are stated: B-scores take them off.

What treatments do is taken off first, as far as it is known: the median of the treatment's wells in other rows and
columns. Positive controls and empty wells are left out. A line whose wells hold the same on at least three other plates
is compared with those; else one that mostly holds one treatment, one dose or negative controls is not judged.

Looked at are the number of cells and the features, where there are few, or else the first three principal components of
the wells, each relative to its plate's wells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imaging.analyses.failures.finding import Failure, say_z
from imaging.analyses.failures.layout import Layout
from imaging.analyses.failures.limits import MEDIAN_TO_SD, chance_of, find_usual, limit_for
from imaging.analyses.failures.summaries import Summary
from imaging.analyses.profiles import Profiles
from imaging.statistics import MAD_TO_SD
from imaging.wells import row_name

FEWEST_LINES = 6
"""Plates with values in fewer rows or columns are not judged."""
FEWEST_IN_LINE = 5
_ROUNDS = 10
RARE = 0.002
"""Rate of alarms over all plates and summaries; below 1 %, as wells less their treatment are not quite exchangeable."""
_SHIFTED = 2.0
_SHUFFLES = 20_000
_AT_ONCE = 1000


@dataclass(frozen=True)
class Polished:
    """A plate after median polish: ``rows`` and ``columns`` are effects, ``residuals`` has the plate's shape."""

    overall: float
    rows: np.ndarray
    columns: np.ndarray
    residuals: np.ndarray


def polish_plate(grid: np.ndarray, *, rounds: int = _ROUNDS) -> Polished:
    """Take the medians of rows and columns off a plate, in turn.

    Parameters
    ----------
    grid
        Values, shape ``(rows, columns)``; NaN where a well has none.
    rounds
        Most times that rows and columns are gone over; it ends when nothing changes by 0.1 % of the spread.
    """
    residuals = np.array(grid, dtype=float)
    rows, columns, overall = np.zeros(grid.shape[0]), np.zeros(grid.shape[1]), 0.0
    enough = 1e-3 * find_usual(residuals.ravel()).sd
    for _ in range(rounds):
        of_rows = _medians(residuals, axis=1)
        residuals -= of_rows[:, None]
        rows += of_rows
        of_columns = _medians(residuals, axis=0)
        residuals -= of_columns[None, :]
        columns += of_columns
        if max(np.abs(of_rows).max(initial=0), np.abs(of_columns).max(initial=0)) <= enough:
            break
    for effects, axis in ((rows, 1), (columns, 0)):
        has_values = np.isfinite(residuals).any(axis=axis)
        shift = float(np.median(effects[has_values])) if has_values.any() else 0.0
        effects -= shift
        overall += shift
        effects[~has_values] = np.nan
    return Polished(overall, rows, columns, residuals)


def b_scores(grid: np.ndarray) -> np.ndarray:
    """B-scores of a plate's values, shape ``(rows, columns)``; NaN where there is no value, or no spread."""
    residuals = polish_plate(grid).residuals
    known = residuals[np.isfinite(residuals)]
    spread = MAD_TO_SD * float(np.median(np.abs(known - np.median(known)))) if len(known) else 0.0
    return residuals / spread if spread > 0 else np.full(grid.shape, np.nan)


def find_patterns(profiles: Profiles, summaries: Sequence[Summary], limit: float) -> Iterator[Failure]:
    """Find rows, columns and edges that are unlike the rest of their plate."""
    plates = profiles.groups(["experiment", "plate"])
    tests = max(1, len(plates) * len(summaries))
    layout = Layout(profiles)
    for summary in summaries:
        own = layout.without_treatment(summary.values)
        for (experiment, plate), rows in plates:
            apart = layout.grid(rows, layout.beyond_others(rows, summary.values))
            plain = layout.grid(rows, own[rows])
            repeated = layout.repeated(plain, apart)
            designed = layout.designed(rows)
            edge, absorbed = _edge(plain, designed, limit, tests, summary)
            if edge is not None:
                yield replace(edge, experiment=experiment, plate=plate)
            found = [
                *_lines(plain, ~designed & ~repeated, limit, tests, summary),
                *_lines(apart, repeated, limit, tests, summary),
            ]
            for axis, line, z, reach, evidence, is_large in found:
                if (axis, line) in absorbed:
                    continue
                name = row_name(line) if axis == 0 else str(line + 1)
                yield Failure(
                    experiment=experiment,
                    plate=plate,
                    level="row" if axis == 0 else "column",
                    rule="pattern",
                    evidence=evidence,
                    feature=summary.name,
                    value=z,
                    limit=float(np.sign(z) * reach),
                    row=name if axis == 0 else "",
                    column=line + 1 if axis == 1 else None,
                    excluded=is_large,
                    reason=(
                        f"the {'row' if axis == 0 else 'column'} was dispensed unlike the rest of the plate"
                        if is_large
                        else "the difference is stated; its wells stay"
                    ),
                )


_Line = tuple[int, int, float, float, str, bool]


def _lines(grid: np.ndarray, judged: np.ndarray, limit: float, tests: int, summary: Summary) -> Iterator[_Line]:
    """Axis, position, z, limit, evidence of lines beyond the limit and chance, and whether the difference is large."""
    known = np.isfinite(grid)
    height, width = int(known.any(axis=1).sum()), int(known.any(axis=0).sum())
    if height < FEWEST_LINES or width < FEWEST_LINES or not judged.any():
        return
    polished = polish_plate(grid)
    usual = find_usual(polished.residuals.ravel())
    if not usual.sd > 0:
        return
    sd = usual.sd * np.sqrt(height * width / ((height - 1) * (width - 1)))  # residuals are less by what was fitted
    reach = limit_for(limit, tests=40 * tests, n=usual.n)
    effects = np.concatenate([polished.rows, polished.columns])
    wells = np.concatenate([known.sum(axis=1), known.sum(axis=0)])
    z = effects / (MEDIAN_TO_SD * sd / np.sqrt(np.maximum(wells, 1)))
    suspects = np.flatnonzero(judged & (wells >= FEWEST_IN_LINE) & (np.abs(z) > reach))
    if not len(suspects):
        return
    chance = _chance(grid, judged & (wells >= FEWEST_IN_LINE), np.abs(effects[suspects]) * np.sqrt(wells[suspects]))
    for place, p in zip(suspects, chance, strict=True):
        if p <= RARE / tests:
            axis, line = (0, int(place)) if place < grid.shape[0] else (1, int(place) - grid.shape[0])
            what = f"row {row_name(line)}" if axis == 0 else f"column {line + 1}"
            said = f"the {wells[place]} wells of {what} are {summary.say(float(effects[place]))} in {summary.words}"
            far = f"{say_z(float(z[place]))} what the plate's other wells give (limit {reach:.1f})"
            yield axis, line, float(z[place]), reach, f"{said}, {far}", summary.is_large(float(effects[place]))


def _chance(grid: np.ndarray, judged: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """Chance that random layouts of the same values have a line as unlike the rest, for each effect x sqrt(wells)."""
    known = np.isfinite(grid)
    values = grid[known] - np.median(grid[known])
    rng = np.random.default_rng(0)
    greatest = np.empty(_SHUFFLES)
    for begin in range(0, _SHUFFLES, _AT_ONCE):
        count = min(_AT_ONCE, _SHUFFLES - begin)
        shuffled = np.full((count, *grid.shape), np.nan)
        shuffled[:, known] = rng.permuted(np.broadcast_to(values, (count, len(values))), axis=1)
        of_rows, of_columns = _line_medians(shuffled, 2), _line_medians(shuffled, 1)
        lines = np.concatenate([of_rows, of_columns], axis=1) * np.sqrt(
            np.concatenate([known.sum(axis=1), known.sum(axis=0)])
        )
        greatest[begin : begin + count] = np.abs(lines[:, judged]).max(axis=1)
    return np.array([chance_of(effect, greatest) for effect in effects])


def _line_medians(grids: np.ndarray, axis: int) -> np.ndarray:
    """Medians of lines of several grids; NaN, which sorts last, is left out; 0 where nothing is left."""
    ordered = np.sort(grids, axis=axis)
    count = np.isfinite(grids).sum(axis=axis, keepdims=True)
    low, high = np.maximum((count - 1) // 2, 0), count // 2
    middle = np.take_along_axis(ordered, low, axis) + np.take_along_axis(
        ordered, np.minimum(high, low + 1) * (count > 0), axis
    )
    return np.nan_to_num(middle.squeeze(axis) / 2)


def _edge(
    grid: np.ndarray, designed: np.ndarray, limit: float, tests: int, summary: Summary
) -> tuple[Failure | None, list[tuple[int, int]]]:
    """The outermost wells against the others, and the lines that they are; stated, and excluded by nobody.

    It takes two outermost lines that differ in the same direction; excluding them would cost a fifth of every plate.
    """
    height, width = grid.shape
    lines = [(0, 0), (0, height - 1), (1, 0), (1, width - 1)]
    places = {(axis, line): (line, slice(None)) if axis == 0 else (slice(None), line) for axis, line in lines}
    inner = grid.copy()
    for place in places.values():
        inner[place] = np.nan
    inside = inner[np.isfinite(inner)]
    usual = find_usual(inside)
    if len(inside) < 2 * FEWEST_IN_LINE or not usual.sd > 0:
        return None, []
    shifts = {}
    for (axis, line), place in places.items():
        known = grid[place][np.isfinite(grid[place])]
        if len(known) >= FEWEST_IN_LINE and not designed[line + (height if axis else 0)]:
            shifts[axis, line] = (np.median(known) - usual.median) / (MEDIAN_TO_SD * usual.sd / np.sqrt(len(known)))
    sign = np.sign(sum(shifts.values()))
    shifted = [key for key, z in shifts.items() if sign * z > _SHIFTED]
    edge = np.zeros(grid.shape, dtype=bool)
    for key in shifts:
        edge[places[key]] = True
    outside = grid[edge & np.isfinite(grid)]
    if len(shifted) < 2 or len(outside) < 2 * FEWEST_IN_LINE:
        return None, []
    difference = float(np.median(outside)) - usual.median
    error = MEDIAN_TO_SD * usual.sd * np.sqrt(1 / len(outside) + 1 / len(inside))
    z, reach = difference / error, limit_for(limit, tests=tests, n=len(inside))
    if abs(z) <= reach or _chance_of_edge(outside, inside, difference) > RARE / tests:
        return None, []
    said = f"the {len(outside)} wells at the edge are {summary.say(difference)} in {summary.words}"
    return Failure(
        experiment="",
        plate="",
        level="plate",
        rule="pattern",
        evidence=f"{said}, {say_z(z)} the plate's inner wells (limit {reach:.1f})",
        feature=summary.name,
        value=float(z),
        limit=float(np.sign(z) * reach),
        excluded=False,
        reason="an effect of the edge is stated; its wells stay",
    ), shifted


def _chance_of_edge(outside: np.ndarray, inside: np.ndarray, difference: float) -> float:
    """Chance that in random layouts of the same values the edge is as unlike the inner wells."""
    values, rng = np.concatenate([outside, inside]), np.random.default_rng(0)
    drawn = np.empty(_SHUFFLES)
    for begin in range(0, _SHUFFLES, _AT_ONCE):
        count = min(_AT_ONCE, _SHUFFLES - begin)
        shuffled = rng.permuted(np.broadcast_to(values, (count, len(values))), axis=1)
        apart = np.median(shuffled[:, : len(outside)], axis=1) - np.median(shuffled[:, len(outside) :], axis=1)
        drawn[begin : begin + count] = np.abs(apart)
    return chance_of(abs(difference), drawn)


def _medians(grid: np.ndarray, axis: int) -> np.ndarray:
    """Medians along an axis, 0 where a line has no value."""
    return _line_medians(grid[None], axis + 1)[0]
