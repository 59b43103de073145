"""What Prefect does for a plate, and no more of it: whoever is told of images starts a run, in a process of its own.

    python -m tests.chaos.light serve PORT            takes the watcher's events and starts runs
    python -m tests.chaos.light run EXPERIMENT PLATE RECIPE

The same store, scheduler, workers, watcher and followers as in the full stack, at a fifth of its processor time: for
many seeds, and for machines with little to spare.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from flows.cluster import cluster_service
from flows.compute import connect
from flows.events import IMAGES_ARRIVED
from flows.follow import Follower
from flows.google import open_data_store
from flows.needs import find_need
from flows.server import is_healthy
from flows.settings import Settings, child_environment
from flows.stack import CLUSTER_STATE, service_of
from flows.supervise import Service
from imaging.job import open_job
from imaging.projection import publish_and_project
from imaging.steps import is_followed
from tests.parts import ROOT


def light_services(settings: Settings, logs: Path) -> list[Service]:
    """Describe scheduler and workers, what starts runs, and the watcher."""
    port = urlsplit(settings.api_url).port
    runner = Service(
        "runner",
        (sys.executable, "-m", "tests.chaos.light", "serve", str(port)),
        logs / "runner.log",
        environment=child_environment({**settings.as_environment(), "PYTHONPATH": str(ROOT)}),
        is_ready=lambda: is_healthy(settings.api_url),
        is_outlived=True,
    )
    cluster = cluster_service(settings, logs / "cluster.log", settings.state_folder / CLUSTER_STATE)
    return [cluster, runner, service_of(settings, "watch", logs)]


class _Runner(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for event in asked if self.path.endswith("/events") else ():
            said = event["payload"]
            place = said["experiment"], said["plate"], said["recipe"]
            if event["event"] == IMAGES_ARRIVED:
                subprocess.Popen([sys.executable, "-m", "tests.chaos.light", "run", *place], start_new_session=True)
        self._answer()

    def _answer(self) -> None:
        """Say that there is a deployment, and that no run waits: each is started at once."""
        said = b"[{}]" if self.path.endswith("/deployments/filter") else b"[]"
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class names it so
        """Keep quiet."""


def run(experiment: str, plate: str, recipe: str, settings: Settings) -> None:
    """Do what the flow of a plate does: follow it, and publish it when it can be, until nothing happens."""
    job = open_job(open_data_store(settings), experiment, plate, settle_s=settings.settle_s, recipe=recipe)
    plan = job.survey()
    if is_followed(plan, stale_s=settings.heartbeat_stale_s) or not find_need(job, plan):
        return
    with connect(settings) as compute, Follower(job, compute, str(os.getpid()), **settings.following()) as follower:
        while not (follower.is_idle or follower.is_stopped):
            plan = follower.measure(1000)
            if plan.is_publishable and not follower.is_published and publish_and_project(job):
                follower.note_published()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(message)s")
    if sys.argv[1] == "serve":
        ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), _Runner).serve_forever()
    else:
        run(*sys.argv[2:], settings=Settings())
