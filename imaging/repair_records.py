"""Records that are written again under their own names.

That overwrites nothing that anybody could have read: the bytes that are replaced are damaged. Pins are written only if
they come out as they were, as the names of the sites made with them tell. Of decisions, faults and failures the name
says what follows from them; who, why and when is taken from the published tables, or not known any more.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from imaging.damage import Damage
from imaging.errors import PlateError, StoredDataError
from imaging.job import PlateJob
from imaging.names import to_json
from imaging.projection import read_table
from imaging.publication import read_publication
from imaging.records import fault_name, pins_key, publication_numbers, read_names
from imaging.steps import missing_record
from imaging.store import Listing, StoredObject
from imaging.time_points import join_site

LOST = "the record was damaged, and what it said is not known any more"
_ATTEMPT = re.compile(r"(?P<well>\w+)-(?P<site>\d+)-(?P<inputs>\w+)-(?P<number>\d+)")


def write_pins(job: PlateJob, damage: Damage) -> str:
    """Pin again what experiment.yaml says, if the plate's sites were measured with just that.

    Raises
    ------
    StoredDataError
        If not.
    """
    plan = job.with_fresh_pins().survey()
    done = sum(site.state in ("done", "previewed") for site in plan.sites)
    if not done and (plan.records.manifests or plan.records.previews):
        raise StoredDataError(
            "experiment.yaml says something else than when the plate's sites were measured, or their images are gone: "
            "put both back as they were, or delete the pins, and all sites are measured anew",
            key=pins_key(job.prefix),
        )
    job.write_fresh_pins()
    return f"pinned again what {done} finished sites were measured with"


def write_decision(job: PlateJob, damage: Damage) -> str:
    """Record again that an image is missing: what is decided stands in the record's name."""
    names = read_names(job.prefix, Listing((StoredObject(damage.key, 0, "", 0.0),)))
    place = next(iter([*names.missing_planes, *((*item, 0) for item in names.missing)]), None)
    if place is None:
        raise StoredDataError("its name says nothing; delete it", key=damage.key)
    well, site, channel, z = place
    published = {
        (row["well"], join_site(row["site"], row.get("time_point") or 1), row["channel"], row.get("plane") or 0): row
        for row in _published(job, "decisions")
        if row["kind"] == "missing"
    }
    row = published.get(place, {})
    record = missing_record(
        job, well, site, channel, z, by=row.get("decided_by") or "nobody known", reason=row.get("reason") or LOST
    )
    job.store.write(damage.key, to_json(record))
    return "recorded again" if row else f"recorded again; {LOST}"


def write_fault(job: PlateJob, damage: Damage) -> str:
    """Record again that a version of a file is no usable image: which version stands in the record's name."""
    name = damage.key.rpartition("/")[2].removesuffix(".json")
    found = next((item for item in job.survey().faulted if fault_name(item[3]) == name), None)
    record: dict[str, Any] = {**_plate(job), "reason": LOST, "found_at": _now()}
    if found is None:  # that version has been replaced since
        job.store.write(damage.key, to_json(record | {"name": "unknown", "token": "", "size_bytes": 0}))
        return f"recorded again; {LOST}"
    well, site, channel, file = found
    published = {row["name"]: row for row in _published(job, "faults") if row["kind"] == "unreadable"}
    row = published.get(file.shown, {})
    record |= {"well": well, "site": site, "channel": channel, "reason": row.get("reason") or LOST}
    record |= {"name": file.shown, "token": file.token, "size_bytes": file.size_bytes}
    job.store.write(damage.key, to_json(record | ({"inside": file.inside} if file.inside else {})))
    return "recorded again" if row else f"recorded again; {LOST}"


def write_failure(job: PlateJob, damage: Damage) -> str:
    """Record again that a site failed: which, and how often, stands in the record's name."""
    match = _ATTEMPT.fullmatch(damage.key.rpartition("/")[2].removesuffix(".json"))
    if match is None:
        raise StoredDataError("its name says nothing; delete it", key=damage.key)
    record = {**_plate(job), **match.groupdict(), "site": int(match["site"]), "number": int(match["number"])}
    job.store.write(damage.key, to_json(record | {"reason": LOST, "failed_at": _now()}))
    return f"recorded again; {LOST}"


def _published(job: PlateJob, table: str) -> list[dict[str, Any]]:
    """Rows of a table of the current publication; none where it cannot be read."""
    numbers = publication_numbers(job.prefix, job.store.list(f"{job.prefix}publications/"))
    try:
        return read_table(job, read_publication(job, numbers[-1]), table).to_pylist() if numbers else []
    except (PlateError, FileNotFoundError, KeyError, OSError, ValueError):
        return []


def _plate(job: PlateJob) -> dict[str, str]:
    return {"experiment": job.experiment.name, "plate": job.plate, "recipe": job.recipe}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
