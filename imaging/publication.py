"""A plate's publication: its tables under fresh names, one numbered record that makes them count, then projections.

A publication is named by its number alone and created only if absent, so of two publishers one wins and the other
deletes its tables and looks again. Its ``run`` is the hash of everything that goes into the tables, the earlier plates
that it is compared with (``imaging.history``) among it; the same plate with nothing new publishes nothing. A finished
site whose data turn out to be gone or damaged has its manifest declared void (``imaging.voids``) and is done again.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from imaging.acquisitions import first_image_at
from imaging.collected_inputs import collect_inputs
from imaging.columns import read_time
from imaging.damage import is_damage
from imaging.errors import LostDataError, PlateError, StoredDataError
from imaging.experimental import MANIFEST
from imaging.grace import Stopwatch
from imaging.history import plate_history
from imaging.illumination_rows import measure_illumination, write_fields
from imaging.job import PlateJob
from imaging.names import hash_of, stored, to_json
from imaging.planning import Plan
from imaging.platemaps import PlateMap
from imaging.publication_inputs import PublicationInputs
from imaging.publication_records import PUBLISHED_ANEW, read_publication_record
from imaging.publish_tables import write_tables
from imaging.records import (
    manifest_key,
    publication_key,
)
from imaging.store import Store
from imaging.stored_records import SITE, parse_record, read_small_record
from imaging.suspicions.gathering import choose_compared, find_suspicions
from imaging.typical import History
from imaging.voids import void_site

_READERS = 16
_RACES = 5


@dataclass(frozen=True)
class Publication:
    """A publication record: its number, run, status, the addresses of its tables and of its sites' manifests.

    ``state`` names the state of the plate in which it was found to be up to date.
    """

    number: int
    run: str
    status: str
    tables: dict[str, str]
    manifests: tuple[str, ...]
    state: str = ""


def read_publication(job: PlateJob, number: int) -> Publication:
    """Read a publication record by its number.

    Raises
    ------
    StoredDataError
        If it is gone or damaged.
    """
    try:
        record = read_publication_record(job, number)
    except FileNotFoundError as error:
        key = publication_key(job.prefix, number)
        raise StoredDataError(f"the record of a publication is gone; {PUBLISHED_ANEW}", key=key) from error
    tables, manifests = record.get("tables") or {}, tuple(record.get("manifests") or ())
    return Publication(number, record["run"], record["status"], tables, manifests)


def publish(job: PlateJob) -> Publication | None:
    """Publish a plate if it is publishable and has anything new; safe to call at any time, by anyone, at once.

    Returns
    -------
    The current publication, or ``None`` when the plate is not publishable.

    Raises
    ------
    ConfigurationError
        If the plate map is at fault.
    """
    for _ in range(_RACES):
        plan = job.survey()
        if not plan.is_publishable:
            return None
        plate_map = job.read_plate_map()
        state = _state(job, plan, plate_map)
        try:
            inputs = _gather(job, plan, plate_map)
        except LostDataError as error:  # a manifest
            void_site(job.store, job.prefix, _name_of(error.key), error.message)
            continue
        last, number = plan.records.last_publication, plan.records.last_number + 1
        if last and not plan.records.is_last_void and (current := read_publication(job, last)).run == inputs.run:
            return replace(current, state=state)
        if _publish_as(job, plan, inputs, number):
            return replace(read_publication(job, number), state=state)
    return None


def _publish_as(job: PlateJob, plan: Plan, inputs: PublicationInputs, number: int) -> bool:
    """Write the tables and try to create the record; whoever does not win deletes its tables."""
    folder = f"{job.prefix}published/{number:06d}-{uuid.uuid4().hex[:12]}/"
    writing = Stopwatch()
    try:
        inputs = replace(inputs, illumination=measure_illumination(job, inputs.manifests))
        found = find_suspicions(job, inputs.manifests, inputs.plate_map, inputs.compared)
        inputs = replace(inputs, suspicions=found)
        written: dict[str, Any] = {}
        tables = write_tables(job.store, folder, inputs, written)
        record = _record(job, plan, inputs, number, tables)
        record["table_sums"] = written
        record["illumination"] = write_fields(job, folder, inputs.illumination.estimate)
    except LostDataError as error:
        _disown(job, plan, error)
        record = None
    except (PlateError, OSError):  # such as a full disk, which the next attempt would fill again
        with contextlib.suppress(PlateError):
            _delete_all(job.store, folder)
        raise
    if record and not writing.is_overdue and job.store.create(publication_key(job.prefix, number), to_json(record)):
        return True
    _delete_all(job.store, folder)
    return False


def _delete_all(store: Store, folder: str) -> None:
    for item in store.list(folder).objects:
        store.delete(item.key)


def _disown(job: PlateJob, plan: Plan, error: LostDataError) -> None:
    """Declare void the manifest of a site whose data are gone or damaged: the site is then to be done again."""
    for site in plan.of("done"):
        if (site.well, site.site) == (error.well, error.site):
            void_site(job.store, job.prefix, site.name, f"{error.message}: {error.key}")


def _name_of(key: str) -> str:
    """Name of a manifest by its address."""
    return key.rsplit("/", 1)[-1].removesuffix(".json")


def plate_state(job: PlateJob, plan: Plan) -> str:
    """Name the state of a plate as far as a publication depends on it, without reading any manifest."""
    return _state(job, plan, job.read_plate_map())


def _state(job: PlateJob, plan: Plan, plate_map: PlateMap | None) -> str:
    state: list[Any] = [[list(item) for item in site.lacking] for site in plan.sites if site.lacking]
    return hash_of(
        [
            [[site.name, site.state] for site in plan.sites],
            [[file.name, file.reason] for file in plan.unknown],
            [list(file.version) for *_, file in plan.faulted],
            plate_map.digest if plate_map else None,
            job.experiment.analysis_part(),
            list(job.experiment.plates),
            *state,
            *_acquisition_state(job),
        ]
    )


def _acquisition_state(job: PlateJob) -> list[str | None]:
    """What decides which acquisition of a barcode is shown; nothing where the folder is a plate of its own."""
    barcode = job.experiment.barcode_of(job.plate)
    return [barcode, job.experiment.current_acquisition] if barcode != job.plate else []


def is_current(job: PlateJob, plan: Plan) -> bool:
    """Whether the newest publication holds all that a publishable plate has, and its page is written."""
    last = plan.records.last_publication
    if not last or plan.records.is_last_void:
        return False
    return f"{last:06d}-{plate_state(job, plan)}" in plan.records.projected


def read_manifests(store: Store, prefix: str, names: list[str]) -> list[dict[str, Any]]:
    """Read the manifests of finished sites, many at once, in the order of their names.

    Raises
    ------
    LostDataError
        If one is damaged, or gone since it was listed.
    """
    return [manifest for manifest, _ in _read_summed(store, prefix, names)]


def _read_summed(store: Store, prefix: str, names: list[str]) -> list[tuple[dict[str, Any], str]]:
    """Manifests of finished sites and the CRC-32 of each as it is stored."""

    def read(name: str) -> tuple[dict[str, Any], str]:
        key = manifest_key(prefix, name)
        try:
            data = store.read(key)
            record = parse_record(data, SITE, key=key, cure="platestream repair makes the site again")
            return record, stored(key, data)["crc32"]
        except FileNotFoundError as error:
            raise LostDataError("the site's manifest is gone", key=key) from error
        except PlateError as error:
            if not is_damage(store, error):
                raise
            raise LostDataError("the site's manifest is damaged", key=key) from error

    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(read, names))


def _gather(job: PlateJob, plan: Plan, plate_map: PlateMap | None) -> PublicationInputs:
    """Collect what goes into a publication and name it by its content."""
    names = [site.name for site in plan.of("done")]
    summed = _read_summed(job.store, job.prefix, names)
    replaced = _find_replaced(job, plan, dict(zip(names, summed, strict=True)))
    manifests = tuple(manifest for manifest, _ in summed)
    history = plate_history(job, plan.records.publications)
    inputs = collect_inputs(job, plan, plate_map, manifests, partial(read_small_record, job.store), history)
    compared = choose_compared(job, manifests, plate_map, plan.records.publications)
    identity = {
        "recipe": job.recipe,
        "sites": {f"{item['well']}-{item['site']}": item["content"] for item in manifests},
        "failed": [[item["well"], item["site"]] for item in inputs.failed],
        "missing": [list(item) for item in inputs.missing_sites],
        "faults": [_identity_of(item) for item in inputs.faults],
        "decisions": [_decided(item) for item in inputs.decisions],
        "plate_map": plate_map.digest if plate_map else None,
        "analysis": job.experiment.analysis_part(),
        "is_declared": inputs.is_declared,
        "history": [list(used) for used in history.plates],
        **({"compared": list(compared.others)} if compared.others else {}),
        **({"acquisition": acquisition} if (acquisition := _acquisition_state(job)) else {}),
        **({"made_again": made_again} if (made_again := [*plan.records.made_again, *replaced]) else {}),
    }
    sums = tuple(crc32 for _, crc32 in summed)
    return replace(inputs, run=hash_of(identity), compared=compared, manifest_sums=sums, replaced=replaced)


def _find_replaced(job: PlateJob, plan: Plan, read: Mapping[str, tuple[dict[str, Any], str]]) -> tuple[str, ...]:
    """Manifests that are other ones than the current publication had under these names, and those that once were.

    Their data are others, too, so the plate is published anew, as for sites that were declared void.

    Raises
    ------
    LostDataError
        If one was not made since: then it is damaged.
    """
    last = plan.records.last_publication
    if not last or plan.records.is_last_void:
        return ()
    try:
        current = read_publication_record(job, last)
    except (FileNotFoundError, StoredDataError):
        return ()
    keys, sums = current.get("manifests") or [], current.get("manifest_sums") or []
    was: dict[str, str] = dict(zip(keys, sums, strict=False))
    replaced: set[str] = set(current.get("replaced") or [])
    for name, (manifest, crc32) in read.items():
        key = manifest_key(job.prefix, name)
        if was.get(key, crc32) == crc32:
            continue
        if not _is_made_since(manifest, current):
            raise LostDataError("the site's manifest is not what was published", key=key)
        replaced.add(f"{name} {crc32}")
    return tuple(sorted(replaced))


def _is_made_since(manifest: dict[str, Any], publication: dict[str, Any]) -> bool:
    try:
        begun = read_time((manifest.get("provenance") or {}).get("started_at"))
        published = read_time(publication.get("published_at"))
    except (TypeError, ValueError):
        return False
    return begun is not None and published is not None and begun > published


def _identity_of(fault: dict[str, Any]) -> list[str]:
    """Kind and name; of a manifest its refusal too, as what is wrong with it changes while it is mended."""
    return [fault["kind"], fault["name"], *([fault["reason"]] if fault["name"] == MANIFEST else [])]


def _decided(item: dict[str, Any]) -> list[Any]:
    """A decision as part of a publication's name."""
    if item["kind"] == "expected":
        return [item["reason"]]
    return [item["well"], item["site"], item["channel"], *([item["plane"]] if item.get("plane") else [])]


def _record(
    job: PlateJob, plan: Plan, inputs: PublicationInputs, number: int, tables: dict[str, str]
) -> dict[str, Any]:
    is_complete = not inputs.failed and not any(site.missing or site.lacking for site in plan.sites)
    return {
        "number": number,
        "run": inputs.run,
        "status": "complete" if is_complete else "with-missing",
        "experiment": job.experiment.name,
        "plate": job.plate,
        "recipe": job.recipe,
        "published_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "barcode": job.experiment.barcode_of(job.plate),
        "first_image_at": first_image_at(inputs.manifests),
        "tables": tables,
        "history": [{"plate": plate, "run": run} for plate, run in (inputs.history or History()).plates],
        "compared": list(inputs.compared.others),
        "suspicions": [item.evidence for item in inputs.suspicions],
        "manifests": [manifest_key(job.prefix, site.name) for site in plan.of("done")],
        "manifest_sums": list(inputs.manifest_sums),
        **({"replaced": list(inputs.replaced)} if inputs.replaced else {}),
    }
