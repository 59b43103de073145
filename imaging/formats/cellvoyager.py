"""Yokogawa CellVoyager CV7000, CV8000 and CQ3000: names with T F L A Z C, and the .mlf that lists every image.

Where the .mlf lists a file, it says where the file belongs; other names are read by their pattern. What the .mlf lists
is what should come, also where it comes last or names files that never come. Its records of errors stand for planes
that the instrument could not take: they are expected too, and ``Told.not_taken`` has the instrument's words.

Of two timelines, or two actions of one channel, that show the same plane, the later one is told apart: a timeline by
``Address.acquisition`` (``L2``), an action by the channel's code (``1-A2``).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from imaging.errors import ChangedObjectError
from imaging.formats.cellvoyager_files import LAST_COLUMN, Record, Settings, read_records, read_settings
from imaging.formats.contract import Address, Delivery, Folder, FoundPlane, PassedOver, Told, ToldChannel
from imaging.formats.passed_over import pass_over
from imaging.formats.pauses import without_collecting
from imaging.store import StoredObject
from imaging.wells import Well, parse_well

_NAME = re.compile(
    r"(?:.*/)?(?:[^/]*_)?([A-Z]{1,2}\d{2})_T(\d{4,6})F(\d{3,6})L(\d{2,4})A(\d{2,4})Z(\d{2,4})C(\d{2,4})\.(?:tiff?|png)",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
_ORDER = (".mrf", ".mes", ".wpp", ".wpi")
_CORRECTIONS = re.compile(
    r"(?:.*/)?(?:SC_|DC_|CTC_|FF_|shading|crosstalk|geometry)[^/]*\.(?:tiff?|xml|png)", re.I | re.DOTALL | re.ASCII
)
_OTHERS = re.compile(
    r".*\.(?:log|xml|txt|csv|ini|wpi|mlf|mrf|mes|wpp|icr|xsd|ppf|db|bmp|jpe?g|html?)", re.I | re.DOTALL | re.ASCII
)


class _Shot(NamedTuple):
    """A plane with the timeline and action that took it; a tuple, for there are as many as images."""

    well: Well
    field: int
    channel: int
    z: int
    t: int
    timeline: int
    action: int


@dataclass
class _Listed:
    """What the .mlf of one folder lists: shots by the paths of their files."""

    shots: dict[str, _Shot] = field(default_factory=dict)
    failed: dict[_Shot, str] = field(default_factory=dict)
    positions: dict[tuple[str, int], tuple[float, float]] = field(default_factory=dict)
    is_whole: bool = True


class CellVoyager:
    """Yokogawa CellVoyager."""

    name = "cellvoyager"
    title = "Yokogawa CellVoyager CV7000 and CV8000"
    example = "plate_B03_T0001F001L01A01Z01C01.tif"

    def count(self, names: Sequence[str]) -> int:
        """Count the names of images."""
        fits = _NAME.fullmatch
        return sum(fits(name) is not None for name in names)

    @without_collecting()
    def read(self, objects: Sequence[StoredObject], folder: Folder) -> Delivery:
        """Sort a listing; the .mlf, .mrf, .mes and .wpp are read once per version."""
        manifests = [item for item in objects if item.key.lower().endswith((".mlf", *_ORDER))]
        problems: list[str] = []
        listed = _read_lists(folder, manifests, problems)
        shots, passed = _match(objects, listed)
        settings = Settings()
        problems += read_settings(folder, _settings_files(manifests, shots, listed), settings)
        place = _tell_apart([*(shot for *_, shot in shots), *_all_shots(listed)], _acquisitions(listed))
        planes = tuple(FoundPlane(item, place(of_folder, shot)) for item, of_folder, shot in shots)
        told = _tell(settings, listed, place, planes, problems)
        return Delivery(planes, tuple(passed), replace(told, manifests=tuple(sorted(item.key for item in manifests))))


CELLVOYAGER = CellVoyager()


@lru_cache(maxsize=4096)
def _well(name: str) -> Well | None:
    try:
        well = parse_well(name)
    except ValueError:
        return None
    return well if well.column <= LAST_COLUMN else None


def _read_lists(folder: Folder, manifests: Iterable[StoredObject], problems: list[str]) -> dict[str, _Listed]:
    """Read the lists of images, by the folder that each one lies in."""
    found: dict[str, _Listed] = {}
    for item in sorted(manifests, key=lambda item: item.key):
        if not item.key.lower().endswith(".mlf"):
            continue
        listed = found.setdefault(posixpath.dirname(item.key), _Listed())
        try:
            records, problem = read_records(folder, item.key, item.token, item.size)
        except (ChangedObjectError, FileNotFoundError):
            records, problem = (), "it changed after it was listed"
        if problem:
            problems.append(f"{item.key}: {problem}; which images should come is not known")
            listed.is_whole = False
        _take_records(listed, records, posixpath.dirname(item.key))
    return found


def _take_records(listed: _Listed, records: Sequence[Record], folder: str) -> None:
    for record in records:
        if record.is_error:
            continue
        shot = _shot_of(record)
        listed.shots[posixpath.join(folder, record.name.replace("\\", "/"))] = shot
        if record.position_um:
            listed.positions[str(record.well), record.field] = record.position_um
    known = set(listed.shots.values())
    errors = [record for record in records if record.is_error]
    parts = (
        {(shot.field, shot.channel, shot.z, shot.t, shot.timeline, shot.action) for shot in known} if errors else set()
    )
    for record in errors:
        for shot in _failed_shots(record, parts):
            if shot not in known:
                listed.failed.setdefault(shot, record.name or "the instrument reports an error")


def _shot_of(record: Record) -> _Shot:
    return _Shot(record.well, record.field, record.channel, record.z, record.t, record.timeline, record.action)


def _failed_shots(record: Record, parts: set[tuple[int, int, int, int, int, int]]) -> list[_Shot]:
    """Planes that a record of an error stands for: what it leaves out is as in the other wells."""
    if record.field and record.channel and record.z and record.t:
        return [_shot_of(record)]
    wanted = (record.field, record.channel, record.z, record.t, record.timeline)
    return [
        _Shot(record.well, *part)
        for part in parts
        if all(want in (0, have) for want, have in zip(wanted, part, strict=False))
    ]


def _settings_files(
    manifests: Iterable[StoredObject], shots: Iterable[tuple[StoredObject, str, _Shot]], listed: dict[str, _Listed]
) -> list[tuple[str, str, int]]:
    """Name, token and size of the settings' files, what was done before what was set; those beside images, if any."""
    with_images = {item.key.rpartition("/")[0] for item, *_ in shots} | set(listed)
    ordered = sorted(manifests, key=lambda item: item.key)
    beside = [item for item in ordered if posixpath.dirname(item.key) in with_images]
    return [
        (item.key, item.token, item.size)
        for ending in _ORDER
        for item in beside or ordered
        if item.key.lower().endswith(ending)
    ]


def _match(
    objects: Sequence[StoredObject], listed: dict[str, _Listed]
) -> tuple[list[tuple[StoredObject, str, _Shot]], list[PassedOver]]:
    """Which objects are which planes, of the measurement in which folder, and which are none."""
    shots: list[tuple[StoredObject, str, _Shot]] = []
    passed: list[PassedOver] = []
    fits = _NAME.fullmatch
    by_path = {path: (name, shot) for name, of_folder in listed.items() for path, shot in of_folder.shots.items()}
    for item in objects:
        known = by_path.get(item.key)
        if known is not None:
            shots.append((item, *known))
        elif (match := fits(item.key)) is not None and (well := _well(match[1])) is not None:
            _, t, site, line, action, z, channel = match.groups()
            shot = _Shot(well, int(site), int(channel), int(z), int(t), int(line), int(action))
            shots.append((item, item.key.rpartition("/")[0], shot))
        else:
            passed.append(_pass_over(item.key))
    return shots, passed


def _pass_over(name: str) -> PassedOver:
    if _CORRECTIONS.fullmatch(name):
        return PassedOver(name, "ignored", "a correction image or table of the instrument")
    if _OTHERS.fullmatch(name):
        return PassedOver(name, "ignored", "a manifest or log of the instrument")
    return pass_over(name, "the name is none of CellVoyager's, and no .mlf lists it")


def _all_shots(listed: dict[str, _Listed]) -> list[_Shot]:
    return [shot for of_folder in listed.values() for shot in (*of_folder.shots.values(), *of_folder.failed)]


def _acquisitions(listed: dict[str, _Listed]) -> dict[str, str]:
    """What to call each of several measurements, by its folder: the folder itself; of one, nothing."""
    return {name: name for name in listed} if len(listed) > 1 else {}


def _tell_apart(shots: Sequence[_Shot], acquisitions: dict[str, str]) -> Callable[[str, _Shot], Address]:
    """Make addresses of shots, so that two of one plane, by another timeline or action, differ."""
    takers: dict[tuple[Well, int, int, int, int], set[tuple[int, int]]] = {}
    kinds = {(shot.channel, shot.timeline, shot.action) for shot in shots}
    if len({channel for channel, *_ in kinds}) < len(kinds):
        for shot in shots:
            key = (shot.well, shot.field, shot.channel, shot.z, shot.t)
            takers.setdefault(key, set()).add((shot.timeline, shot.action))
    lines: set[int] = set()
    actions: set[tuple[int, int, int]] = set()
    for (_, _, channel, _, _), taken in takers.items():
        first = min(taken)
        for line, action in taken - {first}:
            if line != first[0]:
                lines.add(line)
            else:
                actions.add((channel, line, action))

    words: dict[tuple[str, int, int, int], tuple[str, str]] = {}

    def place(folder: str, shot: _Shot) -> Address:
        well, site, channel, z, t, line, action = shot
        key = (folder, channel, line, action)
        if key not in words:
            code = f"{channel}-A{action}" if (channel, line, action) in actions else str(channel)
            parts = (acquisitions.get(folder, ""), f"L{line}" if line in lines else "")
            words[key] = code, " ".join(part for part in parts if part)
        return Address(well, site, words[key][0], z, t, words[key][1])

    return place


def _tell(
    settings: Settings,
    listed: dict[str, _Listed],
    place: Callable[[str, _Shot], Address],
    planes: Sequence[FoundPlane],
    problems: Sequence[str],
) -> Told:
    failed = {
        place(name, shot): words for name, of_folder in listed.items() for shot, words in of_folder.failed.items()
    }
    expected: frozenset[Address] | None = None
    if listed and all(of_folder.is_whole for of_folder in listed.values()):
        shots = ((name, shot) for name, of_folder in listed.items() for shot in of_folder.shots.values())
        expected = frozenset(place(name, shot) for name, shot in shots) | failed.keys()
    codes = {plane.address.code for plane in planes} | {address.code for address in expected or ()}
    named = codes or {str(number) for number in settings.channels}
    positions = {where: at for of_folder in listed.values() for where, at in of_folder.positions.items()}
    return Told(
        plate=settings.plate,
        instrument=settings.instrument,
        wells=settings.wells,
        imaged=tuple(sorted(settings.imaged or {address.well for address in expected or ()})),
        channels=tuple(_channel(settings, code) for code in sorted(named, key=_by_number)),
        pixel_size_um=settings.pixel_size_um,
        z_step_um=settings.z_step_um,
        expected=expected,
        positions_um=positions,
        problems=tuple(problems),
        not_taken=failed,
    )


def _by_number(code: str) -> tuple[int, str]:
    return int(code.partition("-")[0]), code


def _channel(settings: Settings, code: str) -> ToldChannel:
    number = int(code.partition("-")[0])
    return replace(settings.channels.get(number, ToldChannel(code)), code=code)
