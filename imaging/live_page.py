"""The page of a plate while it is being imaged: what is known so far, provisional, written again and again.

A projection without a record: killed anywhere, it is made again by whoever follows the plate next. It has a file of
its own beside the published page's (``imaging.page``), so it cannot hide a publication, whenever it is written; whoever
writes either page last sees the other and deletes what is live.

Each site is read once: its manifest without what no page shows, and its thumbnails as a small tile of the overview.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from imaging.atlas import PictureLayout
from imaging.collected_inputs import collect_inputs
from imaging.costs import NOTHING, Spending
from imaging.errors import ConfigurationError, PlateError, StoredDataError
from imaging.job import PlateJob
from imaging.live_atlas import LIVE_PICTURE, LiveAtlas
from imaging.page import (
    DATA,
    LIVE,
    PageData,
    check_pictures,
    delete_pictures,
    encode_data,
    encode_live,
    write_index,
    write_scripts,
)
from imaging.page_parts import LINKS, encode_links
from imaging.page_tables import describe_costs, page_from_tables
from imaging.planning import Plan
from imaging.platemaps import PlateMap
from imaging.projection import page_folder
from imaging.publish_tables import tables_above_cells
from imaging.records import manifest_key, preview_key, publication_numbers
from imaging.stored_records import SITE, read_record, read_small_record
from imaging.wells import PLATE_SHAPES
from imaging.zarr_plate import read_thumbnail

LIVE_PICTURE_S = 300.0
"""Age from which a picture of an earlier live page is deleted; a browser reads a live page again long before."""

NOTE = (
    "The plate is being imaged: all of this is provisional. Its publication adds features and statistics; until then "
    "SQL knows its images and sites as images_live and sites_live."
)
MOST_IMAGES = 3000
"""A live page of a larger plate shows medians only: it is written and read again too often for values per image."""

_READERS, _BATCH = 8, 32
"""Sites that are read at once, and that are held at once."""

_SHOWN = ("experiment", "plate", "recipe", "well", "site", "inputs", "content", "missing", "duplicates", "counts")
_OF_IMAGES = ("channel", "name", "size_bytes", "digest", "height", "width", "dtype", "planes")

Pictures = dict[str, np.ndarray]


class LivePage:
    """What a follower has seen of its plate, and the page that shows it.

    Parameters
    ----------
    job
        The plate.
    """

    def __init__(self, job: PlateJob) -> None:
        self.job = job
        self.atlas = self._new_atlas(job.experiment.layout.site_numbers)
        self._manifests: dict[str, dict[str, Any]] = {}
        self._records: dict[str, dict[str, Any]] = {}
        self._drawn: dict[tuple[str, int], tuple[str, list[str]]] = {}
        self._has_scripts = False

    def _new_atlas(self, sites: tuple[int, ...]) -> LiveAtlas:
        return LiveAtlas(
            shape=PLATE_SHAPES[self.job.experiment.layout.wells],
            sites=sites,
            channels={channel.name: channel.color for channel in self.job.experiment.channels},
        )

    def _make_room(self, plan: Plan) -> None:
        """Begin the pictures anew when the instrument's manifest adds sites that the overview has no room for."""
        sites = tuple(sorted({*self.job.experiment.layout.site_numbers, *(number for _, number in plan.expected)}))
        if not set(sites) <= set(self.atlas.grid.sites):
            self.atlas = self._new_atlas(sites)
            self._manifests.clear()
            self._drawn.clear()

    @property
    def has_pictures(self) -> bool:
        """Whether a site's picture is there."""
        return bool(self._drawn)

    def look(self, plan: Plan) -> dict[str, pa.Table]:
        """Read what is new and make the tables above cells of what is known.

        Sites that cannot be read, because their manifest or pixels are gone, are waited for or have no picture.

        Raises
        ------
        StoreUnavailableError
            If the storage does not answer; the next look reads what this one did not.
        """
        self.read_sites(plan)
        known = tuple(self._manifests.values())
        plate_map, problems = self._read_plate_map()
        inputs = collect_inputs(self.job, plan, plate_map, known, self._read_record)
        return tables_above_cells(replace(inputs, faults=(*inputs.faults, *problems)))

    def read_sites(self, plan: Plan) -> None:
        """Read manifests and thumbnails of measured sites that were not read yet; forget those that no longer count.

        Raises
        ------
        StoreUnavailableError
            If the storage does not answer.
        """
        self._make_room(plan)
        keys = _list_manifests(plan, self.job.prefix)
        for key in self._manifests.keys() - set(keys):
            del self._manifests[key]
        new = [key for key in keys if key not in self._manifests]
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(0, len(new), _BATCH):
                batch = new[start : start + _BATCH]
                for key, (manifest, pictures) in zip(batch, pool.map(self._read_site, batch), strict=True):
                    if manifest is not None:
                        self._draw(manifest, pictures)
                        self._manifests[key] = _shown(manifest)

    def write(
        self, tables: dict[str, pa.Table], *, spent: Spending | None = None, notice: str = "", now: float | None = None
    ) -> bool:
        """Write the page of a look, unless the plate is published.

        Parameters
        ----------
        tables
            What ``look`` gave.
        spent
            What the plate cost so far, if that is counted.
        notice
            What somebody has to do for the plate to go on; empty where it goes on by itself.
        now
            Unix seconds instead of the clock's.

        Returns
        -------
        Whether the page is that of the plate: ``False`` when there is a publication. Until that has a page of its own,
        this one is shown.
        """
        if self.is_published():
            return False
        now = time.time() if now is None else now
        store, folder = self.job.store, page_folder(self.job)
        pictures = self.atlas.draw() if self.has_pictures else None
        page = self._describe(tables, pictures.layout if pictures else None, now)
        open_sites = tables["sites"].column("state").to_pylist().count("waiting")
        page = replace(page, costs=describe_costs(spent or NOTHING, open_sites=open_sites), notice=_sentence(notice))
        files = pictures.files if pictures else {}
        self._write_files(folder, page, files)
        if self.is_published():
            has_page = store.read(f"{folder}{DATA}") != encode_data(None)
            if has_page:  # it is shown already; what is live is only in the way
                store.write(f"{folder}{LIVE}", encode_live(None))
                delete_pictures(store, folder, (), beginning=LIVE_PICTURE)
            return False
        delete_pictures(store, folder, files, beginning=LIVE_PICTURE, before=now - LIVE_PICTURE_S)
        return True

    def _write_files(self, folder: str, page: PageData, pictures: dict[str, bytes]) -> None:
        """Write pictures before the page that shows them; never over a publication's data."""
        store = self.job.store
        check_pictures(page, pictures)
        for name, data in pictures.items():
            store.write(f"{folder}{name}", data)
        if not self._has_scripts:
            write_scripts(store, folder)
            store.create(f"{folder}{DATA}", encode_data(None))
            store.create(f"{folder}{LINKS}", encode_links(()))
        store.write(f"{folder}{LIVE}", encode_live(page))
        if not self._has_scripts:
            write_index(store, folder)
            self._has_scripts = True

    def _describe(self, tables: dict[str, pa.Table], pictures: PictureLayout | None, now: float) -> PageData:
        experiment = self.job.experiment
        page = page_from_tables(
            tables,
            shape=PLATE_SHAPES[experiment.layout.wells],
            channels=[(channel.name, f"#{channel.color}") for channel in experiment.channels],
            pictures=pictures,
            has_image_values=tables["images"].num_rows <= MOST_IMAGES,
        )
        return replace(page, status="imaging", note=NOTE, updated_at=int(now))

    def is_published(self) -> bool:
        """Whether the plate has a publication, whose page is the plate's."""
        prefix = self.job.prefix
        return bool(publication_numbers(prefix, self.job.store.list(f"{prefix}publications/")))

    def _read_site(self, key: str) -> tuple[dict[str, Any] | None, Pictures | None]:
        try:
            manifest = read_record(self.job.store, key, SITE)
        except (FileNotFoundError, StoredDataError):  # a publisher disowned it, or finds out that it is damaged
            return None, None
        channels = [image["channel"] for image in manifest["images"]]
        return manifest, self._read_pictures(manifest["zarr"]["group"], channels) if manifest["zarr"] else None

    def _read_pictures(self, group: str, channels: list[str]) -> Pictures | None:
        try:
            planes = read_thumbnail(self.job.store, self.job.zarr, group)
        except StoredDataError:  # somebody deleted the pixels
            return None
        return dict(zip(channels, planes, strict=True)) if len(planes) == len(channels) else None

    def _draw(self, manifest: dict[str, Any], pictures: Pictures | None) -> None:
        """Draw a site; one that was measured before, from other images, counts no longer."""
        if pictures is None:
            return
        place = manifest["well"], manifest["site"]
        before = self._read_pictures(*self._drawn[place]) if place in self._drawn else None
        self.atlas.add(*place, pictures, instead_of=before)
        self._drawn[place] = manifest["zarr"]["group"], list(pictures)

    def _read_record(self, key: str) -> dict[str, Any]:
        """Read a record, which never changes, once."""
        if key not in self._records:
            self._records[key] = read_small_record(self.job.store, key)
        return self._records[key]

    def _read_plate_map(self) -> tuple[PlateMap | None, list[dict[str, Any]]]:
        """The plate map; where it is at fault, its problems as faults that the page shows."""
        try:
            return self.job.read_plate_map(), []
        except ConfigurationError as error:
            reasons = error.problems or (error.message,)
            return None, [_fault_of_map(error, reason) for reason in reasons]


def _sentence(text: str) -> str:
    """A text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def _list_manifests(plan: Plan, prefix: str) -> list[str]:
    """Addresses of the measured sites' manifests; of a site that is not done yet, of its preview, if it has one."""
    previews = {name.rpartition("-")[0]: name for name in sorted(plan.records.previews)}
    keys = []
    for site in plan.sites:
        preview = previews.get(f"{site.well}-{site.site}")
        if site.state == "done":
            keys.append(manifest_key(prefix, site.name))
        elif preview is not None and site.state not in ("failed", "missing"):
            keys.append(preview_key(prefix, preview))
    return keys


def _fault_of_map(error: PlateError, reason: str) -> dict[str, Any]:
    place = {"well": None, "site": None, "channel": None}
    return {"kind": "plate map", "name": error.key or "plate map", "reason": reason, **place}


def _shown(manifest: dict[str, Any]) -> dict[str, Any]:
    """What a page needs of a manifest, the names in it held once for all sites."""
    kept: dict[str, Any] = {name: manifest[name] for name in _SHOWN}
    kept["images"] = [{name: image[name] for name in _OF_IMAGES if name in image} for image in manifest["images"]]
    kept["image_metrics"] = [
        {sys.intern(name): value for name, value in metrics.items()} for metrics in manifest["image_metrics"]
    ]
    return kept
