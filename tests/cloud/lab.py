"""A lab on Google Cloud, all of it on this machine: stand-ins for the services, everything of ours real.

    with Lab(folder) as lab:
        lab.upload()                            images into the bucket, which tells Pub/Sub
        lab.wait_for("SELECT ... FROM plates")  rows of BigQuery

Prefect server, runner, Dask cluster, watcher and loader are the processes that ``platestream serve`` starts.
"""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

from google.cloud import bigquery, storage

from flows.demo import EXPERIMENT, IMAGES, PLATE
from flows.google import bigquery_client, storage_client
from flows.settings import Settings
from flows.stack import local_services
from flows.supervise import Supervisor, find_free_ports
from tests.prepared import prepare_cache
from tests.standins.bigquery import PROJECT, BigQueryStandIn
from tests.standins.gcs import GcsStandIn
from tests.standins.messages import Disorder
from tests.standins.pubsub import PubSubStandIn

BUCKET, DATASET, TOPIC, SUBSCRIPTION = "lab", "screens", "images", "watch"
LIMIT_S = 300.0


class Lab:
    """Stand-ins and services, from ``with`` to its end.

    Parameters
    ----------
    folder
        Where buckets, logs and Prefect's database lie.
    wells
        Rows of the plate that are declared and uploaded, such as ``AB``.
    """

    def __init__(self, folder: Path, *, rows: str = "ABCD") -> None:
        self.folder, self.rows = folder, rows
        self.sent_at: dict[str, float] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        buckets = self.folder / "buckets"
        buckets.mkdir(parents=True)
        with ExitStack() as until_ready:
            self.gcs = until_ready.enter_context(GcsStandIn(buckets))
            self.pubsub = until_ready.enter_context(PubSubStandIn())
            self.bigquery = until_ready.enter_context(BigQueryStandIn(buckets))
            self._connect()
            services = local_services(self.settings, self.folder / "logs")
            self.supervisor = until_ready.enter_context(Supervisor(services))
            self.supervisor.wait_until_ready()
            self._open = until_ready.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def _connect(self) -> None:
        self.gcs.create_bucket(BUCKET)
        self.pubsub.create_topic(TOPIC)
        self.backlog = self.pubsub.create_subscription(SUBSCRIPTION, TOPIC, deadline_s=10)
        self.gcs.notify(partial(self.pubsub.publish, TOPIC), prefix="screens/raw/")
        server, scheduler, web = find_free_ports(3)
        self.settings = Settings(
            store=f"gs://{BUCKET}/screens",
            storage_emulator=self.gcs.url,
            pubsub_emulator=self.pubsub.address,
            bigquery_emulator=self.bigquery.url,
            google_project=PROJECT,
            subscription=self.backlog.name,
            dataset=DATASET,
            warehouse_interval_s=5.0,
            api_url=f"http://127.0.0.1:{server}/api",
            scheduler=f"tcp://127.0.0.1:{scheduler}",
            web_port=web,
            state_folder=self.folder / "state",
            cache_folder=prepare_cache(self.folder / "cache"),
            linger_s=10.0,
            heartbeat_s=5.0,
            heartbeat_stale_s=15.0,
            price_per_worker_hour=0.35,
        )
        self.bucket: storage.Bucket = storage_client(self.settings).bucket(BUCKET)
        self.client: bigquery.Client = bigquery_client(self.settings)
        self._declare()

    def _declare(self) -> None:
        text = (IMAGES / "experiment.yaml").read_text()
        text = text.replace("imaged: [A01-D12]", f"imaged: [{self.rows[0]}01-{self.rows[-1]}12]")
        folder = f"screens/experiments/{EXPERIMENT}"
        self.bucket.blob(f"{folder}/experiment.yaml").upload_from_string(text)
        for path in (IMAGES / "platemaps").iterdir():
            self.bucket.blob(f"{folder}/platemaps/{path.name}").upload_from_filename(str(path))

    def upload(self, *, seed: int = 0, disorder: Disorder | None = None) -> int:
        """Upload the plate's images in random order; return how many."""
        if disorder is not None:
            self.backlog.disorder = disorder
        images = sorted(path for path in (IMAGES / "images").iterdir() if path.stem[-4] in self.rows)
        random.Random(seed).shuffle(images)
        for path in images:
            self.bucket.blob(f"screens/raw/{EXPERIMENT}/{PLATE}/{path.name}").upload_from_filename(str(path))
            self.sent_at[path.name] = time.time()
        return len(images)

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows that BigQuery answers."""
        job = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{DATASET}")
        return [dict(row) for row in self.client.query(sql, job_config=job).result()]

    def wait_for(self, sql: str) -> list[dict[str, Any]]:
        """The first rows that BigQuery answers; views that are not there yet count as none.

        Raises
        ------
        TimeoutError
            If none came in time, with the services' last words.
        """
        from google.api_core.exceptions import GoogleAPICallError

        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            try:
                if rows := self.query(sql):
                    return rows
            except GoogleAPICallError:
                pass
            time.sleep(0.5)
        logs = sorted((self.folder / "logs").glob("*.log"))
        raise TimeoutError("\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in logs))
