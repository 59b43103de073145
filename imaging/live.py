"""Rows of plates that are still being imaged, straight from the site manifests: provisional, and minutes old at most.

A plate is live while it has no publication, or once a site was measured again since. A plate that was withdrawn is
not. Of each site the newest manifest counts. Verdicts are those of ``imaging.judging`` over the sites measured so far;
with earlier plates a plate is compared only when it is published.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from imaging.aggregates import Row, SiteResult, SiteRows, aggregate_site
from imaging.columns import read_time
from imaging.errors import ConfigurationError, StoredDataError
from imaging.experiment import Experiment
from imaging.job import open_experiment, plate_job
from imaging.judging import judge_plate
from imaging.names import is_experimental, results_prefix
from imaging.rules import COUNTS, IMAGE_METRICS, Rules
from imaging.store import Store, StoredObject
from imaging.tables import FAULT_RECORDS
from imaging.time_points import site_columns

READERS = 16
"""Small objects that are read at once."""

PlateFolder = tuple[str, str, str]
"""Experiment, plate and recipe: where a plate's results lie."""


def read_records(store: Store, keys: Iterable[str]) -> list[dict[str, Any]]:
    """Read records, many at once, in the order of their keys; each gets its own address as ``key``.

    Raises
    ------
    StoredDataError
        If one is no JSON object, or gone since it was listed.
    """

    def read(key: str) -> dict[str, Any]:
        try:
            return {**json.loads(store.read(key)), "key": key}
        except (FileNotFoundError, ValueError, TypeError, RecursionError) as error:
            raise StoredDataError("the record is gone or damaged", key=key) from error

    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, keys))


def read_live_rows(
    store: Store, folders: Iterable[PlateFolder], published: Mapping[PlateFolder, Mapping[str, Any]]
) -> dict[str, list[Row]]:
    """Read the rows of ``images_live`` and ``sites_live``; experimental recipes are in neither.

    Parameters
    ----------
    store
        Where the records are.
    folders
        Every plate with results.
    published
        Current publication record of each plate that has one.
    """
    images: list[Row] = []
    sites: list[Row] = []
    declared: dict[str, Experiment | None] = {}
    for folder in folders:
        if is_experimental(folder[2]):
            continue
        plate = LivePlate(store, folder)
        if not plate.look(published.get(folder, {})):
            continue
        if folder[0] not in declared:
            declared[folder[0]] = read_declared(store, folder[0])
        for site in plate.judge(declared[folder[0]]):
            sites.append(site.row)
            images += site.images
    return {"images_live": images, "sites_live": sites}


@dataclass(frozen=True, slots=True)
class LiveSite:
    """Rows of a measured site and its images, and the address of its manifest."""

    key: str
    row: Row
    images: tuple[Row, ...]


@dataclass
class LivePlate:
    """A plate in progress that is looked at again and again: each manifest is read once.

    Parameters
    ----------
    store, folder
        Where the records are, and the plate's place among them.
    """

    store: Store
    folder: PlateFolder
    _counted: frozenset[str] = frozenset()
    _sites: dict[str, tuple[Row, SiteRows, Mapping[str, Any]]] = field(default_factory=dict)

    def look(self, record: Mapping[str, Any]) -> bool:
        """List the measured sites and read those that are new; return whether the plate is live.

        ``record`` is its current publication; empty where there is none.
        """
        self._counted = frozenset(record.get("manifests", ()))
        withdrawn = record.get("status") == "withdrawn"
        keys = [] if withdrawn else _measured(self.store, results_prefix(*self.folder), is_published=bool(record))
        if self._counted.issuperset(keys):
            self._sites = {}
            return False
        new = read_records(self.store, [key for key in keys if key not in self._sites])
        read = self._sites | {manifest["key"]: _aggregated(manifest) for manifest in new}
        self._sites = {key: read[key] for key in keys}
        return True

    def judge(self, declared: Experiment | None) -> list[LiveSite]:
        """Rows of the measured sites as they were last seen, judged together by the rules of the experiment."""
        empty = _empty_wells(self.store, declared, self.folder[1]) if declared else frozenset()
        sites = [replace(site, is_empty_well=site.site["well"] in empty) for _, site, _ in self._sites.values()]
        judged = judge_plate(sites, declared.rules if declared else Rules()).sites
        return [self._site(key, rows) for key, rows in zip(self._sites, judged, strict=True)]

    def _site(self, key: str, rows: SiteRows) -> LiveSite:
        finished, _, arrived = self._sites[key]
        place = dict(zip(("experiment", "plate", "recipe"), self.folder, strict=True))
        place |= {"is_published": key in self._counted, **finished}
        images = tuple(place | {"arrived_at": arrived.get(row["channel"])} | row for row in rows.images)
        return LiveSite(key, place | rows.site, images)


def _aggregated(manifest: Mapping[str, Any]) -> tuple[Row, SiteRows, Mapping[str, Any]]:
    try:
        return _aggregate(manifest)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _incomplete("a site's manifest", manifest, error) from error


def _incomplete(what: str, record: Mapping[str, Any], error: Exception) -> StoredDataError:
    """A record that is JSON, and not what it should be."""
    words = f"lacks {error.args[0]}" if isinstance(error, KeyError) else f"is damaged ({error})"
    return StoredDataError(f"{what} {words}; platestream repair makes it again", key=record["key"])


def _aggregate(manifest: Mapping[str, Any]) -> tuple[Row, SiteRows, Mapping[str, Any]]:
    """When a site was finished, its rows before they are judged, and when the file of each channel was written."""
    channels = [*(image["channel"] for image in manifest["images"]), *manifest["missing"]]
    rows = aggregate_site(SiteResult(manifest["well"], manifest["site"], "done", manifest), channels)
    for row, names in ((rows.site, COUNTS), *((image, IMAGE_METRICS) for image in rows.images)):
        for name in names:
            if not isinstance(row.get(name), int | float | None):
                raise TypeError(f"{name} is no number")
    arrived = {image["channel"]: image["modified"] for image in manifest["images"]}
    return {"finished_at": _finished_at(manifest.get("provenance") or {})}, rows, arrived


def read_fault_rows(store: Store, folders: Iterable[PlateFolder]) -> list[Row]:
    """Read the rows of ``fault_records``: everything that was ever found unusable."""
    return read_faults(store, [key for folder in folders for key in list_faults(store, folder)])


def list_faults(store: Store, folder: PlateFolder) -> list[str]:
    """Addresses of a plate's fault records."""
    return [item.key for item in store.list(f"{results_prefix(*folder)}faults/").objects]


def read_faults(store: Store, keys: Iterable[str]) -> list[Row]:
    """Rows of ``fault_records`` of these records, in the order of their addresses."""
    return [_fault_row(record) for record in read_records(store, sorted(keys))]


def _fault_row(record: Mapping[str, Any]) -> Row:
    try:
        given = {**record, **site_columns(record.get("site")), "found_at": read_time(record["found_at"])}
    except (KeyError, TypeError, ValueError) as error:
        raise _incomplete("the record of a fault", record, error) from error
    return {column.name: given[column.name] for column in FAULT_RECORDS.columns if column.name in given}


def _measured(store: Store, prefix: str, *, is_published: bool) -> list[str]:
    """Keys of each site's newest manifest; before the first publication, of its preview's where there is no other."""
    voids = {item.key.rpartition("/")[2] for item in store.list(f"{prefix}voids/").objects}
    keys = _newest_whole(store, f"{prefix}sites/", voids)
    if is_published:
        return keys
    done = {_site_of(key) for key in keys}
    previews = _newest_whole(store, f"{prefix}previews/", voids)
    return sorted([*keys, *(key for key in previews if _site_of(key) not in done)])


def _newest_whole(store: Store, folder: str, voids: set[str]) -> list[str]:
    """Keys of each site's newest manifest that is not void."""
    return newest_manifests(item for item in store.list(folder).objects if item.key.rpartition("/")[2] not in voids)


def _site_of(key: str) -> str:
    """``<well>-<site>`` of a manifest ``.../<well>-<site>-<inputs>.json``."""
    return key.rpartition("-")[0].rpartition("/")[2]


def newest_manifests(objects: Iterable[StoredObject]) -> list[str]:
    """Keys of each site's newest manifest ``.../<well>-<site>-<inputs>.json``, in order."""
    newest: dict[str, StoredObject] = {}
    for item in objects:
        site = item.key.rpartition("-")[0]
        if site not in newest or (newest[site].modified, newest[site].key) < (item.modified, item.key):
            newest[site] = item
    return sorted(item.key for item in newest.values())


def read_declared(store: Store, experiment: str) -> Experiment | None:
    """The experiment's declaration; without a readable one the default limits are all there is."""
    try:
        return open_experiment(store, experiment)
    except ConfigurationError:
        return None


def _empty_wells(store: Store, declared: Experiment, plate: str) -> frozenset[str]:
    """Wells that the plate map calls empty; none when there is no readable one."""
    try:
        return plate_job(store, declared, plate).read_plate_map().empty_wells
    except ConfigurationError:
        return frozenset()


def _finished_at(provenance: Mapping[str, Any]) -> Any:
    started = read_time(provenance.get("started_at"))
    return started and started + timedelta(seconds=provenance.get("seconds") or 0)
