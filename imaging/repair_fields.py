"""A frozen field of illumination that is gone or damaged, made again from where its record says it came.

It is written only if it comes out with the same bytes: then it is what it was for every site measured with it.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from imaging.records import publication_key
from imaging.stored_records import FIELD, read_record


def write_field(job: PlateJob, damage: Damage) -> str:
    """Make the plate's frozen field again.

    Raises
    ------
    StoredDataError
        If it does not come out as it was, or what it came from is gone.
    """
    record = job.read_frozen()
    found = _of_sites(job, record) if record["source"] == "plate" else _of_others(job, record)
    data = encode_field(found) if found else b""
    if stored(damage.key, data) != record["field"]:
        raise StoredDataError(
            "it does not come out as it was from where it came; bring it back from a copy", key=damage.key
        )
    job.store.write(damage.key, data)
    return "made again, with the same bytes"


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


def _of_sites(job: PlateJob, record: Mapping[str, Any]) -> PlateField | None:
    """The plate's own field: whole numbers summed over its sites, so any complete set of them gives the same."""
    objects = job.store.list(f"{job.prefix}sites/").objects or job.store.list(f"{job.prefix}previews/").objects
    manifests = read_records(job.store, newest_manifests(objects))
    estimate = estimate_plate(job.store, job.zarr, manifests, [channel.name for channel in job.experiment.channels])
    return estimate.field_of(record["variant"])


def _of_others(job: PlateJob, record: Mapping[str, Any]) -> PlateField | None:
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
    return PlateField(*size, fields) if fields else None


def _of_files(job: PlateJob) -> PlateField | None:
    return read_declared_field(lambda name: job.maps.read(job.maps_folder + name), job.experiment)


def _of_publication(job: PlateJob, source: Mapping[str, Any], variant: str) -> PlateField:
    prefix = results_prefix(source["experiment"], source["plate"], source["recipe"])
    (publication,) = read_records(job.store, [publication_key(prefix, source["number"])])
    return load_field(job.store, publication["illumination"]["fields"][variant])
