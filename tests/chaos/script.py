"""What happens in a run of chaos, decided by its seed before it begins, and faults that keep time with the hits."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.faults import Faults, Trouble
from tests.chaos.processes import KINDS, LIGHT_KINDS, tell

LONGEST_STOP_S = 30.0
LIMIT_S = 900.0
FAULT_KINDS = ("disk", "clock", "network")


@dataclass(frozen=True)
class Script:
    """All that is decided before a run begins, by its seed."""

    seed: int
    hits: tuple[tuple[str, float], ...]
    """Kind of process, and seconds that it is stopped for; 0 where it is killed."""
    faults: tuple[str, ...]
    in_bucket: bool
    planted: tuple[str, ...] = ()
    is_light: bool = False
    limit_s: float = LIMIT_S
    """Seconds after the last hit within which all plates must be published."""


def write_script(
    seed: int, *, hits: int, faults: Sequence[str] = (), is_light: bool = False, longest_stop_s: float = LONGEST_STOP_S
) -> Script:
    """Decide what happens under a seed: each kind of process is hit once before one is hit again; one in four stops."""
    chance = random.Random(f"script {seed}")
    kinds: list[str] = []
    all_kinds = LIGHT_KINDS if is_light else KINDS
    while len(kinds) < hits:
        kinds += chance.sample(all_kinds, len(all_kinds))
    in_bucket = "network" in faults and ("disk" not in faults or chance.random() < 0.5)
    kept = tuple(kind for kind in faults if kind != ("disk" if in_bucket else "network"))
    stops = [chance.uniform(3.0, longest_stop_s) if chance.random() < 0.25 else 0.0 for _ in kinds]
    return Script(seed, tuple(zip(kinds[:hits], stops, strict=False)), kept, in_bucket, is_light=is_light)


@dataclass
class Troubles:
    """Faults that were drawn, as many at a time as belong to each hit: a slow machine gets its share of each, too."""

    faults: Faults
    drawn: list[Trouble]
    hits: int

    @contextlib.contextmanager
    def begun(self) -> Iterator[None]:
        """Let the next of them go wrong, one of each kind at most; at the end of the block they are over."""
        count = -(-len(self.drawn) // max(1, self.hits))
        next_ones = {trouble.kind: trouble for trouble in self.drawn[:count]}
        del self.drawn[:count]
        self.hits -= 1
        ends = [threading.Timer(_length_of(trouble), self.faults.end, (trouble,)) for trouble in next_ones.values()]
        for trouble, end in zip(next_ones.values(), ends, strict=True):
            tell(f"{trouble.kind}: {trouble.what} {trouble.size:g} for {_length_of(trouble):.0f} s")
            self.faults.begin(trouble)
            end.start()
        try:
            yield
        finally:
            for end in ends:
                end.join()


def _length_of(trouble: Trouble) -> float:
    return trouble.ends_s - trouble.begins_s
