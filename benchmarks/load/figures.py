"""What is measured while plates go through, and the figures that come of it."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

import httpx

from benchmarks.load.counted_server import NOT_COUNTED
from benchmarks.load.lab import SERVICES, Lab, cpu_s, rss_mb
from flows.keeper import find_descendants
from tests.chaos.processes import is_fork

HEARTBEATS = "EVENT prefect.flow-run.heartbeat"
POLLS = ("/health", "/deployments/get_scheduled_flow_runs", "/deployments/name/ID", "/api/ready")
"""Asked at a steady pace, however many plates there are."""
PRICES_USD = {"list": 5.0e-6, "write": 5.0e-6, "read": 4.0e-7, "delete": 0.0}
"""Of one request to a bucket of Cloud Storage, class Standard in one region."""
PLATES_A_WEEK = 4000


@dataclass(frozen=True)
class Sample:
    """One moment: seconds and plates so far, memory and CPU of each service, size of the database, requests."""

    seconds: float
    plates: int
    rss_mb: dict[str, float]
    cpu_s: dict[str, float]
    runs_cpu_s: float
    database_mb: float
    calls: dict[str, int]
    storage: dict[str, int]


@dataclass
class RunMemory:
    """Watches the most memory that a flow run takes, and which runs are forks, once a second, in a thread."""

    lab: Lab
    peak_mb: float = 0.0
    forks: set[int] = field(default_factory=set)
    """Process ids of runs that were seen and are forks."""
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            runner = self.lab.supervisor.pid("runner")
            runs = find_descendants(runner) if runner else []
            self.peak_mb = max([self.peak_mb, *map(rss_mb, runs)])
            self.forks.update(filter(is_fork, runs))


def take_sample(lab: Lab, seconds: float, plates: int) -> Sample:
    """Look at everything once."""
    pids = {name: lab.supervisor.pid(name) for name in SERVICES}
    cpu = {name: cpu_s(pid) for name, pid in pids.items()}
    return Sample(
        seconds=round(seconds, 1),
        plates=plates,
        rss_mb={name: round(rss_mb(pid), 1) for name, pid in pids.items()},
        cpu_s={name: round(own, 2) for name, (own, _) in cpu.items()},
        runs_cpu_s=round(cpu["runner"][1] + sum(map(sum, map(cpu_s, find_descendants(pids["runner"])))), 2),
        database_mb=round(database_bytes(lab) / 1e6, 3),
        calls=count_calls(lab),
        storage=lab.count_storage(),
    )


def count_calls(lab: Lab) -> dict[str, int]:
    """What the server was asked so far."""
    with httpx.Client(trust_env=False, timeout=30) as client:
        return client.get(lab.settings.api_url.removesuffix("/api") + "/counts").json()


def database_bytes(lab: Lab) -> int:
    """Bytes of the server's database that hold something."""
    if lab.database:
        return asyncio.run(_postgresql(lab.database, "SELECT pg_database_size(current_database())"))[0][0]
    with sqlite3.connect(f"file:{lab.folder}/state/prefect/prefect.db?mode=ro", uri=True, timeout=30) as database:
        pages, free, size = (
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    return (pages - free) * size


async def _postgresql(address: str, sql: str) -> list[Any]:
    import asyncpg

    connection = await asyncpg.connect(address.replace("postgresql+asyncpg", "postgresql"))
    try:
        return await connection.fetch(sql)
    finally:
        await connection.close()


def list_runs(lab: Lab) -> list[dict[str, Any]]:
    """All flow runs that the server knows."""
    runs: list[dict[str, Any]] = []
    ours = {NOT_COUNTED: "1"}
    with httpx.Client(base_url=lab.settings.api_url, headers=ours, trust_env=False, timeout=60) as client:
        while True:
            found = client.post("/flow_runs/filter", json={"offset": len(runs), "limit": 200, "sort": "ID_DESC"}).json()
            runs += found
            if len(found) < 200:
                return runs


def figures_of(
    samples: Sequence[Sample],
    runs: Iterable[Mapping[str, Any]],
    uploaded: Mapping[str, float],
    published: Mapping[str, float],
) -> dict[str, Any]:
    """Turn samples, runs and times of each plate into the figures of the load table."""
    runs = list(runs)
    first, last = samples[0], samples[-1]
    plates = max(last.plates - first.plates, 1)
    calls = {name: count - first.calls.get(name, 0) for name, count in last.calls.items()}
    counted = {name: count for name, count in calls.items() if count and not _is_apart(name)}
    requests = {name: count for name, count in counted.items() if not name.startswith("EVENT")}
    storage = {name: (count - first.storage.get(name, 0)) / plates for name, count in last.storage.items()}
    per_plate = Counter(run["parameters"].get("plate") for run in runs)
    began = _began(runs)
    waits = [began[plate] - at for plate, at in uploaded.items() if plate in began]
    took = [published[plate] - at for plate, at in uploaded.items() if plate in published]
    return {
        "plates_published": len(published),
        "seconds": round(last.seconds - first.seconds, 1),
        "plates_per_hour": round(3600 * (last.plates - first.plates) / max(last.seconds - first.seconds, 1e-9), 1),
        "runs_per_plate": {
            "mean": round(sum(per_plate.values()) / max(len(per_plate), 1), 3),
            "max": max(per_plate.values(), default=0),
        },
        "asked_per_plate": round((requests.get("POST /api/events", 0) - len(published)) / plates, 2),
        "run_states": dict(Counter(run["state_type"] for run in runs)),
        "api_calls_per_plate": round(sum(requests.values()) / plates, 1),
        "events_per_plate": round(sum(n for name, n in counted.items() if name.startswith("EVENT")) / plates, 1),
        "apart": {name: count for name, count in sorted(calls.items()) if _is_apart(name)},
        "calls_by_kind_per_plate": {name: round(count / plates, 2) for name, count in sorted(counted.items())},
        "cpu_s_per_plate": {
            **{name: round((last.cpu_s[name] - first.cpu_s[name]) / plates, 2) for name in last.cpu_s},
            "run": round((last.runs_cpu_s - first.runs_cpu_s) / plates, 2),
        },
        "growth_per_plate": growth(samples),
        "rss_mb": {"first": first.rss_mb, "last": last.rss_mb},
        "queue_s": _spread(waits),
        "upload_to_publication_s": _spread(took),
        **({"storage": _storage(storage)} if storage else {}),
    }


def growth(samples: Sequence[Sample]) -> dict[str, float]:
    """What a plate adds, by a straight line through the second half: kB of memory, kB of database, ms of a service.

    The first half is left out, for caches fill in it.
    """
    later = samples[len(samples) // 2 :]
    if len(later) < 3:
        later = samples[-3:]
    plates = [sample.plates for sample in later]
    if len(set(plates)) < 2:
        return {}
    kb = {f"{name}_rss_kb": [1000 * sample.rss_mb[name] for sample in later] for name in SERVICES}
    kb["database_kb"] = [1000 * sample.database_mb for sample in later]
    slopes = {name: round(statistics.linear_regression(plates, values).slope, 2) for name, values in kb.items()}
    return slopes | {"database_gb_per_week": round(slopes["database_kb"] * PLATES_A_WEEK / 1e6, 3)}


def _is_apart(name: str) -> bool:
    return name == HEARTBEATS or any(name.endswith(each) for each in POLLS)


def _began(runs: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """When the first run of each plate began."""
    began: dict[str, float] = {}
    for run in runs:
        if run["start_time"]:
            at = datetime.fromisoformat(run["start_time"]).timestamp()
            plate = run["parameters"].get("plate", "")
            began[plate] = min(at, began.get(plate, at))
    return began


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 1),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 1),
        "max": round(ordered[-1], 1),
    }


def _storage(per_plate: Mapping[str, float]) -> dict[str, Any]:
    """Requests to the bucket per plate, and their price."""
    by_verb = {verb: sum(n for name, n in per_plate.items() if name.startswith(verb)) for verb in PRICES_USD}
    return {
        "requests_per_plate": {verb: round(number, 1) for verb, number in by_verb.items()},
        "usd_per_1000_plates": round(1000 * sum(number * PRICES_USD[verb] for verb, number in by_verb.items()), 2),
        "by_kind_per_plate": {name: round(number, 2) for name, number in sorted(per_plate.items())},
    }


def as_rows(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Samples for the result file, without the counts by kind."""
    kept = [each.name for each in fields(Sample) if each.name not in ("calls", "storage")]
    return [{name: getattr(each, name) for name in kept} for each in samples]
