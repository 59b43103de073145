"""Faults for real processes: a full, failing or slow disk, a clock that jumps, a bad network, planted bugs.

Whoever starts processes makes one ``Faults`` and hands on its variables; all children of theirs inherit them:

    with Faults(folder / "faults", roots=(folder / "data",), seed=seed) as faults:
        os.environ.update(faults.environment(["no-relisting"]))   # before anything is started; or env=...
        with faults.before(gcs.url) as proxy:                             # for gs://: stands before the stand-in
            settings.store = f"gs://lab/screens?endpoint={proxy.url}"
            ...start the stack...
            faults.shim.set_clock(3600)          # the clocks of all of them are an hour ahead now; 0 sets them right
            faults.shim.fill(200_000)            # the disk below the roots is full after so many more bytes
            faults.shim.fail(errno.EIO, chance=0.05)
            faults.shim.slow(0.02)
            faults.shim.mend_disk()
            proxy.weather = Weather(refused=0.1, lost=0.02)
            proxy.weather = CALM
            faults.end_all()                     # everything is well again

Or by the seed, which decides kind, size, beginning and end of each trouble, in order of their beginning:

    for trouble in faults.draw(chance, seconds=60.0, kinds=("disk", "clock", "network")):
        ...sleep until trouble.begins_s...; faults.begin(trouble)
        ...sleep until trouble.ends_s...;   faults.end(trouble)

``draw`` takes the caller's ``random.Random``; troubles of one kind never overlap. ``faults.play(troubles)`` does both
sleeps in a thread of its own and ends all when its block ends. ``faults.told()`` says what hit: calls that failed,
requests by their fate; ``faults.begun`` counts what was begun, by kind. ``clock`` is drawn in both directions, from a
minute to a day.

What it is made of: ``shim.py`` and ``libfaults.c`` (LD_PRELOAD; needs gcc), ``proxy.py`` (HTTP), ``planted.py`` (bugs).
"""

from __future__ import annotations

import contextlib
import errno
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.chaos.faults import planted
from tests.chaos.faults.proxy import CALM, FaultProxy, Weather
from tests.chaos.faults.shim import Calls, Shim

KINDS = ("disk", "clock", "network")
JUMPS_S = (60.0, 600.0, 3_600.0, 90_000.0)
"""How far clocks jump, in either direction, in seconds; the last is more than a day."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that goes wrong for a while: ``what`` and how much, seconds from the beginning of the run."""

    kind: str
    what: str
    size: float
    begins_s: float
    ends_s: float

    def __str__(self) -> str:
        return f"{self.begins_s:5.1f}-{self.ends_s:5.1f} s  {self.kind}: {self.what} {self.size:g}"


_DISK = (("full", 0, 300_000), ("EIO", 0.02, 0.3), ("lost", 0.02, 0.1), ("repeated", 0.2, 0.8), ("slow", 0.005, 0.05))
"""``repeated``: a file is linked into place, and the answer is that it was there, as of a network folder that was asked
again; whoever looks whether it is his own is not harmed, however often that is."""
_NETWORK = (
    ("refused", 0.1, 0.6),
    ("crowded", 0.1, 0.6),
    ("lost", 0.05, 0.3),
    ("answered_503", 0.05, 0.3),
    ("cut", 0.05, 0.3),
    ("torn", 0.02, 0.2),
    ("stuck", 0.01, 0.05),
    ("slow", 0.2, 0.8),
)


class Faults:
    """All faults of one run of processes.

    Parameters
    ----------
    folder
        Where the library and its control file lie.
    roots
        At most four folders whose files are meant by faults of the disk, such as the store and the state.
    seed
        Decides which calls and requests fail where they fail by chance.
    """

    def __init__(self, folder: Path, roots: tuple[Path, ...] = (), seed: int = 0) -> None:
        self.seed = seed
        self.shim = Shim(folder, roots, seed)
        self.proxies: list[FaultProxy] = []
        self.begun: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_all()

    def environment(self, planted_bugs: Sequence[str] = ()) -> dict[str, str]:
        """Variables for processes that are to suffer, and for all they start; bugs by name (``planted.PLANTS``)."""
        return self.shim.environment() | planted.environment(planted_bugs)

    @contextlib.contextmanager
    def before(self, url: str) -> Iterator[FaultProxy]:
        """Stand before an HTTP server; ``begin`` of a trouble of the network means every proxy that is open."""
        with FaultProxy(url, seed=self.seed) as proxy:
            self.proxies.append(proxy)
            try:
                yield proxy
            finally:
                self.proxies.remove(proxy)

    def draw(self, chance: random.Random, *, seconds: float, kinds: Sequence[str] = KINDS) -> list[Trouble]:
        """Draw what goes wrong within so many seconds, in order of its beginning; of one kind one at a time."""
        troubles: list[Trouble] = []
        for kind in kinds:
            at = chance.uniform(0, seconds / 4)
            while at < seconds:
                lasts = chance.uniform(seconds / 20, seconds / 5)
                troubles.append(_draw_one(chance, kind, at, min(at + lasts, seconds)))
                at += lasts + chance.uniform(seconds / 20, seconds / 4)
        return sorted(troubles, key=lambda trouble: trouble.begins_s)

    def begin(self, trouble: Trouble) -> None:
        """Let it go wrong."""
        self.begun[f"{trouble.kind} {trouble.what}"] += 1
        if trouble.kind == "clock":
            self.shim.set_clock(trouble.size)
        elif trouble.kind == "network":
            self._set_weather(Weather(**{trouble.what: trouble.size}))
        elif trouble.what == "full":
            self.shim.fill(int(trouble.size))
        elif trouble.what == "slow":
            self.shim.slow(trouble.size)
        elif trouble.what == "lost":
            self.shim.fail(errno.EIO, chance=trouble.size, kinds=Calls.PLACE, lost=True)
        elif trouble.what == "repeated":
            self.shim.fail(errno.EEXIST, chance=trouble.size, kinds=Calls.LINK, lost=True)
        else:
            self.shim.fail(errno.EIO, chance=trouble.size)

    def end(self, trouble: Trouble) -> None:
        """Let it be well again."""
        if trouble.kind == "clock":
            self.shim.set_clock(0)
        elif trouble.kind == "network":
            self._set_weather(CALM)
        else:
            self.shim.mend_disk()

    @contextlib.contextmanager
    def play(self, troubles: Sequence[Trouble]) -> Iterator[None]:
        """Begin and end troubles at their time while the block runs; at its end everything is well."""
        is_over = threading.Event()
        moments = [(trouble.begins_s, self.begin, trouble) for trouble in troubles]
        moments += [(trouble.ends_s, self.end, trouble) for trouble in troubles]
        started = time.monotonic()

        def run() -> None:
            for at, act, trouble in sorted(moments, key=lambda moment: moment[0]):
                if is_over.wait(max(0.0, started + at - time.monotonic())):
                    return
                act(trouble)

        thread = threading.Thread(target=run, name="faults", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
            self.end_all()

    def end_all(self) -> None:
        """Let everything be well again."""
        self.shim.end_all()
        self._set_weather(CALM)

    def told(self) -> dict[str, int]:
        """What hit so far: calls of the disk that failed, and requests by their fate."""
        counted = {"disk": self.shim.failures}
        for proxy in self.proxies:
            counted |= {fate: counted.get(fate, 0) + count for fate, count in proxy.told.items() if fate != "passed"}
        return counted

    def _set_weather(self, weather: Weather) -> None:
        for proxy in self.proxies:
            proxy.weather = weather


def _draw_one(chance: random.Random, kind: str, begins_s: float, ends_s: float) -> Trouble:
    if kind == "clock":
        return Trouble(kind, "ahead", chance.choice(JUMPS_S) * chance.choice((1, -1)), begins_s, ends_s)
    what, least, most = chance.choice(_DISK if kind == "disk" else _NETWORK)
    return Trouble(kind, what, chance.uniform(least, most), begins_s, ends_s)
