"""Which uploaded files are which images: names matched against the experiment's pattern."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from imaging.experiment import Experiment
from imaging.store import RefusedName, StoredObject
from imaging.wells import Well, parse_row, parse_well

_SYSTEM_FILES = re.compile(r"(?:.*/)?(?:\.DS_Store|\._[^/]*|Thumbs\.db|desktop\.ini|experiment\.ya?ml)|manifest\.yaml")
FIRST = frozenset({0, 1})
"""z planes and time points that are taken: the first, whether an instrument counts from 0 or from 1."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One uploaded file that is an image: its name inside the plate's folder, version token, size and time."""

    name: str
    token: str
    size_bytes: int
    modified: float

    @property
    def version(self) -> tuple[str, str]:
        """Name and token: what a fault record is about."""
        return self.name, self.token


@dataclass(frozen=True, slots=True)
class UnknownFile:
    """An uploaded file that is no image of this experiment, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Arrivals:
    """All uploaded files of a plate.

    ``images[well, site][channel]`` holds the files of one image, newest first, ties by name.
    """

    images: dict[tuple[str, int], dict[str, tuple[ImageFile, ...]]]
    unknown: tuple[UnknownFile, ...]

    def files(self) -> Iterable[ImageFile]:
        """Every file that is an image."""
        return (file for channels in self.images.values() for files in channels.values() for file in files)


def sort_arrivals(
    experiment: Experiment, prefix: str, objects: Iterable[StoredObject], refused: Iterable[RefusedName] = ()
) -> Arrivals:
    """Sort the listing of a plate's folder into images and unknown files."""
    found: dict[tuple[str, int], dict[str, list[ImageFile]]] = {}
    unknown = [UnknownFile(item.shown.removeprefix(prefix), item.reason) for item in refused]
    expected = frozenset(experiment.expected_sites())
    codes = {channel.code: channel.name for channel in experiment.channels}
    for item in objects:
        name = item.key.removeprefix(prefix)
        if _SYSTEM_FILES.fullmatch(name):
            continue
        place = _place(experiment.files.pattern, codes, expected, name)
        if isinstance(place, str):
            unknown.append(UnknownFile(name, place))
            continue
        well, site, channel = place
        file = ImageFile(name, item.token, item.size, item.modified)
        found.setdefault((well, site), {}).setdefault(channel, []).append(file)
    images = {
        site: {channel: tuple(sorted(files, key=_newest_first)) for channel, files in channels.items()}
        for site, channels in found.items()
    }
    return Arrivals(images, tuple(sorted(unknown, key=lambda file: file.name)))


def _newest_first(file: ImageFile) -> tuple[float, str]:
    return -file.modified, file.name


def _place(
    pattern: str, codes: dict[str, str], expected: frozenset[tuple[str, int]], name: str
) -> tuple[str, int, str] | str:
    """Well, site and channel of a file, or the reason why it is none of the expected images."""
    match = re.fullmatch(pattern, name if "/" in pattern else name.rsplit("/", 1)[-1])
    if match is None:
        return "the name does not fit files.pattern of experiment.yaml"
    parts = match.groupdict()
    try:
        well = _well_name(parts.get("well"), parts.get("row"), parts.get("column"))
        site, z, t = (int(parts.get(group) or 1) for group in ("site", "z", "t"))
    except (ValueError, OverflowError) as error:
        return f"the name gives no place on the plate: {error}"
    if z not in FIRST or t not in FIRST:
        return f"only the first plane and time point are processed, this is z {z}, t {t}"
    code = parts.get("channel")
    channel = codes.get(code) if code is not None else next(iter(codes.values()))
    if channel is None:
        return f"channel {code!r} is none of experiment.yaml's ({', '.join(codes)})"
    if (well, site) not in expected:
        return f"well {well} site {site} is not among the sites that experiment.yaml's layout expects"
    return well, site, channel


@lru_cache(maxsize=4096)
def _well_name(well: str | None, row: str | None, column: str | None) -> str:
    if well is not None:
        return str(parse_well(well))
    letters = row or ""
    number = int(letters) - 1 if letters.isdigit() else parse_row(letters)
    return str(Well(number, int(column or "")))
