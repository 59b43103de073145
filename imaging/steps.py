"""The steps by which a follower moves a plate on; each is safe to repeat, to race and to be killed in."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from imaging.job import PlateJob
from imaging.names import to_json
from imaging.planning import Gap, Plan, SitePlan
from imaging.records import ATTEMPTS, INSTRUMENT, attempt_key, heartbeat_key, missing_key
from imaging.site import SiteTask

PATIENCE = "patience"
_WRITERS = 16


def plan_work(job: PlateJob, now: float | None = None) -> Plan:
    """Look at a plate, and pin and freeze what its sites depend on before the next of them is handed out."""
    plan = job.survey(now)
    if plan.todo or plan.is_field_due:
        job.ensure_pins()
    if not plan.is_field_due:
        return plan
    from imaging.illumination_sources import freeze_due  # loads kernels: only a plate whose field is due pays for it

    freeze_due(job, plan)
    return job.survey(now)


def site_task(job: PlateJob, site: SitePlan) -> SiteTask:
    """Describe the work on one site for a worker; pins must be there."""
    return SiteTask(
        store_url=job.store.url,
        raw_url=job.raw.url,
        raw_folder=job.raw_folder,
        experiment=job.experiment.name,
        plate=job.plate,
        recipe=job.recipe,
        prefix=job.prefix,
        zarr=job.zarr,
        writes_images=job.experiment.images == "zarr",
        colors=tuple((channel.name, channel.color) for channel in job.experiment.channels),
        plan=site,
        placement=job.experiment.placement,
    )


def decide_missing(
    job: PlateJob,
    well: str,
    site: int,
    channel: str,
    z: int = 0,
    *,
    by: str = PATIENCE,
    reason: str = "no readable file came in time",
) -> bool:
    """Record that an image, or the plane ``z`` of its stack, is no longer waited for; its coming overrides that."""
    record = missing_record(job, well, site, channel, z, by=by, reason=reason)
    return job.store.create(missing_key(job.prefix, well, site, channel, z), to_json(record))


def missing_record(
    job: PlateJob, well: str, site: int, channel: str, z: int, *, by: str, reason: str
) -> dict[str, Any]:
    """The record of such a decision, made now."""
    place = {**_place(job), "well": well, "site": site, "channel": channel} | ({"z": z} if z else {})
    return place | {"by": by, "reason": reason, "decided_at": _now()}


def decide_due(job: PlateJob, plan: Plan) -> int:
    """Record all decisions that are due; return how many."""

    def decide(gap: Gap) -> bool:
        said = {"by": INSTRUMENT, "reason": gap.reason} if gap.reason else {}
        return decide_missing(job, gap.well, gap.site, gap.channel, gap.z, **said)

    with ThreadPoolExecutor(_WRITERS) as pool:
        return sum(pool.map(decide, plan.due))


def record_attempt(job: PlateJob, site: SitePlan, reason: str, *, is_final: bool = False) -> bool:
    """Record that a site's task failed; the third record, or a final one, ends the site.

    The number follows from the plan the task was submitted with, so two followers record one failure once.
    """
    number = ATTEMPTS if is_final else site.attempts + 1
    record = {**_place(job), "well": site.well, "site": site.site, "inputs": site.inputs, "number": number}
    data = to_json(record | {"reason": reason, "failed_at": _now()})
    return job.store.create(attempt_key(job.prefix, site.name, number), data)


def beat(job: PlateJob, follower: str) -> None:
    """Say that somebody follows the plate."""
    job.store.write(heartbeat_key(job.prefix), to_json({**_place(job), "follower": follower, "beat_at": _now()}))


def stop_beating(job: PlateJob) -> None:
    """Say that nobody follows the plate any longer."""
    job.store.delete(heartbeat_key(job.prefix))


def is_followed(plan: Plan, *, stale_s: float, now: float | None = None) -> bool:
    """Whether a follower's heartbeat is younger than ``stale_s`` seconds."""
    last = plan.records.heartbeat
    return last is not None and abs((time.time() if now is None else now) - last) < stale_s


def _place(job: PlateJob) -> dict[str, Any]:
    return {"experiment": job.experiment.name, "plate": job.plate, "recipe": job.recipe}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
