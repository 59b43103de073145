"""A frozen field of illumination that is gone or damaged, made again from where its record says it came.

It is written only if it comes out with the same bytes: then it is what it was for every site measured with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from imaging.damage import CURES, Damage
from imaging.errors import PlateError, StoredDataError
from imaging.illumination_estimate import estimate_plate
from imaging.illumination_field import PlateField, encode_field
from imaging.illumination_files import read_declared_field
from imaging.illumination_frozen import load_field
from imaging.job import PlateJob
from imaging.live import newest_manifests, read_records
from imaging.names import results_prefix, stored
from imaging.records import publication_key, read_names
from imaging.stored_records import FIELD, read_record


def write_field(job: PlateJob, damage: Damage) -> str:
    """Make the plate's frozen field again.

    Raises
    ------
    StoredDataError
        If it does not come out as it was, or what it came from is gone.
    """
    record = job.read_frozen()
    for found in _of_sites(job, record) if record["source"] == "plate" else _of_others(job, record):
        data = encode_field(found)
        if stored(damage.key, data) == record["field"]:
            job.store.write(damage.key, data)
            return "made again, with the same bytes"
    raise StoredDataError(
        "it does not come out as it was from where it came; bring it back from a copy", key=damage.key
    )


def write_frozen(job: PlateJob, damage: Damage) -> str:
    """Give the record of the frozen field the digest of its field again, where nothing else of it is damaged.

    Raises
    ------
    StoredDataError
        If that is not so.
    """
    record = read_record(job.store, damage.key, FIELD, cure=CURES["frozen"])
    if not record.get("field"):
        raise StoredDataError(CURES["frozen"], key=damage.key)
    digest = load_field(job.store, record["field"]).digest
    if digest == record.get("digest"):
        raise StoredDataError(CURES["frozen"], key=damage.key)
    job.write_frozen(record | {"digest": digest})
    return "its digest is that of its field again"


def _of_sites(job: PlateJob, record: Mapping[str, Any]) -> Iterator[PlateField]:
    """The plate's own field: whole numbers summed over its previews, or over the sites that were previewed then.

    Thumbnails of previews are swept once the plate is published; each site's own are the same. Sites that came after
    the field was frozen are no part of it.
    """
    listing = job.store.list(job.prefix)
    voids = read_names(job.prefix, listing).voids
    whole = [item for item in listing.objects if _name_of(item.key) not in voids]
    previews, sites = (
        newest_manifests(item for item in whole if item.key.startswith(f"{job.prefix}{kind}/"))
        for kind in ("previews", "sites")
    )
    previewed = {_place_of(key) for key in previews}
    channels = [channel.name for channel in job.experiment.channels]
    for keys in (previews, [key for key in sites if _place_of(key) in previewed], sites):
        with contextlib.suppress(StoredDataError):  # a damaged manifest: another set may be whole
            estimate = estimate_plate(job.store, job.zarr, read_records(job.store, keys), channels)
            if found := estimate.field_of(record["variant"]):
                yield found


def _name_of(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _place_of(key: str) -> str:
    """``<well>-<site>`` of a manifest's address."""
    return _name_of(key).rpartition("-")[0]


def _of_others(job: PlateJob, record: Mapping[str, Any]) -> Iterator[PlateField]:
    """Fields of declared files and of earlier plates' publications, channel by channel as the record names them."""
    fields: dict[str, Any] = {}
    size = (0, 0)
    declared = None
    for channel, said in record["channels"].items():
        source = said.get("from")
        if not source:
            continue
        if "file" in source:
            found = declared = declared or _of_files(job)
        else:
            found = _of_publication(job, source, record["variant"])
        if found is None or channel not in found.fields:
            raise PlateError("what it came from is gone")
        size, fields[channel] = (found.height, found.width), found.fields[channel]
    if fields:
        yield PlateField(*size, fields)


def _of_files(job: PlateJob) -> PlateField | None:
    return read_declared_field(lambda name: job.maps.read(job.maps_folder + name), job.experiment)


def _of_publication(job: PlateJob, source: Mapping[str, Any], variant: str) -> PlateField:
    prefix = results_prefix(source["experiment"], source["plate"], source["recipe"])
    (publication,) = read_records(job.store, [publication_key(prefix, source["number"])])
    return load_field(job.store, publication["illumination"]["fields"][variant])
