"""Where a plate's field of illumination comes from, decided once per plate and frozen.

Whoever follows the plate may decide; of two that do at once, one record is created, and both go on with that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from numpy.typing import NDArray

from imaging.errors import ChangedObjectError, ConfigurationError, StoredDataError, UnreadableImageError
from imaging.illumination_estimate import estimate_plate
from imaging.illumination_field import PlateField
from imaging.illumination_files import read_declared_field
from imaging.illumination_frozen import freeze_field
from imaging.illumination_shelf import newest_offers
from imaging.job import PlateJob
from imaging.plane_files import read_plane
from imaging.planning import Plan
from imaging.records import preview_key
from imaging.stored_records import SITE, read_record

_READERS = 16


@dataclass
class _Choice:
    """Fields as they are chosen channel by channel, all for planes of one size, and what is said of each channel.

    ``size`` is that of the plate's planes as far as it is known, then that of the first field.
    """

    size: tuple[int, int] | None = None
    fields: dict[str, NDArray[Any]] = field(default_factory=dict)
    said: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take(self, channel: str, found: PlateField, said: Mapping[str, Any]) -> bool:
        """Take a channel's field, unless it belongs to planes of another size."""
        size = (found.height, found.width)
        if channel not in found.fields or self.size not in (None, size):
            return False
        self.size = size
        self.fields[channel] = found.fields[channel]
        self.said[channel] = dict(said)
        return True

    @property
    def plate_field(self) -> PlateField | None:
        """The fields taken; ``None`` if there are none."""
        return PlateField(*self.size, self.fields) if self.size and self.fields else None


def freeze_due(job: PlateJob, plan: Plan) -> bool:
    """Freeze the field of a plate for which that is due; return whether this call did it.

    Raises
    ------
    ConfigurationError
        If a declared file is at fault, with all faults, or holds fields of another size than the plate's planes.
    """
    section = job.experiment.illumination
    choice = _CHOICES[section.source](job, plan)
    if choice is None:
        return False
    described = {
        "experiment": job.experiment.name,
        "plate": job.plate,
        "recipe": job.recipe,
        "source": section.source,
        "variant": None if section.source == "file" else section.variant,
        "channels": {channel.name: choice.said.get(channel.name, {}) for channel in job.experiment.channels},
        "frozen_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "software": version("platestream"),
    }
    return freeze_field(job.store, job.prefix, choice.plate_field, described)


def _from_files(job: PlateJob, plan: Plan) -> _Choice:
    """Fields of the files that the declaration names; a channel that it names none for is not corrected."""
    choice = _Choice(_size_of_planes(job, plan))
    _take_declared(job, choice)
    return choice


def _from_earlier_plates(job: PlateJob, plan: Plan) -> _Choice:
    """Of each channel the newest field of a published plate that is good enough, else that of a declared file."""
    section, choice = job.experiment.illumination, _Choice(_size_of_planes(job, plan))
    channels = [channel.name for channel in job.experiment.channels]
    for offer in newest_offers(job.store, job.experiment):
        for channel in channels:
            known = offer.how_known(section.variant, channel)
            if channel in choice.fields or known is None or not known.is_enough(section):
                continue
            found = offer.load(job.store, section.variant)
            if found is not None:
                said = {"n_sites": known.n_sites, "error_percent": known.error_percent}
                choice.take(channel, found, {"from": offer.describe(), **said})
        if len(choice.fields) == len(channels):
            break
    _take_declared(job, choice)
    reason = (
        f"no plate published before gives a field of this size from {section.min_sites} sites or more that is known to "
        f"{section.max_error_percent:g} %"
    )
    for channel in channels:
        choice.said.setdefault(channel, {"reason": reason})
    return choice


def _take_declared(job: PlateJob, choice: _Choice) -> None:
    declared = read_declared_field(lambda name: job.maps.read(job.maps_folder + name), job.experiment)
    section = job.experiment.illumination
    if declared is None:
        return
    if choice.size not in (None, (declared.height, declared.width)):
        height, width = choice.size or (0, 0)
        raise ConfigurationError(
            f"the declared fields of illumination are for planes of {declared.width} x {declared.height} pixels, and "
            f"the plate's have {width} x {height}; declare fields of their size",
            experiment=job.experiment.name,
            plate=job.plate,
        )
    for channel in declared.fields:
        if channel not in choice.fields:
            name = section.file or (section.files or {})[channel]
            choice.take(channel, declared, {"from": {"file": name}})


def _size_of_planes(job: PlateJob, plan: Plan) -> tuple[int, int] | None:
    """Height and width of the first image that can be read; ``None`` if none can.

    Raises
    ------
    StoreUnavailableError
        If the storage does not answer: the field is due again at the next look.
    """
    for file in (file for site in plan.todo for file in site.files.values()):
        try:
            height, width = read_plane(job.raw, job.raw_folder, file).shape
        except (UnreadableImageError, ChangedObjectError, FileNotFoundError, PermissionError):
            continue
        return height, width
    return None


def _from_this_plate(job: PlateJob, plan: Plan) -> _Choice | None:
    """The plate's own estimate from the sites that are previewed, whatever is known of its quality.

    ``None`` where previews or their thumbnails are damaged or gone, as those of a published plate are in time: they are
    deleted, and the field is due again when they are made again.
    """
    variant, choice = job.experiment.illumination.variant, _Choice()
    channels = [channel.name for channel in job.experiment.channels]
    keys = {(site.well, site.site): preview_key(job.prefix, site.name) for site in plan.of("previewed")}
    previews = _read_previews(job, keys.values())
    lost = keys.keys() - {(item["well"], item["site"]) for item in previews}

    def note_lost(preview: Mapping[str, Any]) -> None:
        lost.add((preview["well"], preview["site"]))

    estimate = estimate_plate(job.store, job.zarr, previews, channels, on_lost=note_lost)
    for place in sorted(lost):
        job.store.delete(keys[place])
    if lost:
        return None
    found = estimate.field_of(variant)
    for channel in channels:
        known = estimate.channels.get((variant, channel))
        if found is not None and known is not None:
            said = {"n_sites": known.n_sites, "error_percent": known.error_percent}
            choice.take(channel, found, {"from": {"plate": job.plate}, **said})
        else:
            choice.said[channel] = {"reason": "no site shows any background of this channel"}
    return choice


def _read_previews(job: PlateJob, keys: Iterable[str]) -> list[dict[str, Any]]:
    """Manifests of the previewed sites, but for those that are damaged, or gone since they were listed."""

    def read(key: str) -> dict[str, Any] | None:
        try:
            return read_record(job.store, key, SITE)
        except (FileNotFoundError, StoredDataError):
            return None

    with ThreadPoolExecutor(_READERS) as pool:
        return [record for record in pool.map(read, keys) if record is not None]


_CHOICES: dict[str, Callable[[PlateJob, Plan], _Choice | None]] = {
    "file": _from_files,
    "previous": _from_earlier_plates,
    "plate": _from_this_plate,
}
