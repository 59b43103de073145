"""How much of each feature's variance is the process: batch, plate, position, treatment, and what is left.

    y = mean + sum over factors of (effect of the well's level) + residual

Effects of a factor are random with one variance, its component; a plate counts within its batch. Components are
estimated by MINQUE with equal prior weights of all components (Rao 1971, J Multivar Anal 1:257; it is not SAS's
MIVQUE0, whose prior weights but the residual's are 0): with V = I + sum of Z Z' over the factors and P = V^-1 -
V^-1 1 (1'V^-1 1)^-1 1'V^-1, the forms y'P Z_i Z_i' P y equal their expectations, sum over j of tr(P V_i P V_j) s_j. It
is the first step of REML's scoring from equal components (Hocking and Kutner 1975), unbiased for any design, and the
analysis of variance where the design is balanced. The design is factorised once for all features; the factor with most
levels, mostly the treatment, is absorbed (Henderson's mixed model equations), so that treatments may be thousands.

A negative estimate is set to 0, which the column ``reason`` says; shares are of the sum of what is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.linalg
from scipy import sparse

from imaging.analyses.positions import name_edge
from imaging.analyses.profiles import Profiles
from imaging.declared import did_you_mean
from imaging.errors import ConfigurationError

FACTORS = ("batch", "plate", "row", "column", "treatment")
"""Factors of the usual report."""

RESIDUAL = "residual"
MOST_MISSING = 0.05
"""Features without a value in a greater share of the wells have no shares."""
MOST_PATTERNS = 32
"""So many sets of wells without a value have a factorisation of their own."""

_KEYS = {"plate": ("experiment", "batch", "plate"), "position": ("well",), "treatment": ("treatment", "concentration")}
_SAME = 1e-9
_BLOCK = 256


@dataclass(frozen=True)
class _Factor:
    """A factor's name, the level of each well, shape ``(wells,)``, and how many levels there are."""

    name: str
    levels: np.ndarray
    count: int


def share_variance(profiles: Profiles, factors: Sequence[str] = FACTORS) -> pd.DataFrame:
    """Share the variance of each feature among factors of the process and the treatment.

    Parameters
    ----------
    profiles
        Wells. Those of which a factor is not known (an empty text) and empty wells are left out.
    factors
        Columns of the wells. ``plate`` is the plate within its batch, ``treatment`` the treatment at its concentration,
        ``position`` the well's place on its plate, ``edge`` whether it is an outermost one of the plate.

    Returns
    -------
    One row per feature and factor, and per feature for the ``residual``: ``feature``, ``factor``, ``share`` from 0 to
    1, NaN where there is none, and ``reason``: why there is none, or what to know of it; ``""`` mostly. A well without
    a value is left out for that feature. From the 33rd different set of such wells on they stand at the feature's mean
    instead; a feature that more than 5 % of the wells lack has no share.

    Raises
    ------
    ConfigurationError
        If a factor is no column of the wells.
    """
    for name in factors:
        if name not in (*_KEYS, "edge", *profiles.wells.columns):
            hint = did_you_mean(name, ["edge", *_KEYS, *map(str, profiles.wells.columns)])
            raise ConfigurationError(f"variance cannot be shared by {name!r}: the wells have no such column; {hint}")
    order = profiles.wells.sort_values(["experiment", "batch", "plate", "well", "treatment"], kind="stable").index
    used = profiles.take(np.asarray(order))
    keys = {name: _key(used.wells, name) for name in factors}
    unknown = {name: np.array([key == ("",) for key in of_wells], dtype=bool) for name, of_wells in keys.items()}
    is_used = ~used.is_control("empty")
    for missing in unknown.values():
        is_used &= missing.all() | ~missing
    rows = np.flatnonzero(is_used)
    known = {name: [keys[name][row] for row in rows] for name in factors}
    shares, reasons = _share_all(used.values[rows], known)
    return _as_frame(profiles.features, (*factors, RESIDUAL), shares, reasons)


def _key(wells: pd.DataFrame, name: str) -> list[tuple[str, ...]]:
    """What the level of each well is called; ``("",)`` where it is not known."""
    if name == "edge":
        return [(text,) for text in name_edge(wells)]
    columns = _KEYS.get(name, (name,))
    texts = wells[list(columns)].astype(str).to_numpy()
    blank = (wells[columns[-1]] == "") if name == "plate" else (wells[columns[0]] == "") | wells[columns[0]].isna()
    return [("",) if empty else tuple(row) for row, empty in zip(texts, blank, strict=True)]


def _share_all(values: np.ndarray, keys: dict[str, list[tuple[str, ...]]]) -> tuple[np.ndarray, list[list[str]]]:
    """Shares, shape ``(features, factors + 1)``, and reasons of the same shape."""
    names = (*keys, RESIDUAL)
    shares = np.full((values.shape[1], len(names)), np.nan)
    reasons = [[""] * len(names) for _ in range(values.shape[1])]
    for wells, features, filled in _patterns(values):
        model = _Model([_factor(name, [keys[name][well] for well in wells]) for name in keys], len(wells))
        for begin in range(0, len(features), _BLOCK):
            block = features[begin : begin + _BLOCK]
            part, said = model.share(_filled(values[np.ix_(wells, block)]))
            shares[block] = part
            for feature, words in zip(block, said, strict=True):
                reasons[feature] = words
        for feature in features if filled else ():
            count = int(np.isnan(values[:, feature]).sum())
            note = f"{count} of {len(values)} wells have no value and stand at the feature's mean"
            reasons[feature] = [f"{words}; {note}" if words else note for words in reasons[feature]]
    few = np.isnan(values).mean(axis=0) > MOST_MISSING if len(values) else np.ones(values.shape[1], bool)
    for feature in np.flatnonzero(few):
        missing = int(np.isnan(values[:, feature]).sum())
        why = f"{missing} of {len(values)} wells have no value; at most {MOST_MISSING:.0%} may lack one"
        shares[feature], reasons[feature] = np.nan, [why if len(values) else "no well is left"] * len(names)
    return shares, reasons


def _patterns(values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
    """Wells and features that share one factorisation, and whether missing values are filled."""
    missing = np.isnan(values)
    usable = np.flatnonzero(missing.mean(axis=0) <= MOST_MISSING) if len(values) else np.array([], dtype=int)
    groups: dict[bytes, list[int]] = {}
    for feature in usable:
        groups.setdefault(np.packbits(missing[:, feature]).tobytes(), []).append(int(feature))
    ordered = sorted(groups.values(), key=lambda group: (-len(group), group[0]))
    for group in ordered[:MOST_PATTERNS]:
        yield np.flatnonzero(~missing[:, group[0]]), np.array(group), False
    if rest := sorted(feature for group in ordered[MOST_PATTERNS:] for feature in group):
        yield np.arange(len(values)), np.array(rest), True


def _filled(values: np.ndarray) -> np.ndarray:
    missing = np.isnan(values)
    return np.where(missing, np.nanmean(values, axis=0), values) if missing.any() else values


def _factor(name: str, keys: list[tuple[str, ...]]) -> _Factor:
    position = {key: place for place, key in enumerate(sorted(set(keys)))}
    return _Factor(name, np.array([position[key] for key in keys], dtype=np.int64), len(position))


class _Model:
    """A design, factorised: what quadratic forms of a feature's values are expected to be for given components."""

    def __init__(self, factors: Sequence[_Factor], wells: int) -> None:
        self._factors, self._wells = factors, wells
        largest = max(range(len(factors)), key=lambda i: factors[i].count, default=None)
        self._absorbed = factors[largest] if largest is not None else _Factor("", np.arange(wells) * 0, 0)
        self._others = [factor for factor in factors if factor is not self._absorbed]
        self._weights = self._count(self._absorbed)
        design = np.ones((wells, 1 + sum(factor.count for factor in self._others)))
        self._parts: list[slice] = []
        end = 1
        for factor in self._others:  # the mean is the first column: it has no variance of its own
            design[:, end : end + factor.count] = factor.levels[:, None] == np.arange(factor.count)
            self._parts.append(slice(end, end + factor.count))
            end += factor.count
        self._solved = self._solve(design)  # D^-1 F
        ridge = np.ones(design.shape[1])
        ridge[0] = 0
        cross = design.T @ self._solved
        self._inverse = scipy.linalg.inv(cross + np.diag(ridge))
        self._expected = self._expectations(cross, design)
        self._kept, self._why = self._separable()

    def share(self, values: np.ndarray) -> tuple[np.ndarray, list[list[str]]]:
        """Shares of features, values of shape ``(wells, features)``, with the words to each."""
        centred = values - values.mean(axis=0) if len(values) else values
        scale = np.sqrt((centred**2).mean(axis=0)) if len(values) else np.zeros(values.shape[1])
        is_flat = ~(scale > _SAME * np.abs(values).max(axis=0, initial=0))
        forms = self._forms(centred / np.where(is_flat, 1.0, scale))
        kept = self._kept
        components = np.zeros((values.shape[1], len(self._factors) + 1))
        if kept:
            solved = np.linalg.solve(self._expected[np.ix_(kept, kept)], forms[kept])
            components[:, kept] = solved.T
        negative = np.where(components < -_SAME, components, 0)
        components = np.clip(components, 0, None)
        total = components.sum(axis=1, keepdims=True)
        shares = np.divide(components, total, out=np.full_like(components, np.nan), where=total > 0)
        words = [[*self._why] for _ in range(values.shape[1])]
        for feature, place in zip(*np.nonzero(negative), strict=True):
            words[feature][place] = (
                f"the estimate is negative ({negative[feature, place]:.2g} of the variance), set to 0"
            )
        for feature in np.flatnonzero(is_flat):
            words[feature] = ["all wells have the same value"] * len(self._why)
        shares[is_flat] = np.nan
        shares[:, [place for place, why in enumerate(self._why) if why]] = np.nan
        return shares, words

    def _count(self, factor: _Factor) -> np.ndarray:
        return np.bincount(factor.levels, minlength=factor.count)[: factor.count].astype(float)

    def _sums(self, factor: _Factor, columns: np.ndarray) -> np.ndarray:
        """Z'x: sums of each column over the wells of each level."""
        places = (factor.levels, np.arange(len(columns)))
        return sparse.csr_array((np.ones(len(columns)), places), shape=(factor.count, len(columns))) @ columns

    def _solve(self, columns: np.ndarray) -> np.ndarray:
        """D^-1 x, with D = I + Z Z' of the absorbed factor."""
        if not self._absorbed.count:
            return columns
        sums = self._sums(self._absorbed, columns) / (1 + self._weights)[:, None]
        return columns - sums[self._absorbed.levels]

    def _forms(self, values: np.ndarray) -> np.ndarray:
        """Y'P V_i P y of each factor and the residual, shape ``(factors + 1, features)``."""
        inner = self._solve(values)
        inner = inner - self._solved @ (self._inverse @ (self._solved.T @ values))
        forms = [(self._sums(factor, inner) ** 2).sum(axis=0) for factor in self._factors]
        return np.array([*forms, (inner**2).sum(axis=0)])

    def _expectations(self, cross: np.ndarray, design: np.ndarray) -> np.ndarray:
        """tr(P V_i P V_j), shape ``(factors + 1, factors + 1)``, the residual last."""
        count = len(self._factors)
        inner = cross - cross @ self._inverse @ cross  # F'PF
        places = [factor for factor in self._factors if factor is not self._absorbed]
        position = {id(factor): self._factors.index(factor) for factor in self._factors}
        table = np.zeros((count + 1, count + 1))
        traces = np.zeros(count + 1)
        for a, part in zip(places, self._parts, strict=True):
            traces[position[id(a)]] = np.trace(inner[part, part])
            for b, other in zip(places, self._parts, strict=True):
                table[position[id(a)], position[id(b)]] = (inner[part, other] ** 2).sum()
        traces[count] = self._wells - (self._weights / (1 + self._weights)).sum()
        traces[count] -= (self._inverse * (self._solved.T @ self._solved)).sum()
        if count:
            self._add_absorbed(table, traces, cross, position)
        for i in range(count):  # P = P V P: what the factors leave of tr(P V_i) is the residual's
            table[i, count] = table[count, i] = traces[i] - table[i, :count].sum()
        table[count, count] = traces[count] - table[count, :count].sum()
        return table

    def _add_absorbed(self, table: np.ndarray, traces: np.ndarray, cross: np.ndarray, position: dict[int, int]) -> None:
        place = position[id(self._absorbed)]
        between = self._sums(self._absorbed, self._solved)  # Z'D^-1 F
        own = self._weights / (1 + self._weights)  # diagonal of Z'D^-1 Z
        reduced = between @ self._inverse
        removed = (reduced * between).sum(axis=1)
        gram = self._inverse @ (between.T @ between)
        table[place, place] = (own**2).sum() - 2 * (own * removed).sum() + (gram * gram.T).sum()
        traces[place] = own.sum() - removed.sum()
        mixed = between - reduced @ cross  # Z'PF
        for factor, part in zip(self._others, self._parts, strict=True):
            other = position[id(factor)]
            table[place, other] = table[other, place] = (mixed[:, part] ** 2).sum()

    def _separable(self) -> tuple[list[int], list[str]]:
        """Factors whose component can be told from those before them, and why the others cannot."""
        count = len(self._factors)
        why = [""] * (count + 1)
        kept = [count]
        for place, factor in enumerate(self._factors):
            if factor.count < 2:
                why[place] = f"all wells have the same {factor.name}"
            elif factor.count == self._wells:
                why[place] = f"every well has a {factor.name} of its own: it cannot be told from the residual"
            elif not self._is_new(kept, place):
                names = [self._factors[other].name for other in kept if other < count]
                why[place] = f"{factor.name} cannot be told from {' and '.join(names) or RESIDUAL} in these wells"
            else:
                kept.append(place)
        if self._wells <= 1 or self._expected[count, count] <= _SAME:
            return [], ["too few wells"] * (count + 1)
        return sorted(kept), why

    def _is_new(self, kept: list[int], place: int) -> bool:
        """Whether a factor's forms are no combination of those of the factors kept so far."""
        chosen = [*kept, place]
        table = self._expected[np.ix_(chosen, chosen)]
        root = np.sqrt(np.clip(np.diag(table), 1e-300, None))
        return bool(np.linalg.eigvalsh(table / np.outer(root, root))[0] > 1e-7)


def _as_frame(
    features: Sequence[str], names: Sequence[str], shares: np.ndarray, reasons: list[list[str]]
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "feature": np.repeat(np.array(features, dtype=object), len(names)),
            "factor": list(names) * len(features),
            "share": shares.ravel(),
            "reason": [words for row in reasons for words in row],
        }
    )
