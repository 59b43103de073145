"""Manifests that say nothing but what a site cost."""

from __future__ import annotations

from typing import Any

from imaging.job import PlateJob
from imaging.names import to_json
from imaging.records import manifest_key

MONDAY, TUESDAY = "2026-02-02", "2026-02-03"


def run_of(day: str = MONDAY, seconds: float = 100.0, cost: float | None = 0.5) -> dict[str, Any]:
    """What a manifest says of a site's run."""
    return {
        "started_at": f"{day}T10:00:00.000+00:00",
        "seconds": 2 * seconds,
        "machine_seconds": seconds,
        "cost": cost,
    }


def put_site(job: PlateJob, name: str, **run: Any) -> None:
    job.store.write(manifest_key(job.prefix, name), to_json({"provenance": run_of(**run)}))
