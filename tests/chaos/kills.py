"""Kill one process of a running stack by SIGKILL in the middle of a plate, and hold the result against a calm run's.

    python -m tests.chaos.kills worker|flow|server [FOLDER]

Prints pid, time and counts before and after; exit status 0 only if the final values equal a calm run's and no more
sites were redone than were in flight.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq

from flows.demo import EXPERIMENT, IMAGES, PLATE, Demo, prepare
from flows.keeper import find_descendants
from flows.process_folder import process_folder
from flows.settings import Settings
from flows.stack import CLUSTER_STATE, local_services
from flows.supervise import Supervisor
from imaging.job import PlateJob
from imaging.planning import Plan
from imaging.publication import Publication, is_current, read_publication
from tests.chaos.processes import find_runs
from tests.chaos.worker_log import log_lines

WORKERS = 4
LIMIT_S = 240.0
TABLES = ("images", "sites", "wells", "cells", "plates", "statistics", "features", "faults", "decisions")


@dataclass(frozen=True)
class Counts:
    """What the store and the workers' log say at one moment."""

    done: int
    in_flight: int
    begun: int

    def __str__(self) -> str:
        return f"{self.done} of 48 sites done, {self.in_flight} in flight, {self.begun} begun"


def count(demo: Demo, plan: Plan) -> Counts:
    """Count sites: done by their manifests, begun and in flight by the log of the workers."""
    begun, ended = read_log(demo)
    return Counts(len(plan.of("done")), sum((begun - ended).values()), sum(begun.values()))


def log_of(demo: Demo) -> Path:
    """The workers' log."""
    return demo.folder / "logs" / "cluster.log"


def read_log(demo: Demo) -> tuple[Counter[str], Counter[str]]:
    """How often each site was begun, and ended."""
    begun, ended = Counter[str](), Counter[str]()
    for line in log_lines(log_of(demo)):
        if line.what != "failed":
            (begun if line.what == "begun" else ended)[line.site] += 1
    return begun, ended


def find_victim(what: str, demo: Demo, supervisor: Supervisor) -> int:
    """Process id of one worker, of the flow run, or of the server."""
    if what == "server":
        return supervisor.pid("server")
    if what == "worker":
        return next(iter(json.loads((demo.settings.state_folder / CLUSTER_STATE).read_text())["workers"].values()))
    return find_runs(find_descendants(supervisor.pid("runner")))[-1]


def wait_for(demo: Demo, is_reached: Callable[[Plan], bool]) -> Plan:
    """Look at the plate until something is so."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        plan = demo.job.survey()
        if is_reached(plan):
            return plan
        time.sleep(0.1)
    raise SystemExit("the plate did not get there in time")


def rows_of(job: PlateJob, publication: Publication) -> dict[str, list[dict[str, Any]]]:
    """Rows of every result table."""
    return {name: pq.read_table(io.BytesIO(job.store.read(publication.tables[name]))).to_pylist() for name in TABLES}


def main(what: str, folder: Path) -> int:
    """Run the plate with one kill and without any; compare."""
    demo = prepare(folder / "killed")
    settings = demo.settings.model_copy(update={"workers": WORKERS})
    with Supervisor(local_services(settings, demo.folder / "logs")) as supervisor:
        supervisor.wait_until_ready()
        raw = folder / "killed" / "data" / "raw" / EXPERIMENT / PLATE
        raw.mkdir(parents=True)
        for path in sorted((IMAGES / "images").iterdir()):
            (raw / path.name).write_bytes(path.read_bytes())
        plan = wait_for(demo, lambda plan: 10 <= len(plan.of("done")) <= 38 and count(demo, plan).in_flight >= 3)
        before, pid = count(demo, plan), find_victim(what, demo, supervisor)
        os.kill(pid, signal.SIGKILL)
        print(f"{time.strftime('%H:%M:%S')} killed the {what}, pid {pid}: {before}", flush=True)
        killed_at = time.monotonic()
        plan = wait_for(demo, lambda plan: plan.is_publishable and is_current(demo.job, plan))
        after = count(demo, plan)
        print(f"{time.strftime('%H:%M:%S')} published {time.monotonic() - killed_at:.1f} s later: {after}")
        print(f"services restarted: {supervisor.restarts}; flow runs: {flow_runs(demo)}")
    begun, _ = read_log(demo)
    redone = sum(number - 1 for number in begun.values())
    print(f"redone sites: {redone} (in flight at the kill: {before.in_flight})")
    is_equal = compare_to_calm(demo, read_publication(demo.job, plan.records.last_publication), folder / "calm")
    return 0 if is_equal and redone <= before.in_flight else 1


def compare_to_calm(demo: Demo, publication: Publication, folder: Path) -> bool:
    """Process the same plate without kills into a folder, and say whether all rows are the same."""
    calm = process_folder(
        IMAGES / "images",
        demo.folder / "data" / "experiments" / EXPERIMENT / "experiment.yaml",
        plate=PLATE,
        settings=Settings(store=str(folder)),
    )
    found, expected = rows_of(demo.job, publication), rows_of(calm.job, calm.publication)
    is_equal = found == expected
    sizes = ", ".join(f"{name} {len(rows)}" for name, rows in found.items())
    print(f"values equal a calm run's: {is_equal}; rows compared: {sizes}; run {calm.publication.run}")
    return is_equal


def flow_runs(demo: Demo) -> list[str]:
    """States of the plate's flow runs, as the server tells them."""
    with httpx.Client(trust_env=False, timeout=10) as client:
        answer = client.post(f"{demo.settings.api_url}/flow_runs/filter", json={"sort": "START_TIME_ASC"})
    return [f"{run['name']} {run['state_name']}" for run in answer.json()]


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(main(sys.argv[1], Path(sys.argv[2]).absolute()))
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(sys.argv[1], Path(temporary)))
