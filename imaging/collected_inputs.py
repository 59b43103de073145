"""What goes into a plate's publication besides its name: manifests, what is known of other sites, faults, decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from imaging.expectations import say_told
from imaging.job import PlateJob
from imaging.measure_cells import describe_columns
from imaging.planning import Plan
from imaging.platemaps import PlateMap
from imaging.publication_inputs import PublicationInputs
from imaging.records import ATTEMPTS, INSTRUMENT, attempt_key, fault_key, fault_name, missing_key
from imaging.site import read_part
from imaging.typical import History

ReadRecord = Callable[[str], dict[str, Any]]
"""Reads a record by its key."""

_READERS = 16


def collect_inputs(
    job: PlateJob,
    plan: Plan,
    plate_map: PlateMap | None,
    manifests: tuple[dict[str, Any], ...],
    read_record: ReadRecord,
    history: History | None = None,
) -> PublicationInputs:
    """Collect what is known of a plate, published or not.

    Parameters
    ----------
    job, plan
        The plate and a look at it.
    plate_map
        What is in its wells, if it is known.
    manifests
        Manifests of the measured sites that count.
    read_record
        Reads a small record, of a fault, a decision or a failure, by its key.
    history
        The earlier plates that it is compared with; left out, with none.

    Returns
    -------
    Inputs without the name of a run. A measured site without a manifest is waited for, like those to be measured.
    """
    measured = {(item["well"], item["site"]) for item in manifests}
    declared = job.experiment.plates
    return PublicationInputs(
        experiment=job.experiment,
        plate=job.plate,
        recipe=job.recipe,
        run="",
        manifests=manifests,
        failed=tuple(_failed(job, plan, read_record)),
        missing_sites=tuple((site.well, site.site) for site in plan.of("missing")),
        expected={
            (site.well, site.site): {name: (expected, came) for name, expected, came in site.planes}
            for site in plan.sites
        },
        waiting={
            (site.well, site.site): frozenset(site.files)
            for site in plan.sites
            if site.state not in ("failed", "missing") and (site.well, site.site) not in measured
        },
        faults=(*_open_faults(job, plan, manifests, read_record), *_map_warnings(plate_map)),
        decisions=(*_expectation(job), *_decisions(job, plan, read_record)),
        plate_map=plate_map,
        is_declared=not declared or job.plate in declared,
        read_part=lambda manifest, entry: read_part(job.store, manifest, entry),
        feature_descriptions=describe_columns(
            [channel.name for channel in job.experiment.channels], job.experiment.recipe
        ),
        history=history,
    )


def _open_faults(
    job: PlateJob, plan: Plan, manifests: tuple[dict[str, Any], ...], read_record: ReadRecord
) -> Iterator[dict[str, Any]]:
    """What is wrong with the files as they lie there now."""
    for well, site, channel, file in plan.faulted:
        record = read_record(fault_key(job.prefix, fault_name(file)))
        yield _fault("unreadable", file.shown, record["reason"], well, site, channel)
    for unknown in plan.unknown:
        yield _fault("unknown", unknown.name, unknown.reason)
    for manifest in manifests:
        for other in manifest["duplicates"]:
            kind = "duplicate" if other["same_bytes"] else "superseded"
            reason = "the same image under a second name" if other["same_bytes"] else "a newer file gives this image"
            yield _fault(kind, other["name"], reason, manifest["well"], manifest["site"], other["channel"])


def _map_warnings(plate_map: PlateMap | None) -> Iterator[dict[str, Any]]:
    """What is odd about the files of the plate map; what is odd about the plate itself is a suspicion."""
    for file, sentence in plate_map.warnings if plate_map else ():
        yield _fault("plate map", file, sentence.lstrip(": "))


def _fault(kind: str, name: str, reason: str, well: str = "", site: int = 0, channel: str = "") -> dict[str, Any]:
    place = {"well": well or None, "site": site or None, "channel": channel or None}
    return {"kind": kind, "name": name, "reason": reason, **place}


def _decisions(job: PlateJob, plan: Plan, read_record: ReadRecord) -> list[dict[str, Any]]:
    """The decisions that count: those on images and planes that are still not there."""
    places = list(plan.decided())
    whole = {(site.well, site.site, channel) for site in plan.sites for channel in site.missing}
    with ThreadPoolExecutor(_READERS) as pool:
        records = list(pool.map(lambda place: read_record(missing_key(job.prefix, *place)), places))
    kept = ("well", "site", "channel", "by", "reason")
    return [
        {"kind": "missing", **{name: record[name] for name in kept}}
        | ({"plane": z, "is_whole": tuple(place) in whole} if z else {})
        for (*place, z), record in zip(places, records, strict=True)
    ]


def _expectation(job: PlateJob) -> Iterator[dict[str, Any]]:
    """That the instrument's files decided what was expected, where they did."""
    arrivals = job.arrivals
    if arrivals.is_told:
        said = say_told(job.experiment, arrivals.expected, arrivals.told)
        yield {"kind": "expected", "by": INSTRUMENT, "reason": said, "well": None, "site": None, "channel": None}


def _failed(job: PlateJob, plan: Plan, read_record: ReadRecord) -> Iterator[dict[str, Any]]:
    for site in plan.of("failed"):
        record = read_record(attempt_key(job.prefix, site.name, ATTEMPTS))
        yield {"well": site.well, "site": site.site, "reason": record["reason"]}
