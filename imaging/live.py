"""Rows of plates that are still being imaged, straight from the site manifests: provisional, and minutes old at most.

A plate is live while it has no publication, or once a site was measured again since. A plate that was withdrawn is
not. Of each site the newest manifest counts. Verdicts are those of ``imaging.judging`` over the sites measured so far;
with earlier plates a plate is compared only when it is published.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from imaging.aggregates import Row, SiteResult, SiteRows, aggregate_site
from imaging.columns import read_time
from imaging.errors import ConfigurationError, StoredDataError
from imaging.experiment import Experiment
from imaging.job import open_experiment, plate_job
from imaging.judging import judge_plate
from imaging.names import results_prefix
from imaging.rules import Rules
from imaging.store import Store, StoredObject

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
        except (FileNotFoundError, ValueError, TypeError) as error:
            raise StoredDataError("the record is gone or damaged", key=key) from error

    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, keys))


def read_live_rows(
    store: Store, folders: Iterable[PlateFolder], published: Mapping[PlateFolder, Mapping[str, Any]]
) -> dict[str, list[Row]]:
    """Read the rows of ``images_live`` and ``sites_live``.

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
        record = published.get(folder, {})
        if record.get("status") == "withdrawn":
            continue
        counted = frozenset(record.get("manifests", ()))
        keys = _measured(store, results_prefix(*folder), is_published=bool(record))
        if counted.issuperset(keys):
            continue
        if folder[0] not in declared:
            declared[folder[0]] = _read_declared(store, folder[0])
        manifests = read_records(store, keys)
        for manifest, rows in zip(manifests, _judge(store, declared[folder[0]], manifests), strict=True):
            place = _place(manifest, is_published=manifest["key"] in counted)
            arrived = {image["channel"]: image["modified"] for image in manifest["images"]}
            sites.append(place | rows.site)
            images += [place | {"arrived_at": arrived.get(row["channel"])} | row for row in rows.images]
    return {"images_live": images, "sites_live": sites}


def read_fault_rows(store: Store, folders: Iterable[PlateFolder]) -> list[Row]:
    """Read the rows of ``fault_records``: everything that was ever found unusable."""
    keys = [item.key for folder in folders for item in store.list(f"{results_prefix(*folder)}faults/").objects]
    rows = read_records(store, sorted(keys))
    return [{**_without_key(row), "found_at": read_time(row["found_at"])} for row in rows]


def _without_key(row: Mapping[str, Any]) -> Row:
    return {name: value for name, value in row.items() if name != "key"}


def _measured(store: Store, prefix: str, *, is_published: bool) -> list[str]:
    """Keys of each site's newest manifest; before the first publication, of its preview's where there is no other."""
    keys = _newest(store.list(f"{prefix}sites/").objects)
    if is_published:
        return keys
    done = {_site_of(key) for key in keys}
    previews = _newest(store.list(f"{prefix}previews/").objects)
    return sorted([*keys, *(key for key in previews if _site_of(key) not in done)])


def _site_of(key: str) -> str:
    """``<well>-<site>`` of a manifest ``.../<well>-<site>-<inputs>.json``."""
    return key.rpartition("-")[0].rpartition("/")[2]


def _newest(objects: Iterable[StoredObject]) -> list[str]:
    """Keys of each site's newest manifest ``.../<well>-<site>-<inputs>.json``."""
    newest: dict[str, StoredObject] = {}
    for item in objects:
        site = item.key.rpartition("-")[0]
        if site not in newest or (newest[site].modified, newest[site].key) < (item.modified, item.key):
            newest[site] = item
    return sorted(item.key for item in newest.values())


def _read_declared(store: Store, experiment: str) -> Experiment | None:
    """The experiment's declaration; without a readable one the default limits are all there is."""
    try:
        return open_experiment(store, experiment)
    except ConfigurationError:
        return None


def _judge(store: Store, declared: Experiment | None, manifests: Sequence[Mapping[str, Any]]) -> tuple[SiteRows, ...]:
    """Rows of the measured sites of one plate, judged together."""
    empty = _empty_wells(store, declared, manifests[0]["plate"]) if declared and manifests else frozenset()
    sites = [
        aggregate_site(
            SiteResult(manifest["well"], manifest["site"], "done", manifest),
            [*(image["channel"] for image in manifest["images"]), *manifest["missing"]],
            is_empty_well=manifest["well"] in empty,
        )
        for manifest in manifests
    ]
    return judge_plate(sites, declared.rules if declared else Rules()).sites


def _empty_wells(store: Store, declared: Experiment, plate: str) -> frozenset[str]:
    """Wells that the plate map calls empty; none when there is no readable one."""
    try:
        return plate_job(store, declared, plate).read_plate_map().empty_wells
    except ConfigurationError:
        return frozenset()


def _place(manifest: Mapping[str, Any], *, is_published: bool) -> Row:
    """Columns that all rows of a site carry."""
    return {
        **{name: manifest[name] for name in ("experiment", "plate", "recipe")},
        "is_published": is_published,
        "finished_at": _finished_at(manifest.get("provenance") or {}),
    }


def _finished_at(provenance: Mapping[str, Any]) -> Any:
    started = read_time(provenance.get("started_at"))
    return started and started + timedelta(seconds=provenance.get("seconds") or 0)
