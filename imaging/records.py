"""The small records that say what counts: their names, and what a listing of them tells without reading any.

Everything lies under ``results/<experiment>/<plate>/<recipe>/``:

    pins.json                              what the plate's first site froze for all its sites
    sites/<well>-<site>-<inputs>.json      a finished site, written after its data
    attempts/<well>-<site>-<inputs>-<n>.json   the n-th failure of a site; the third ends it
    faults/<version>.json                  a version of an uploaded file that is no usable image
    decisions/missing-<well>-<site>-<channel>.json   an image that is no longer waited for
    publications/<number>.json             the plate's tables; the highest number is current
    projected/<number>-<state>.json        in that state of the plate the publication was up to date, its page written
    heartbeat.json                         somebody follows the plate (rewritten; means nothing else)
    parts/, published/, page/              data named by records; the page is a projection
"""

from __future__ import annotations

from dataclasses import dataclass, field

from imaging.arrivals import ImageFile
from imaging.names import hash_of
from imaging.store import Listing

ATTEMPTS = 3
"""Failures of a site's task after which the site counts as failed."""


def fault_name(file: ImageFile) -> str:
    """Name of the fault record of one version of an uploaded file."""
    return hash_of(file.version)


def pins_key(prefix: str) -> str:
    """Address of the plate's pins."""
    return f"{prefix}pins.json"


def manifest_key(prefix: str, name: str) -> str:
    """Address of the manifest of a site by its name ``<well>-<site>-<inputs>``."""
    return f"{prefix}sites/{name}.json"


def attempt_key(prefix: str, name: str, number: int) -> str:
    """Address of the record of a site's failure."""
    return f"{prefix}attempts/{name}-{number}.json"


def fault_key(prefix: str, name: str) -> str:
    """Address of a fault record."""
    return f"{prefix}faults/{name}.json"


def missing_key(prefix: str, well: str, site: int, channel: str) -> str:
    """Address of the decision that an image is missing."""
    return f"{prefix}decisions/missing-{well}-{site}-{channel}.json"


def publication_key(prefix: str, number: int) -> str:
    """Address of a publication record."""
    return f"{prefix}publications/{number:06d}.json"


def projected_key(prefix: str, number: int, state: str) -> str:
    """Address of the record that a publication held all there was in a state of the plate, and its page is written."""
    return f"{prefix}projected/{number:06d}-{state}.json"


def heartbeat_key(prefix: str) -> str:
    """Address of the heartbeat of whoever follows the plate."""
    return f"{prefix}heartbeat.json"


@dataclass(frozen=True, slots=True)
class Records:
    """What the names under a plate's results folder say."""

    has_pins: bool = False
    manifests: frozenset[str] = frozenset()
    attempts: dict[str, int] = field(default_factory=dict)
    faults: frozenset[str] = frozenset()
    missing: frozenset[tuple[str, int, str]] = frozenset()
    publications: tuple[int, ...] = ()
    projected: frozenset[str] = frozenset()
    heartbeat: float | None = None

    @property
    def last_publication(self) -> int:
        """Number of the current publication; 0 before the first."""
        return self.publications[-1] if self.publications else 0


def read_names(prefix: str, listing: Listing, *, publications: Listing | None = None) -> Records:
    """Read the names of a results folder; publications from a listing of their own, taken before.

    A publication's number must not be listed later than what goes into it, else a slow publisher could put old
    inputs above newer ones.
    """
    has_pins, heartbeat = False, None
    attempts: dict[str, int] = {}
    names: dict[str, list[str]] = {kind: [] for kind in ("sites", "faults", "publications", "projected")}
    missing: set[tuple[str, int, str]] = set()
    for item in listing.objects:
        kind, _, rest = item.key.removeprefix(prefix).partition("/")
        name = rest.removesuffix(".json")
        if kind in names:
            names[kind].append(name)
        elif kind == "attempts":
            site, _, number = name.rpartition("-")
            attempts[site] = max(attempts.get(site, 0), int(number))
        elif kind == "decisions" and name.startswith("missing-"):
            _, well, site, channel = name.split("-", 3)
            missing.add((well, int(site), channel))
        elif kind == "pins.json":
            has_pins = True
        elif kind == "heartbeat.json":
            heartbeat = item.modified
    numbered = names["publications"] if publications is None else _numbers(prefix, publications)
    return Records(
        has_pins,
        frozenset(names["sites"]),
        attempts,
        frozenset(names["faults"]),
        frozenset(missing),
        tuple(sorted(int(name) for name in numbered)),
        frozenset(names["projected"]),
        heartbeat,
    )


def _numbers(prefix: str, listing: Listing) -> list[str]:
    folder = f"{prefix}publications/"
    return [item.key.removeprefix(folder).removesuffix(".json") for item in listing.objects]
