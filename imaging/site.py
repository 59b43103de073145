"""One site from its files to its manifest: read, decode, measure, write data under fresh names, record last."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from imaging.errors import (
    ChangedObjectError,
    LostDataError,
    SharedDataError,
    StoredDataError,
    UnreadableImageError,
)
from imaging.faults import record_fault
from imaging.fresh_data import Writes, fresh_data
from imaging.grace import Stopwatch
from imaging.illumination import AWAITED, is_preview, pinned_values
from imaging.illumination_frozen import load_frozen
from imaging.names import hash_of, stored, to_json
from imaging.placement import Placement, refuse_elsewhere
from imaging.plane_files import Plane, SiteReading, compare_others, read_site
from imaging.planning import SitePlan
from imaging.provenance import LOCAL, Run, Whereabouts, begin_run
from imaging.records import field_key, manifest_key, pins_key, preview_key
from imaging.store import Store, open_store
from imaging.stored_records import PINS, read_record
from imaging.wells import parse_well
from imaging.zarr_site import write_site

WRONG_PLACE = "let workers run where it may be, or change placement in experiment.yaml"


@dataclass(frozen=True)
class SiteMeasurement:
    """What is measured on one site.

    ``image_metrics`` one row per channel; ``counts`` objects per set; ``cells`` one row per cell; ``image_features``
    one row per channel; ``labels`` label images by object set, shape (y, x); ``thumbnails`` shape (c, y, x), shrunk by
    ``factor``.
    """

    image_metrics: tuple[dict[str, Any], ...]
    counts: dict[str, int | None]
    cells: pa.Table
    image_features: pa.Table
    labels: dict[str, np.ndarray]
    thumbnails: np.ndarray
    factor: int


Measure = Callable[..., SiteMeasurement]
"""Measures planes by channel, given what is pinned (``pinned_values``) and, where one is frozen, a ``PlateField``."""


@dataclass(frozen=True)
class SiteTask:
    """All that a worker needs to process one site; small, and alike for every follower of the plate."""

    store_url: str
    raw_url: str
    raw_folder: str
    experiment: str
    plate: str
    recipe: str
    prefix: str
    zarr: str
    writes_images: bool
    colors: tuple[tuple[str, str], ...]
    plan: SitePlan
    placement: Placement | None = None

    @property
    def key(self) -> str:
        """The same key for the same work: two followers of a plate share its result."""
        return f"site-{self.experiment}-{self.plate}-{self.recipe}-{self.plan.name}-{self.plan.attempts}"

    @property
    def in_pieces(self) -> bool:
        """Whether to go about it with care, for it failed before: alone, and in as little memory as possible."""
        return self.plan.attempts > 0


@dataclass(frozen=True, slots=True)
class SiteOutcome:
    """How a site's task ended: its manifest is there, a file is at fault, or what it was planned by has changed."""

    status: Literal["done", "faulted", "changed"]
    seconds: float = 0.0


@lru_cache(maxsize=8)
def opened(url: str) -> Store:
    """Open a store once per process."""
    return open_store(url)


@lru_cache(maxsize=64)
def _pins(url: str, prefix: str) -> dict[str, Any]:
    key = pins_key(prefix)
    try:
        return read_record(opened(url), key, PINS)
    except FileNotFoundError as error:
        raise SharedDataError("the plate's pins are gone; platestream repair makes them again", key=key) from error
    except StoredDataError as error:
        raise SharedDataError(error.message, key=key) from error


def process_site(
    task: SiteTask,
    measure: Measure,
    *,
    pins: dict[str, Any] | None = None,
    store: Store | None = None,
    raw: Store | None = None,
    at: Whereabouts = LOCAL,
) -> SiteOutcome:
    """Process one site, unless its manifest is there already; ``at`` is where this worker computes.

    Safe to run any number of times, at once, and to be killed anywhere: data objects have fresh names, and the
    manifest, created last and only if absent, says which of them count.

    Raises
    ------
    PlacementError
        If the images must not come to this worker.
    PlateError, ValueError
        If the site cannot be processed for a reason that is not one unreadable file.
    """
    refuse_elsewhere(
        task.placement, at.place, what="this worker", cure=WRONG_PLACE, experiment=task.experiment, plate=task.plate
    )
    store, raw = store or opened(task.store_url), raw or opened(task.raw_url)
    with begin_run(at) as run:
        return _process(task, measure, pins, store, raw, run)


def _process(
    task: SiteTask, measure: Measure, pins: dict[str, Any] | None, store: Store, raw: Store, run: Run
) -> SiteOutcome:
    pins = pinned_values(pins or _pins(task.store_url, task.prefix), task.plan.field)
    manifest = (preview_key if is_preview(pins) else manifest_key)(task.prefix, task.plan.name)
    if store.exists(manifest):
        return SiteOutcome("done")
    if task.plan.field == AWAITED and (not is_preview(pins) or store.exists(field_key(task.prefix))):
        return SiteOutcome("changed")
    # before any image is read, as damage of it meets every site of the plate, again and again
    field = () if task.plan.field in (None, AWAITED) else (load_frozen(store, task.prefix, task.plan.field),)
    try:
        reading = read_site(raw, task.raw_folder, task.plan, pins["pixels"]["recipe"])
        duplicates = compare_others(raw, task.raw_folder, task.plan, reading)
    except (ChangedObjectError, FileNotFoundError):
        return SiteOutcome("changed")
    if reading.faults:
        place = {name: getattr(task, name) for name in ("experiment", "plate", "recipe")}
        for channel, file, reason in reading.faults:
            at_site = {"well": task.plan.well, "site": task.plan.site, "channel": channel}
            record_fault(store, task.prefix, place | at_site, file, reason)
        return SiteOutcome("faulted")
    _refuse_odd_shapes(task, reading.planes)
    measured = measure(reading.planes, pins, *field)
    writing = Stopwatch()
    with fresh_data(store) as written:
        data = _write_data(task, written, reading.planes, measured, pins)
    record = _manifest(task, reading, duplicates, measured, data, pins)
    record["provenance"] = run.describe()
    if writing.is_overdue:
        written.delete()
        return SiteOutcome("changed")
    if not store.create(manifest, to_json(record)):
        written.delete()
    return SiteOutcome("done", run.watch.seconds)


def _refuse_odd_shapes(task: SiteTask, planes: dict[str, Plane]) -> None:
    """Planes of one site must have one shape; which of them is wrong, nobody can tell but a person."""
    if len({plane.shape for plane in planes.values()}) > 1:
        sizes = ", ".join(f"{channel} {plane.shape[1]} x {plane.shape[0]}" for channel, plane in planes.items())
        raise UnreadableImageError(
            f"the site's images have different sizes in pixels: {sizes}; replace the wrong one",
            experiment=task.experiment,
            plate=task.plate,
            well=task.plan.well,
            site=task.plan.site,
        )


def _write_data(
    task: SiteTask, store: Writes, planes: dict[str, Plane], measured: SiteMeasurement, pins: dict[str, Any]
) -> dict[str, Any]:
    """Write pixels, labels, cells and features under fresh names, and say what. Of a preview, thumbnails only."""
    fresh = uuid.uuid4().hex[:12]
    written: dict[str, Any] = {"part": None, "image_part": None, "zarr": None}
    if not is_preview(pins):
        for entry, suffix, rows in (("part", "", measured.cells), ("image_part", "-images", measured.image_features)):
            key = f"{task.prefix}parts/{task.plan.well}-{task.plan.site}-{fresh}{suffix}.arrow"
            data = write_part(rows)
            store.write(key, data)
            written[entry] = stored(key, data)
    if task.writes_images:
        well = parse_well(task.plan.well)
        group = f"{well.row_name}/{well.column}/s{task.plan.site}x{fresh}"
        colors, pinned = dict(task.colors), {channel["name"]: channel for channel in pins["pixels"]["channels"]}
        channels = [{"name": name, "color": colors[name], "full_scale": pinned[name]["full_scale"]} for name in planes]
        pixels = measured.thumbnails if is_preview(pins) else np.stack(list(planes.values()))
        objects = write_site(
            store,
            f"{task.zarr}/{group}",
            planes=pixels,
            thumbnails=measured.thumbnails.astype(pixels.dtype, copy=False),  # wider where the full scale is
            factor=1 if is_preview(pins) else measured.factor,
            labels=measured.labels,
            channels=channels,
            pixel_size_um=_pixel_size(pins, measured.factor),
        )
        written["zarr"] = {"group": group, "objects": objects}
    return written


def _pixel_size(pins: dict[str, Any], factor: int) -> float | None:
    """Side of a stored pixel in micrometres; those of a preview are the thumbnails'."""
    pixel_size_um = pins["pixels"].get("pixel_size_um")
    return pixel_size_um * factor if pixel_size_um and is_preview(pins) else pixel_size_um


def _manifest(
    task: SiteTask,
    reading: SiteReading,
    duplicates: list[dict[str, Any]],
    measured: SiteMeasurement,
    data: dict[str, Any],
    pins: dict[str, Any],
) -> dict[str, Any]:
    plan = task.plan
    content = hash_of(
        [
            [[image["channel"], image["name"], image["digest"]] for image in reading.images],
            duplicates,
            list(plan.missing),
            pins,
        ]
    )
    return {
        "experiment": task.experiment,
        "plate": task.plate,
        "recipe": task.recipe,
        "well": plan.well,
        "site": plan.site,
        "inputs": plan.inputs,
        "content": content,
        "images": reading.images,
        "missing": list(plan.missing),
        "duplicates": duplicates,
        "image_metrics": list(measured.image_metrics),
        "counts": measured.counts,
        "part": data["part"],
        "image_part": data["image_part"],
        "zarr": data["zarr"],
    }


def write_part(rows: pa.Table) -> bytes:
    """Encode rows of a site as Arrow IPC, compressed by zstd."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, rows.schema, options=options) as writer:
        writer.write_table(rows)
    return sink.getvalue().to_pybytes()


def read_part(store: Store, manifest: dict[str, Any], entry: str = "part") -> pa.Table:
    """Read what a finished site stored: its cells (``part``), or the features of its images (``image_part``).

    Raises
    ------
    LostDataError
        If the part is gone or its bytes are not those that were recorded.
    """
    described = manifest[entry]
    place = {name: manifest[name] for name in ("experiment", "plate", "well", "site")}
    try:
        data = store.read(described["key"])
    except FileNotFoundError as error:
        raise LostDataError("the site's part is gone; the site is made again", key=described["key"], **place) from error
    if stored(described["key"], data) != described:
        raise LostDataError("the site's part is damaged; the site is made again", key=described["key"], **place)
    return pa.ipc.open_file(pa.BufferReader(data)).read_all()
