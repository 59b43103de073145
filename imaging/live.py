"""Rows of plates that are still being imaged, straight from the site manifests: provisional, and minutes old at most.

A plate is live while it has no publication, or once a site was measured again since. A plate that was withdrawn is
not. Of each site the newest manifest counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from imaging.aggregates import Row, SiteResult, aggregate_site
from imaging.errors import ConfigurationError, StoredDataError
from imaging.experiment import Limit
from imaging.job import open_experiment
from imaging.names import results_prefix
from imaging.store import Store, StoredObject
from imaging.tables import read_time

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
    limits: dict[str, tuple[Limit, ...]] = {}
    for folder in folders:
        record = published.get(folder, {})
        if record.get("status") == "withdrawn":
            continue
        counted = frozenset(record.get("manifests", ()))
        keys = _measured(store, results_prefix(*folder), is_published=bool(record))
        if counted.issuperset(keys):
            continue
        if folder[0] not in limits:
            limits[folder[0]] = _read_limits(store, folder[0])
        for manifest in read_records(store, keys):
            site, of_images = _live_rows(manifest, limits[folder[0]], is_published=manifest["key"] in counted)
            sites.append(site)
            images += of_images
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


def _read_limits(store: Store, experiment: str) -> tuple[Limit, ...]:
    """Limits of the experiment's declaration; without a readable one the defaults are all there is."""
    try:
        return open_experiment(store, experiment).analysis.limits
    except ConfigurationError:
        return ()


def _live_rows(
    manifest: Mapping[str, Any], limits: tuple[Limit, ...], *, is_published: bool
) -> tuple[Row, Iterator[Row]]:
    arrived = {image["channel"]: image["modified"] for image in manifest["images"]}
    result = SiteResult(manifest["well"], manifest["site"], "done", manifest)
    rows = aggregate_site(result, [*arrived, *manifest["missing"]], limits)
    place = {
        **{name: manifest[name] for name in ("experiment", "plate", "recipe")},
        "is_published": is_published,
        "finished_at": _finished_at(manifest.get("provenance") or {}),
    }
    images = ({**place, "arrived_at": arrived.get(row["channel"]), **row} for row in rows.images)
    return {**place, **rows.site}, images


def _finished_at(provenance: Mapping[str, Any]) -> Any:
    started = read_time(provenance.get("started_at"))
    return started and started + timedelta(seconds=provenance.get("seconds") or 0)
