"""The services of a load, and the two kinds of store that its plates may lie in."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from distributed import LocalCluster

from benchmarks.load.plates import EXPERIMENT, Uploader, stand_in
from flows.clusters.look import dask_setup
from flows.google import open_data_store
from flows.settings import DATABASE_URL, Settings
from flows.stack import local_services
from flows.supervise import Service, Supervisor, find_free_ports
from imaging.store import Store
from tests.postgresql import postgresql
from tests.standins.bigquery import PROJECT
from tests.standins.gcs import GcsStandIn
from tests.standins.pubsub import PubSubStandIn

BUCKET, TOPIC, SUBSCRIPTION = "lab", "images", "watch"
SERVICES = ("server", "runner", "watch")
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Options:
    """What a load is made of.

    Parameters
    ----------
    plates, burst
        Plates in all, and how many are uploaded at once.
    database
        The server's.
    store
        Where images and results lie: a folder, or the stand-in for Cloud Storage, with messages of the one for Pub/Sub.
    at_once
        Runs at the same time.
    every
        Plates between two samples and lines of the report.
    stall_s
        Seconds without a publication after which the load is given up.
    """

    plates: int
    burst: int = 20
    database: Literal["sqlite", "postgresql"] = "sqlite"
    store: Literal["folder", "bucket"] = "folder"
    at_once: int = 4
    every: int = 50
    stall_s: float = 900.0


class Lab:
    """Server, runner and watcher in processes of their own, and a cluster without pixels in this one.

    Parameters
    ----------
    folder
        Where data, logs and the database lie.
    options
        What the load is made of.
    """

    def __init__(self, folder: Path, options: Options) -> None:
        self.folder, self.options = folder, options
        self.database = ""
        self._published: set[str] = set()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            settings = self._settings(opened)
            stand_in()
            logging.getLogger("distributed").setLevel(logging.ERROR)
            self._bucket(opened, settings)
            start: Any = LocalCluster  # its type allows for a coroutine, which it is not here
            cluster = opened.enter_context(
                start(
                    n_workers=1,
                    threads_per_worker=2,
                    processes=False,
                    protocol="tcp",
                    host="127.0.0.1",
                    scheduler_port=int(settings.scheduler.rpartition(":")[2]),
                    dashboard_address="127.0.0.1:0",
                )
            )
            assert cluster.scheduler_address == settings.scheduler
            dask_setup(cluster.scheduler)
            self.uploader = Uploader(self.store)
            self.uploader.declare()
            services = [self._counted(each) for each in local_services(self.settings, self.folder / "logs")]
            self.supervisor = opened.enter_context(Supervisor(services))
            self.supervisor.wait_until_ready(600)
            self._open = opened.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def _settings(self, opened: ExitStack) -> Settings:
        if self.options.database == "postgresql":
            self.database = opened.enter_context(postgresql())
        server, scheduler, web = find_free_ports(3)
        values = {
            "store": str(self.folder / "data"),
            "scheduler": f"tcp://127.0.0.1:{scheduler}",
            "compute": "address",
            "web_port": web,
            "api_url": f"http://127.0.0.1:{server}/api",
            "state_folder": self.folder / "state",
            "plates_at_once": self.options.at_once,
            "linger_s": 0.0,
            "settle_s": 0.0,
            **({"database_url": self.database} if self.database else {}),
        }
        self.settings = Settings(**values)
        return self.settings

    def _bucket(self, opened: ExitStack, settings: Settings) -> None:
        """Open the store: for a bucket with stand-ins that tell the watcher of images, and us of publications."""
        self.gcs: GcsStandIn | None = None
        self.counts = StorageCounts()
        if self.options.store == "bucket":
            self.gcs = opened.enter_context(GcsStandIn())
            pubsub = opened.enter_context(PubSubStandIn())
            self.gcs.create_bucket(BUCKET)
            pubsub.create_topic(TOPIC)
            backlog = pubsub.create_subscription(SUBSCRIPTION, TOPIC, deadline_s=10)
            self.gcs.notify(partial(pubsub.publish, TOPIC), prefix="screens/raw/")
            self.gcs.notify(self._hear, prefix=f"screens/results/{EXPERIMENT}/")
            self.settings = settings.model_copy(
                update={
                    "store": f"gs://{BUCKET}/screens",
                    "subscription": backlog.name,
                    "google_project": PROJECT,
                    "storage_emulator": self.gcs.url,
                    "pubsub_emulator": pubsub.address,
                }
            )
        self.store: Store = open_data_store(self.settings)

    def _hear(self, data: bytes, attributes: dict[str, str]) -> None:
        if "/publications/" in attributes["objectId"]:
            self._published.add(attributes["objectId"].split("/")[3])

    def _counted(self, service: Service) -> Service:
        """The same service; the server with a layer that counts."""
        environment = {**(service.environment or {}), "PYTHONPATH": str(ROOT)}
        if self.database and service.name == "server":
            environment[DATABASE_URL] = self.database
        argv = service.argv
        if service.name == "server":
            argv = (sys.executable, "-m", "benchmarks.load.counted_server", *argv[3:])
        return replace(service, argv=argv, environment=environment)

    def published(self, waiting: set[str]) -> set[str]:
        """Those of some plates that are published."""
        if self.gcs is not None:
            return waiting & self._published
        folder = self.folder / "data" / "results" / EXPERIMENT
        return {plate for plate in waiting if any(folder.glob(f"{plate}/*/publications/*.json"))}

    def count_storage(self) -> dict[str, int]:
        """Requests to the bucket so far, by what they were for; none where the store is a folder."""
        return self.counts.take(self.gcs.requests) if self.gcs else {}


class StorageCounts:
    """Counts requests of the stand-in for Cloud Storage and forgets them, so that they do not fill the memory."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, requests: list[str]) -> dict[str, int]:
        """Count what came since the last call; the uploads of images, which are the load's own, are left out."""
        with self._lock:
            taken = len(requests)
            for request in requests[:taken]:
                if name := name_request(request):
                    self.counts[name] += 1
            del requests[:taken]
            return dict(self.counts)


def name_request(request: str) -> str:
    """What a request is for, names of plates, recipes and sites left out; empty for the upload of an image.

    ``list raw/``, ``list publications/``, ``read sites/``.
    """
    method, _, address = request.partition(" ")
    parts = urlsplit(address)
    query = dict(parse_qsl(parts.query))
    key = query.get("prefix") or query.get("name") or unquote(parts.path.partition(f"/{BUCKET}/")[2]).removeprefix("o/")
    key = key.removeprefix("screens/")
    is_listing = method == "GET" and ("prefix" in query or "list-type" in query)
    verb = "list" if is_listing else {"GET": "read", "HEAD": "read", "DELETE": "delete"}.get(method, "write")
    if verb == "write" and key.startswith("raw/"):
        return ""
    place = key.split("/")
    if place[0] == "results" and len(place) > 4:
        return f"{verb} results/*/*/*/{place[4]}{'/' if len(place) > 5 else ''}"
    return f"{verb} " + "/".join([place[0], *("*" for each in place[1:] if each)])


def rss_mb(pid: int) -> float:
    """Resident memory of a process in MB; 0 of one that is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    return int(found[1]) / 1000 if found else 0.0


def cpu_s(pid: int) -> tuple[float, float]:
    """Seconds of CPU that a process used, and its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    user, system, of_children, in_children = (int(each) / os.sysconf("SC_CLK_TCK") for each in fields[11:15])
    return user + system, of_children + in_children
