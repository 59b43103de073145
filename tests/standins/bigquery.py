"""A stand-in for BigQuery: bqemulator as a process on loopback, offline, for the real client.

    SQL in BigQuery's dialect, DDL, views, loads    what google-cloud-bigquery speaks
    Storage Write API                               gRPC, at ``grpc``

bqemulator runs in .cache/bqemulator (`make bqemulator`), because its versions are not ours. Known to be wrong: a job id
is accepted twice, ``table$partition`` is refused, 10,001 columns are accepted; ``query_and_wait`` finds no rows where
the client has a default dataset (``query(...).result()`` does). What loading must get right about jobs is therefore not
tested on it.

    with BigQueryStandIn() as server:
        client = server.client()
        client.create_dataset("screens")

With ``gcs_root``, a folder of buckets, ``gs://bucket/name`` in a load job is the file ``bucket/name`` in it.
"""

from __future__ import annotations

import select
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.parts import require

PROJECT = "test-project"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
_PROGRAM = Path(__file__).with_name("bigquery_process.py")


class BigQueryStandIn:
    """One process of bqemulator, from ``with`` to its end; also when this process is killed.

    Parameters
    ----------
    gcs_root
        Folder whose subfolders are the buckets that load jobs read from.
    """

    def __init__(self, gcs_root: Path | None = None) -> None:
        self.gcs_root = gcs_root
        self.url = ""
        self.grpc = ""

    def __enter__(self) -> Self:
        python = require("bqemulator")
        self._log = tempfile.TemporaryFile()
        settings = {"BQEMU_DEFAULT_PROJECT_ID": PROJECT}
        if self.gcs_root is not None:
            settings["BQEMU_GCS_LOCAL_ROOT"] = str(self.gcs_root)
        self._process = subprocess.Popen(
            [python, str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=settings,  # nothing of ours: no proxy, no Python path
        )
        try:
            self.url, self.grpc = self._read_addresses()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process; safe to call twice."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def client(self, project: str = PROJECT) -> bigquery.Client:
        """Return a real client that talks to this process."""
        return bigquery.Client(
            project=project, credentials=AnonymousCredentials(), client_options={"api_endpoint": self.url}
        )

    def _read_addresses(self) -> list[str]:
        output = self._process.stdout
        ready, _, _ = select.select([output], [], [], START_TIMEOUT_S)
        line = output.readline().decode() if output is not None and ready else ""
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"bqemulator did not start: {self._log.read().decode(errors='replace')[-2000:]}")
        return line.split()
