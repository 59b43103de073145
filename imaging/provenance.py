"""How a site's values came about: when, how long, where, on what, with which software and for how much money.

None of it goes into a value; it stands in the site's manifest and in the table ``site_runs``.
"""

from __future__ import annotations

import functools
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from imaging.grace import Stopwatch
from kernels.device import current_device

HOUR_S = 3600.0
_MAKE_NUMBERS = ("numpy", "scipy", "numba", "scikit-image", "opencv-python-headless", "imagecodecs", "pyarrow", "zarr")
_ON_GPU = ("cupy-cuda13x",)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a worker computes and what an hour of it costs.

    Parameters
    ----------
    environment
        Name of the environment, such as local or gcp.
    place
        Where its machines stand, such as europe-west4 (``imaging.placement``).
    price_per_hour
        USD that an hour of one worker costs; ``None`` where nobody said.
    """

    environment: str = "local"
    place: str = "local"
    price_per_hour: float | None = None


LOCAL = Whereabouts()
"""This machine, whose hours nobody sells."""


@dataclass
class Share:
    """What one site has used of its worker so far; ended once its manifest is written."""

    seconds: float = 0.0


@dataclass
class Meter:
    """Divides a worker's time among the sites that it has in hand: with four at a time, each uses a quarter.

    So the shares of all sites add up to the time in which the worker had anything to do, which is what is paid for.
    """

    _shares: list[Share] = field(default_factory=list)
    _read_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def measure(self) -> Iterator[Share]:
        """Count the block as one site in hand."""
        share = Share()
        with self._lock:
            self._divide()
            self._shares.append(share)
        try:
            yield share
        finally:
            with self._lock:
                self._divide()
                self._shares = [other for other in self._shares if other is not share]

    def seconds_of(self, share: Share) -> float:
        """Worker seconds that a site in hand has used so far."""
        with self._lock:
            self._divide()
            return share.seconds

    def _divide(self) -> None:
        now = time.monotonic()
        for share in self._shares:
            share.seconds += (now - self._read_at) / len(self._shares)
        self._read_at = now


METER = Meter()
"""The meter of this process: a worker."""


@dataclass(frozen=True)
class Run:
    """The processing of one site: where and when it began, and what it has used so far."""

    at: Whereabouts
    watch: Stopwatch
    cpu: float
    share: Share

    def describe(self) -> dict[str, Any]:
        """Describe the run as if it ended now."""
        machine_seconds = METER.seconds_of(self.share)
        return {
            "started_at": datetime.fromtimestamp(self.watch.started[0], UTC).isoformat(timespec="milliseconds"),
            "seconds": round(self.watch.seconds, 4),
            "cpu_seconds": round(time.process_time() - self.cpu, 4),
            "machine_seconds": round(machine_seconds, 4),
            "host": platform.node(),
            "environment": self.at.environment,
            "place": self.at.place,
            "price_per_hour": self.at.price_per_hour,
            "cost": cost_of(machine_seconds, self.at.price_per_hour),
            "software": version("platestream"),
            "device": current_device(),
            "versions": software_versions(current_device()),
        }


@contextmanager
def begin_run(at: Whereabouts = LOCAL) -> Iterator[Run]:
    """Run the block as the processing of one site."""
    with METER.measure() as share:
        yield Run(at, Stopwatch(), time.process_time(), share)


def cost_of(machine_seconds: float, price_per_hour: float | None) -> float | None:
    """USD for so many worker seconds, to a millionth of a cent; ``None`` without a price."""
    return None if price_per_hour is None else round(machine_seconds * price_per_hour / HOUR_S, 8)


@functools.cache
def software_versions(device: str) -> str:
    """Name Python and the packages that make numbers with their versions: ``python 3.11.7, numpy 2.3.1, ...``."""
    named = [f"python {platform.python_version()}"]
    for package in (*_MAKE_NUMBERS, *(_ON_GPU if device == "cuda" else ())):
        try:
            named.append(f"{package} {version(package)}")
        except PackageNotFoundError:  # another build of it, such as a CuPy for another CUDA
            continue
    return ", ".join(named)
