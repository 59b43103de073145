"""Tests by exchange: how extreme a treatment's wells are among all groups of as many wells of the same plates.

If a treatment does nothing, its wells and the negative controls of their plates are alike, and any wells of a plate
could as well have been the treated ones. A statistic that treats all wells of the pool alike then has an exact
p-value from groups drawn within plates (Pitman 1937; Phipson and Smyth, Stat Appl Genet Mol Biol 2010, for the + 1):
with few controls, heavy tails, correlated features and effects of plates as well. Everything that looks at who is a
control before the exchange, such as centring on the controls, would break this; so a pool is centred and scaled by
all its wells.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import os
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from threadpoolctl import threadpool_limits

from imaging.analyses.profiles import NEGCON, Profiles
from imaging.analyses.recipe import ANALYSIS_NUMBERS_VERSION

MOST_CONTROLS = 256
"""Controls that a pool has at most, shared evenly between its plates: more add time, hardly power."""
PORTION = 1_000
"""Groups drawn at a time."""
ENOUGH = 100
"""Draws at least as extreme as the treatment after which its p-value is known well enough."""
FEW = 10
"""Draws at least as extreme as the treatment up to which its p-value is hardly known."""
MOST_DRAWS = 1_000_000
_MOST_THREADS = 16

Statistic = Callable[[np.ndarray], np.ndarray]
"""Groups of rows of a pool, shape ``(groups, wells)`` int32, in; one number each, the greater the more extreme, out."""

_remembered: ContextVar[MutableMapping[str, float] | None] = ContextVar("remembered", default=None)


@dataclass(frozen=True, eq=False)
class ExchangeTest:
    """What pools are tested for.

    Parameters
    ----------
    name
        Tells it from other tests of the same values.
    values
        What the statistic is made of, shape ``(profiles, ...)``.
    statistic
        Makes the statistic of a pool from these values.
    """

    name: str
    values: np.ndarray
    statistic: Callable[[Pool, np.ndarray], Statistic]

    def identify(self, pool: Pool, *, count: int, seed: int) -> str:
        """Name of a p-value: the hash of all that it depends on."""
        known = hashlib.blake2b(digest_size=16)
        known.update(repr((ANALYSIS_NUMBERS_VERSION, self.name, pool.plates, count, seed)).encode())
        known.update(np.ascontiguousarray(self.values[pool.rows]).tobytes())
        return known.hexdigest()


@contextlib.contextmanager
def remembering(p_values: MutableMapping[str, float]) -> Iterator[None]:
    """In the block take p-values that are known by `ExchangeTest.identify`, and add those that are not.

    A plate that is added to an experiment then costs the tests of its own treatments.
    """
    token = _remembered.set(p_values)
    try:
        yield
    finally:
        _remembered.reset(token)


@dataclass(frozen=True, eq=False)
class Pool:
    """The wells of one treatment with the negative controls of their plates.

    Parameters
    ----------
    rows
        Positions in the profiles, plate by plate, in each the controls before the treated wells.
    plates
        Of each plate how many wells the pool has of it, and how many of them, its last, are treated.
    """

    rows: np.ndarray
    plates: tuple[tuple[int, int], ...]

    @property
    def treated(self) -> np.ndarray:
        """Places of the treated wells in the pool, shape ``(1, wells)``, int32."""
        ends = itertools.accumulate(n for n, _ in self.plates)
        places = [range(end - k, end) for end, (_, k) in zip(ends, self.plates, strict=True)]
        return np.array([list(itertools.chain(*places))], np.int32)

    @property
    def controls(self) -> np.ndarray:
        """Which wells of the pool are controls, shape ``(wells,)``, bool."""
        mask = np.ones(len(self.rows), bool)
        mask[self.treated[0]] = False
        return mask

    def standardize(self, values: np.ndarray) -> np.ndarray:
        """Centre each plate's wells on their mean and scale them by their deviation, controls and treated alike.

        Parameters
        ----------
        values
            All profiles, shape ``(profiles, features)``.

        Returns
        -------
        Shape ``(wells, features)``; 0 where a well has no value or all wells of the plate are equal: it then says
        nothing for or against anybody.
        """
        pool = values[self.rows]
        begin = 0
        for count, _ in self.plates:
            pool[begin : begin + count] = _standardize(pool[begin : begin + count])
            begin += count
        return pool


def _standardize(wells: np.ndarray) -> np.ndarray:
    has_value = np.isfinite(wells)
    is_whole = bool(has_value.all())
    known = np.maximum(has_value.sum(axis=0), 1)
    filled = wells if is_whole else np.where(has_value, wells, 0.0)
    centred = filled - filled.sum(axis=0) / known
    if not is_whole:
        centred[~has_value] = 0.0
    deviation = np.sqrt((centred**2).sum(axis=0) / known)
    size = np.maximum(filled.max(axis=0, initial=0), -filled.min(axis=0, initial=0))
    is_flat = deviation <= 1e-9 * size  # rounding of equal values is no spread
    centred /= np.where(is_flat, 1.0, deviation)
    if is_flat.any():
        centred[:, is_flat] = 0.0
    return centred


def gather_pools(
    profiles: Profiles, groups: Sequence[np.ndarray], *, reference: np.ndarray | None = None
) -> list[Pool]:
    """Gather the pool of each treatment; wells on plates without negative controls are left out of it.

    Parameters
    ----------
    groups
        Positions of each treatment's wells.
    reference
        Which negative controls count, shape ``(profiles,)``, bool; all of them if ``None``.
    """
    is_control = profiles.is_control(NEGCON)
    if reference is not None:
        is_control = is_control & reference
    plates = plate_codes(profiles)
    order = well_order(profiles)
    controls = _by_plate(np.flatnonzero(is_control), plates, order)
    pools = []
    for rows in groups:
        of = {p: wells for p, wells in _by_plate(rows, plates, order).items() if p in controls}
        most = max(MOST_CONTROLS // max(len(of), 1), 2)
        parts = [(thin(controls[p][~np.isin(controls[p], wells)], most), wells) for p, wells in of.items()]
        parts = [(around, wells) for around, wells in parts if len(around)]
        pools.append(
            Pool(
                np.concatenate([np.concatenate(part) for part in parts]) if parts else np.array([], np.intp),
                tuple((len(around) + len(wells), len(wells)) for around, wells in parts),
            )
        )
    return pools


def plate_codes(profiles: Profiles) -> np.ndarray:
    """Number of each profile's plate in the order of their names, shape ``(profiles,)``."""
    codes = np.empty(len(profiles), np.intp)
    for number, (_, rows) in enumerate(profiles.groups(("experiment", "plate"))):
        codes[rows] = number
    return codes


def well_order(profiles: Profiles) -> np.ndarray:
    """Place of each profile in an order that does not depend on that of the rows, shape ``(profiles,)``."""
    keys = profiles.wells[["experiment", "plate", "time_point", "row", "column", "well", "run"]]
    order = np.empty(len(profiles), np.intp)
    order[keys.sort_values(list(keys.columns), kind="stable").index.to_numpy()] = np.arange(len(profiles))
    return order


def _by_plate(rows: np.ndarray, plates: np.ndarray, order: np.ndarray) -> dict[int, np.ndarray]:
    rows = rows[np.argsort(order[rows], kind="stable")]
    return {int(p): rows[plates[rows] == p] for p in np.unique(plates[rows])}


def thin(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many rows, evenly from all of them."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).round().astype(np.intp)]


def count_arrangements(plates: Sequence[tuple[int, int]]) -> int:
    """Count the different groups of as many wells of each plate as are treated."""
    return math.prod(math.comb(n, k) for n, k in plates)


def draw_groups(plates: tuple[tuple[int, int], ...], count: int, seed: int, step: int = 0) -> np.ndarray:
    """Draw groups of wells of a pool, of each plate as many as are treated; all of them where there are not more.

    Parameters
    ----------
    plates
        As in `Pool`.
    count, seed, step
        How many groups, the generator's seed, and which portion: equal shapes have equal draws.

    Returns
    -------
    Shape ``(groups, wells)``, int32, places in the pool. Those that are drawn are kept, as treatments of one layout
    share them.
    """
    return _all_groups(plates) if count_arrangements(plates) <= count else _draw_groups(plates, count, seed, step)


@lru_cache(maxsize=1_024)
def _draw_groups(plates: tuple[tuple[int, int], ...], count: int, seed: int, step: int) -> np.ndarray:
    random = np.random.default_rng([seed, step, *itertools.chain(*plates)])
    begins = [0, *itertools.accumulate(n for n, _ in plates)]
    parts = [begin + _draw(random, n, k, count) for begin, (n, k) in zip(begins, plates, strict=False)]
    return np.concatenate(parts, axis=1).astype(np.int32)


def _all_groups(plates: Sequence[tuple[int, int]]) -> np.ndarray:
    begins = [0, *itertools.accumulate(n for n, _ in plates)]
    choices = [
        [tuple(begin + i for i in chosen) for chosen in itertools.combinations(range(n), k)]
        for begin, (n, k) in zip(begins, plates, strict=False)
    ]
    return np.array([list(itertools.chain(*one)) for one in itertools.product(*choices)], np.int32)


def _draw(random: np.random.Generator, wells: int, chosen: int, count: int) -> np.ndarray:
    """Choose without replacement, as Floyd does (Bentley, CACM 1987): one random number per well chosen."""
    found = np.empty((count, chosen), np.int32)
    for place in range(chosen):
        last = wells - chosen + place
        drawn = random.integers(0, last + 1, count)
        is_taken = (found[:, :place] == drawn[:, None]).any(axis=1)
        found[:, place] = np.where(is_taken, last, drawn)
    return found


def exchange(pool: Pool, statistic: Statistic, *, count: int, seed: int) -> float:
    """Test whether a treatment's wells are more extreme than groups drawn from its pool.

    Parameters
    ----------
    statistic
        What is compared; it must treat all wells of the pool alike.
    count, seed
        Most draws of the null distribution, and their seed. Drawing ends early once the p-value is large for sure
        (Besag and Clifford, Biometrika 1991).

    Returns
    -------
    The p-value, from above 0 to 1: exact if all groups could be formed, else (extreme draws + 1) / (draws + 1).
    """
    limit = float(statistic(pool.treated)[0])
    limit -= 1e-9 * abs(limit)  # the same value, added up in another order
    if count_arrangements(pool.plates) <= count:
        return float((statistic(draw_groups(pool.plates, count, seed)) >= limit).mean())
    return p_value_of(limit, lambda step, size: statistic(draw_groups(pool.plates, size, seed, step)), count)


def p_value_of(limit: float, draw: Callable[[int, int], np.ndarray], count: int) -> float:
    """Draw a null distribution in portions until a p-value is known well enough, or to the end.

    Parameters
    ----------
    limit
        From where on a draw is as extreme as what is tested.
    draw
        Draws a portion: its number and size in, statistics out.
    count
        Draws at most.
    """
    extreme = drawn = 0
    for step in range(-(-count // PORTION)):
        found = draw(step, min(PORTION, count - drawn))
        extreme += int((found >= limit).sum())
        drawn += len(found)
        if extreme >= ENOUGH:
            break
    return (extreme + 1) / (drawn + 1)


def exchange_all(pools: Sequence[Pool | None], test: ExchangeTest, *, count: int, seed: int, fdr: float) -> np.ndarray:
    """Test each treatment; those that few draws reach are drawn for longer, as far as the rate needs it.

    Parameters
    ----------
    pools
        Of each treatment; ``None`` where there is nothing to test.
    test
        What they are tested for.
    count, seed
        Draws for each treatment, and the seed.
    fdr
        The rate that p-values are wanted for: of n treatments a lone one must get below ``fdr / n``.

    Returns
    -------
    P-values, shape ``(treatments,)``; NaN where nothing was tested.
    """
    known = _remembered.get()
    p_values = each_pool(partial(_test, test, known, count, seed), pools)
    _refine(p_values, pools, partial(_test, test, known), count=count, seed=seed, fdr=fdr)
    return p_values


def each_pool(measure: Callable[[Pool], float], pools: Sequence[Pool | None]) -> np.ndarray:
    """Measure pools on all cores, shape ``(pools,)``; NaN where there is none.

    Linear algebra takes one thread each: matrices of a pool are small, and threads that wait for one another cost more.
    """
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as threads:
        found = threads.map(lambda pool: np.nan if pool is None else measure(pool), pools)
        return np.fromiter(found, float, len(pools))


def _test(test: ExchangeTest, known: MutableMapping[str, float] | None, count: int, seed: int, pool: Pool) -> float:
    """The p-value of a pool, remembered or drawn."""
    name = "" if known is None else test.identify(pool, count=count, seed=seed)
    if known is not None and name in known:
        return known[name]
    found = exchange(pool, test.statistic(pool, test.values), count=count, seed=seed)
    if known is not None:
        known[name] = found
    return found


def _refine(
    p_values: np.ndarray,
    pools: Sequence[Pool | None],
    test: Callable[[int, int, Pool], float],
    *,
    count: int,
    seed: int,
    fdr: float,
) -> None:
    least = [i for i, p in enumerate(p_values) if p <= FEW / count]
    lone = sum(p_values[i] <= 1 / count for i in least)  # those that no draw reached
    tests = int(np.isfinite(p_values).sum())
    wanted = 10 * tests / (fdr * max(lone, 1))
    if wanted > count:
        # A power of two, so that one more treatment does not draw all of them anew.
        most = min(1 << math.ceil(math.log2(wanted)), MOST_DRAWS)
        p_values[least] = each_pool(partial(test, most, seed), [pools[number] for number in least])
