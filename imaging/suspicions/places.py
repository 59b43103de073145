"""A plate that lies otherwise than its plate map says: rotated by 180 degrees, or shifted by a row or column.

Two sources of what should be where. Earlier plates tell, for each treatment and concentration, how bright and how full
its wells were; the plate's wells are correlated (Spearman) with that as the map has it, and as each change of place
would have it. Without such plates the map alone may tell: under the right change of place, treatments and doses explain
more of the wells' variance. Only a clear lead over the declared place counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imaging.platemaps import PlateMapRow
from imaging.suspicions.suspicion import Suspicion
from imaging.wells import PLATE_SHAPES, Well, parse_well

FEWEST_WELLS = 16
LEAST_CORRELATION = 0.5
"""What earlier plates must at least be met with, for a change of place to be told."""
LEAST_EXPLAINED = 0.3
"""Share of the variance that the map must at least explain."""
LEAST_Z = 3.5
"""How sure it must be that earlier plates are met better: z of the difference of two correlations."""
_BY_CHANCE = (5.0, 1.8)
"""Standard deviations of what so many groups explain by chance, that the map must at least explain, and lead by."""
_ALIKE = 0.005
_MOST_CORRELATION = 0.98

Values = Mapping[str, Mapping[str, float]]
"""Measure -> well -> value."""


@dataclass(frozen=True, slots=True)
class _Lead:
    """The best change of place: its score, that of the declared place, wells compared."""

    move: str
    score: float
    declared: float
    lead: float
    n_wells: int
    z: float = math.inf
    by_chance: float = 0.0


def label_of(row: PlateMapRow) -> str | None:
    """What a well was treated with, the same text for the same on any plate; ``None`` where the map says nothing."""
    if row.treatment is None and row.control is None:
        return None
    concentration = "" if row.concentration is None else f"{row.concentration:.6g}"
    control = row.control if row.control in ("negcon", "poscon", "empty") else ""
    return "|".join((control or "", row.treatment or "", concentration, row.concentration_unit or ""))


def changes_of_place(wells_of_plate: int, imaged: Sequence[str]) -> dict[str, dict[str, str]]:
    """For each change of place, which well of the map each imaged well then shows.

    Parameters
    ----------
    wells_of_plate
        Number of wells of the plate.
    imaged
        Names of the imaged wells.
    """
    rows, columns = PLATE_SHAPES[wells_of_plate]
    places = [parse_well(name) for name in imaged]
    if not places:
        return {}
    moves = {
        "rotated by 180 degrees": (rows - 1, columns + 1),
        "rotated by 180 degrees within the imaged wells": (
            min(item.row for item in places) + max(item.row for item in places),
            min(item.column for item in places) + max(item.column for item in places),
        ),
    }
    found = {}
    for name, (row_sum, column_sum) in moves.items():
        turned = {str(item): Well(row_sum - item.row, column_sum - item.column) for item in places}
        found[name] = {well: str(shown) for well, shown in turned.items()}
    if found["rotated by 180 degrees"] == found["rotated by 180 degrees within the imaged wells"]:
        del found["rotated by 180 degrees within the imaged wells"]
    shifts = {"down by a row": (1, 0), "up by a row": (-1, 0), "right by a column": (0, 1), "left by a column": (0, -1)}
    for name, (down, right) in shifts.items():
        shown = {str(item): (item.row - down, item.column - right) for item in places}
        found[f"shifted {name}"] = {
            well: str(Well(row, column))
            for well, (row, column) in shown.items()
            if 0 <= row < rows and 1 <= column <= columns
        }
    return found


def suspect_place(
    values: Values,
    rows: Mapping[str, PlateMapRow],
    wells_of_plate: int,
    expected: Values,
    *,
    moved_plate: float,
    moved_map: float,
    other_plates: int = 0,
) -> Suspicion | None:
    """Say whether the plate fits its map better in another place.

    Parameters
    ----------
    values
        What was measured of each well.
    rows
        What the plate map says of each well.
    wells_of_plate
        Number of wells of the plate.
    expected
        What earlier plates lead to expect, by measure and ``label_of`` a well; from ranks, so of any scale.
    moved_plate, moved_map
        Thresholds of the comparison with earlier plates and with the map alone; below 0 for off.
    other_plates
        Number of plates behind ``expected``.
    """
    moves = changes_of_place(wells_of_plate, sorted({well for by_well in values.values() for well in by_well}))
    labels = {well: label for well, row in rows.items() if (label := label_of(row)) is not None}
    if len(labels) < FEWEST_WELLS or not moves:
        return None
    if moved_plate >= 0 and (lead := _by_plates(values, labels, moves, expected)) is not None:
        is_clear = lead.lead >= moved_plate and lead.z >= LEAST_Z
        return _by_earlier_plates(lead, moved_plate, other_plates) if is_clear else None
    if moved_map >= 0 and (lead := _by_map(values, rows, moves)) is not None:
        threshold = max(moved_map, _BY_CHANCE[1] * lead.by_chance)
        return _by_map_alone(lead, threshold) if lead.lead >= threshold else None
    return None


def _by_earlier_plates(lead: _Lead, threshold: float, plates: int) -> Suspicion:
    evidence = (
        f"its {lead.n_wells} wells agree with what their treatments gave on {plates} earlier "
        f"plate{'s' if plates != 1 else ''} at a rank correlation of {lead.declared:.2f}, and of {lead.score:.2f} if "
        f"the plate lies {lead.move}; was it put into the reader, or mapped, that way?"
    )
    return Suspicion("moved plate", lead.move, evidence, lead.lead, threshold)


def _by_map_alone(lead: _Lead, threshold: float) -> Suspicion:
    evidence = (
        f"treatments and doses of the plate map explain {100 * lead.declared:.0f} % of the variance of {lead.n_wells} "
        f"wells, and {100 * lead.score:.0f} % if the plate lies {lead.move}; was it put into the reader, or mapped, "
        "that way?"
    )
    return Suspicion("moved plate", lead.move, evidence, lead.lead, threshold)


def _by_plates(
    values: Values, labels: Mapping[str, str], moves: Mapping[str, Mapping[str, str]], expected: Values
) -> _Lead | None:
    """The change of place that earlier plates speak for most; ``None`` where they say nothing."""
    found = []
    for name, move in moves.items():
        compared = [
            item
            for measure, by_well in values.items()
            if (item := _compare(name, by_well, labels, move, expected.get(measure, {}))) is not None
        ]
        if compared:
            found.append(_average(name, compared))
    return _best(found)


def _compare(
    name: str,
    by_well: Mapping[str, float],
    labels: Mapping[str, str],
    move: Mapping[str, str],
    known: Mapping[str, float],
) -> _Lead | None:
    """How much better wells agree with what earlier plates gave if the plate lies otherwise.

    ``None`` where too few wells can be compared both ways, all are alike, or neither way agrees. The z is that of the
    difference of two correlations with one and the same (Meng, Rosenthal and Rubin 1992, Psychological Bulletin
    111:172).
    """
    expected = {well: known[label] for well, label in labels.items() if label in known}
    triples = [
        (value, expected[move[well]], expected[well])
        for well, value in by_well.items()
        if well in expected and move.get(well) in expected
    ]
    if len(triples) < FEWEST_WELLS:
        return None
    ranks = [rank_values(column) for column in zip(*triples, strict=True)]
    if any(np.ptp(column) == 0 for column in ranks):
        return None
    correlations = np.corrcoef(ranks)
    moved, declared, between = float(correlations[0, 1]), float(correlations[0, 2]), float(correlations[1, 2])
    if max(moved, declared) < LEAST_CORRELATION:
        return None
    lead = _fisher(moved) - _fisher(declared)
    square = min((moved**2 + declared**2) / 2, _MOST_CORRELATION**2)
    f = min((1 - between) / (2 * (1 - square)), 1.0)
    h = (1 - f * square) / (1 - square)
    spread = math.sqrt(2 * max(1 - between, 1e-9) * h / (len(triples) - 3))
    return _Lead(name, moved, declared, lead, len(triples), lead / spread)


def _best(leads: Sequence[_Lead]) -> _Lead | None:
    """The greatest lead; changes of place that fit equally well, as on a symmetrical map, are named together."""
    best = max(leads, key=lambda item: item.lead, default=None)
    if best is None:
        return None
    alike = [item.move for item in leads if best.lead - item.lead < _ALIKE]
    return replace(best, move=" or ".join(alike))


def _average(name: str, leads: Sequence[_Lead]) -> _Lead:
    """What several measures say together."""
    scores, declared, gaps, zs = zip(*((item.score, item.declared, item.lead, item.z) for item in leads), strict=True)
    return _Lead(
        name,
        float(np.mean(scores)),
        float(np.mean(declared)),
        float(np.mean(gaps)),
        min(item.n_wells for item in leads),
        float(np.mean(zs)),
        max(item.by_chance for item in leads),
    )


def rank_values(values: Sequence[float]) -> np.ndarray:
    """Ranks of values from 0 to 1, shape ``(n,)``; equal values share their mean rank."""
    _, places, counts = np.unique(np.asarray(values, float), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - (counts + 1) / 2)[places]) / max(len(values) - 1, 1)


def _fisher(correlation: float) -> float:
    return math.atanh(max(-_MOST_CORRELATION, min(_MOST_CORRELATION, correlation)))


def _by_map(values: Values, rows: Mapping[str, PlateMapRow], moves: Mapping[str, Mapping[str, str]]) -> _Lead | None:
    """The change of place under which the map explains most of the wells' variance."""
    found = []
    for name, move in moves.items():
        compared = []
        for by_well in values.values():
            declared, moved = _explain(by_well, rows, None), _explain(by_well, rows, move)
            if declared is None or moved is None:
                continue
            share, n_wells, by_chance = moved
            if max(declared[0], share) >= max(LEAST_EXPLAINED, _BY_CHANCE[0] * by_chance):
                lead = share - declared[0]
                compared.append(_Lead(name, share, declared[0], lead, n_wells, by_chance=by_chance))
        if compared:
            found.append(_average(name, compared))
    return _best(found)


def _explain(
    by_well: Mapping[str, float], rows: Mapping[str, PlateMapRow], move: Mapping[str, str] | None
) -> tuple[float, int, float] | None:
    """Share of the variance of ranks that treatments explain, with a line through the log doses of each of 4 or more.

    The adjusted R squared: what so many groups explain by chance is taken off. Then the number of wells, and the
    standard deviation that it has by chance (of a Beta distribution).
    """
    shown = move if move is not None else {well: well for well in by_well}
    groups: dict[str, list[tuple[float, float]]] = {}
    placed = [(well, value) for well, value in by_well.items() if well in shown and shown[well] in rows]
    if len(placed) < FEWEST_WELLS:
        return None
    ranks = rank_values([value for _, value in placed])
    for (well, _), rank in zip(placed, ranks, strict=True):
        row = rows[shown[well]]
        group = row.control if row.control in ("negcon", "poscon", "empty") else row.treatment
        if group is not None:
            dose = math.log10(row.concentration) if row.concentration and row.concentration > 0 else math.nan
            groups.setdefault(group, []).append((rank, dose))
    kept = [np.array(group) for group in groups.values() if len(group) > 1]
    if len(kept) < 2:
        return None
    residuals, parameters = zip(*(_fit(group) for group in kept), strict=True)
    all_ranks = np.concatenate([group[:, 0] for group in kept])
    n, k = len(all_ranks), sum(parameters)
    total = float(((all_ranks - all_ranks.mean()) ** 2).sum())
    if n < FEWEST_WELLS or n <= k or total == 0:
        return None
    by_chance = math.sqrt(2 * (k - 1) / ((n - k) * (n + 1)))
    return 1 - (sum(residuals) / (n - k)) / (total / (n - 1)), n, by_chance


def _fit(group: np.ndarray) -> tuple[float, int]:
    """Sum of squares that a group leaves, and the parameters that it took."""
    ranks, doses = group[:, 0] - group[:, 0].mean(), group[:, 1]
    if len(group) < 4 or np.isnan(doses).any() or np.ptp(doses) == 0:
        return float((ranks**2).sum()), 1
    doses = doses - doses.mean()
    slope = float((doses * ranks).sum() / (doses**2).sum())
    return float(((ranks - slope * doses) ** 2).sum()), 2
