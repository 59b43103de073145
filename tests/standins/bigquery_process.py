"""The process behind tests/standins/bigquery.py: bqemulator on free loopback ports, offline, with its defects mended.

Run by the Python of .cache/bqemulator, which knows none of our packages. It prints its addresses (REST, gRPC) on one
line and ends when its standard input does, so it never outlives the tests, however they end. bqemulator prints as it
is imported, so that happens after standard output has been turned into the log.
"""

# What is imported here lies in .cache/bqemulator only.
# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any

BY_NAME = "FULL OUTER UNION ALL BY NAME"


def mend() -> None:
    """Put right what differs from BigQuery, and leave out what needs the network."""
    from bqemulator.api.routes import upload
    from bqemulator.jobs import executor
    from bqemulator.storage.engine import DuckDBEngine

    loaders, media_types = "_LOAD_FORMAT_HANDLERS", "_PERMITTED_MEDIA_CONTENT_TYPES"
    if "PARQUET" not in vars(executor)[loaders] or "_load_spatial" not in vars(DuckDBEngine):
        sys.exit("this bqemulator is not the version that is mended here")
    vars(executor)[loaders]["PARQUET"] = load_parquet
    setattr(upload, media_types, (*vars(upload)[media_types], "*/*"))  # what the client sends with a table in memory
    read_job = vars(executor)["_parse_load_job_config"]
    setattr(executor, "_parse_load_job_config", lambda project, job: read_job(project, without_partition(job)))  # noqa: B010
    for name in ("execute", "fetch_arrow"):
        setattr(DuckDBEngine, name, joining_by_name(getattr(DuckDBEngine, name)))
    setattr(DuckDBEngine, "_load_spatial", lambda _: None)  # noqa: B010  it fetches an extension, for geographies


def joining_by_name(run: Callable[..., Any]) -> Callable[..., Any]:
    """A method that runs SQL with DuckDB's name for a full union by name, which bqemulator leaves as BigQuery's."""
    return lambda engine, sql, *more, **named: run(engine, sql.replace(BY_NAME, "UNION ALL BY NAME"), *more, **named)


def without_partition(job: dict[str, Any]) -> dict[str, Any]:
    """A load job into ``table$20260203`` as one into the table: bqemulator refuses partitions, and has none."""
    target = job["load"]["destinationTable"]
    return {**job, "load": {**job["load"], "destinationTable": {**target, "tableId": target["tableId"].split("$")[0]}}}


def load_parquet(path: str, target: str, context: Any) -> None:
    """Append a Parquet file, columns by their names; bqemulator takes them by position, which swaps them silently."""
    context.engine.execute(f"INSERT INTO {target} BY NAME SELECT * FROM read_parquet(?)", [path])


async def serve(announce: int) -> None:
    """Serve until standard input ends."""
    from bqemulator.config import LogLevel, Settings
    from bqemulator.server import EmulatorServer

    settings = Settings(rest_port=0, grpc_port=0, log_level=LogLevel.ERROR, enable_format_extensions=False)
    server = EmulatorServer(settings)
    await server.start()
    os.write(announce, f"{server.rest_url} {server.grpc_endpoint}\n".encode())
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()


if __name__ == "__main__":
    standard_output = os.dup(1)
    os.dup2(2, 1)
    mend()
    asyncio.run(serve(standard_output))
