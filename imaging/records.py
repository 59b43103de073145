"""The small records that say what counts: their names, and what a listing of them tells without reading any.

Everything lies under ``results/<experiment>/<plate>/<recipe>/``:

    pins.json                              what the plate's first site froze for all its sites
    illumination.json                      the field of illumination that is frozen for all its sites
    sites/<well>-<site>-<inputs>.json      a finished site, written after its data
    previews/<well>-<site>-<inputs>.json   a site of which only the images are measured, before the field is frozen
    attempts/<well>-<site>-<inputs>-<n>.json   the n-th failure of a site; the third ends it
    faults/<version>.json                  a version of an uploaded file that is no usable image
    decisions/missing-<well>-<site>-<channel>.json   an image that is no longer waited for; -z<n> a plane of its stack
    voids/<well>-<site>-<inputs>.json      a manifest that counts no longer, as its data are damaged: the site is to be
                                           done under its next name (``next_inputs``)
    publications/<number>.json             the plate's tables; the highest number is current
    publications/<number>-void.json        a current publication that is damaged: the plate is published anew
    publications/<number>-lost.json        a superseded publication that is damaged and cannot be made again
    projected/<number>-<state>.json        in that state of the plate the publication was up to date, its page written
    swept/<number>-<kept>.json             the plate is closed and was cleaned; not again before its next publication
    heartbeat.json                         somebody follows the plate (rewritten; means nothing else)
    clock.json                             what time it is for the storage (rewritten by whoever asks)
    parts/, fields/, published/, page/     data named by records; the page is a projection

<site> is the number that ``imaging.time_points`` gives a site at its time point.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from imaging.arrivals import ImageFile
from imaging.names import hash_of
from imaging.store import Listing

INSTRUMENT = "instrument"
"""Who decided, where the instrument's own files say so."""
ATTEMPTS = 3
"""Failures of a site's task after which the site counts as failed."""


_RECORD = re.compile(
    r"(?:(?P<kind>sites|previews|voids|attempts|faults|decisions|publications|projected)/)?(?P<name>[\w-]+)[.]json"
)
_ATTEMPT = re.compile(r"attempts/(?P<site>.+)-(?P<number>\d+)")
_MISSING = re.compile(r"decisions/missing-(?P<well>\w+)-(?P<site>\d+)-(?P<channel>\w+?)(?:-z(?P<z>\d+))?")
_NUMBER = re.compile(r"(\d{6,})(?:-(?P<damage>void|lost))?[.]json")


def fault_name(file: ImageFile) -> str:
    """Name of the fault record of one version of an uploaded file."""
    return hash_of(file.version)


def pins_key(prefix: str) -> str:
    """Address of the plate's pins."""
    return f"{prefix}pins.json"


def field_key(prefix: str) -> str:
    """Address of the record that freezes the plate's field of illumination."""
    return f"{prefix}illumination.json"


def manifest_key(prefix: str, name: str) -> str:
    """Address of the manifest of a site by its name ``<well>-<site>-<inputs>``."""
    return f"{prefix}sites/{name}.json"


def preview_key(prefix: str, name: str) -> str:
    """Address of the manifest of a site of which only the images are measured."""
    return f"{prefix}previews/{name}.json"


def void_key(prefix: str, name: str) -> str:
    """Address of the record that a site's manifest counts no longer, by the manifest's name."""
    return f"{prefix}voids/{name}.json"


def next_inputs(inputs: str) -> str:
    """What stands for a site's inputs in its name once the manifest of that name is void."""
    return hash_of([inputs, "again"])


def next_name(name: str) -> str:
    """Name ``<well>-<site>-<inputs>`` under which a site is done again once its manifest is void."""
    place, _, inputs = name.rpartition("-")
    return f"{place}-{next_inputs(inputs)}"


def attempt_key(prefix: str, name: str, number: int) -> str:
    """Address of the record of a site's failure."""
    return f"{prefix}attempts/{name}-{number}.json"


def fault_key(prefix: str, name: str) -> str:
    """Address of a fault record."""
    return f"{prefix}faults/{name}.json"


def missing_key(prefix: str, well: str, site: int, channel: str, z: int = 0) -> str:
    """Address of the decision that an image is missing, or the plane ``z`` of its stack."""
    return f"{prefix}decisions/missing-{well}-{site}-{channel}{f'-z{z}' if z else ''}.json"


def publication_key(prefix: str, number: int) -> str:
    """Address of a publication record."""
    return f"{prefix}publications/{number:06d}.json"


def damaged_publication_key(prefix: str, number: int, *, is_current: bool) -> str:
    """Address of the record that a publication is damaged: a current one is published anew, others are given up."""
    return f"{prefix}publications/{number:06d}-{'void' if is_current else 'lost'}.json"


def projected_key(prefix: str, number: int, state: str) -> str:
    """Address of the record that a publication held all there was in a state of the plate, and its page is written."""
    return f"{prefix}projected/{number:06d}-{state}.json"


def swept_key(prefix: str, number: int, keep: int | None) -> str:
    """Address of the record that nothing was left to delete when a publication had stood for days."""
    return f"{prefix}swept/{number:06d}-{'all' if keep is None else keep}.json"


def heartbeat_key(prefix: str) -> str:
    """Address of the heartbeat of whoever follows the plate."""
    return f"{prefix}heartbeat.json"


def clock_key(prefix: str) -> str:
    """Address of the object whose time is that of the storage's clock."""
    return f"{prefix}clock.json"


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
    has_field: bool = False
    previews: frozenset[str] = frozenset()
    missing_planes: frozenset[tuple[str, int, str, int]] = frozenset()
    voids: frozenset[str] = frozenset()
    void_publications: frozenset[int] = frozenset()
    last_number: int = 0
    """Highest number that a publication of the plate ever had, as far as is known; 0 before the first."""

    @property
    def last_publication(self) -> int:
        """Number of the current publication; 0 before the first."""
        return self.publications[-1] if self.publications else 0

    @property
    def made_again(self) -> tuple[str, ...]:
        """What counted once and was damaged, in order: it tells publications of what was made again from others.

        Previews are no part of any publication.
        """
        return *sorted(self.voids - self.previews), *(
            f"publication {number}" for number in sorted(self.void_publications)
        )

    @property
    def is_last_void(self) -> bool:
        """Whether the newest publication is damaged, or gone, and the plate is to be published anew."""
        return self.last_number != self.last_publication or self.last_number in self.void_publications


def read_names(prefix: str, listing: Listing, *, publications: Listing | None = None, known: int = 0) -> Records:
    """Read the names of a results folder; publications from a listing of their own, taken before.

    A publication's number must not be listed later than what goes into it, else a slow publisher could put old
    inputs above newer ones. ``known`` is the highest number that a publication had before that.
    """
    has_pins, has_field, heartbeat = False, False, None
    attempts: dict[str, int] = {}
    names: dict[str, list[str]] = {kind: [] for kind in ("sites", "previews", "voids", "faults", "projected")}
    missing: set[tuple[str, int, str]] = set()
    planes: set[tuple[str, int, str, int]] = set()
    for item in listing.objects:
        match = _RECORD.fullmatch(item.key.removeprefix(prefix))
        if match is None:  # data, pages, or what somebody's file manager left behind
            continue
        kind, name = match["kind"], match["name"]
        if kind in names:
            names[kind].append(name)
        elif attempt := _ATTEMPT.fullmatch(f"{kind}/{name}"):
            attempts[attempt["site"]] = max(attempts.get(attempt["site"], 0), int(attempt["number"]))
        elif decision := _MISSING.fullmatch(f"{kind}/{name}"):
            place = decision["well"], int(decision["site"]), decision["channel"]
            if decision["z"]:
                planes.add((*place, int(decision["z"])))
            else:
                missing.add(place)
        elif name == "pins":
            has_pins = True
        elif name == "illumination":
            has_field = True
        elif name == "heartbeat":
            heartbeat = item.modified
    published = listing if publications is None else publications
    numbers, voided, last_number = _read_numbers(prefix, published)
    return Records(
        has_pins,
        frozenset(names["sites"]),
        attempts,
        frozenset(names["faults"]),
        frozenset(missing),
        numbers,
        frozenset(names["projected"]),
        heartbeat,
        has_field,
        frozenset(names["previews"]),
        frozenset(planes),
        frozenset(names["voids"]),
        voided,
        max(last_number, known),
    )


def numbers_in(names: Iterable[str]) -> set[int]:
    """Numbers of publications that names ``<number>``, ``<number>-void`` or ``<number>-<state>`` begin with."""
    return {int(match[0]) for name in names if (match := re.match(r"\d{6,}(?=-|$)", name))}


def publication_numbers(prefix: str, listing: Listing) -> tuple[int, ...]:
    """Numbers of the publications in a listing, in order; damaged ones are left out, unless nothing came after them."""
    return _read_numbers(prefix, listing)[0]


def _read_numbers(prefix: str, listing: Listing) -> tuple[tuple[int, ...], frozenset[int], int]:
    """Numbers of the publications that count, of those that are void, and the highest number of all."""
    folder = f"{prefix}publications/"
    found: set[int] = set()
    damaged: dict[str, set[int]] = {"void": set(), "lost": set()}
    for item in listing.objects:
        if match := _NUMBER.fullmatch(item.key.removeprefix(folder)):
            damaged.get(match["damage"], found).add(int(match[1]))
    given_up = damaged["void"] | damaged["lost"]
    counting = sorted(found - given_up)
    if found and max(found) in given_up:  # shown as it is until there is another
        counting.append(max(found))
    return tuple(counting), frozenset(damaged["void"]), max(found | given_up, default=0)
