"""Jobs of BigQuery under names of their own.

A job's name says what it does, so it is done once, whoever asks and however often: a name that is taken (409) is the
same work, begun by somebody else or in an earlier life of ours, and is waited for. A job that ended with an error has
used its name up; the next attempt has the next number, and what failed once is not asked about again. Bad data are not
tried again; where a quota is used up, one job is enough to learn it.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.api_core.exceptions import Conflict, NotFound
from google.cloud import bigquery

from imaging.errors import RefusedLoadError, WarehouseUnavailableError
from imaging.warehouse.connection import REQUEST_S, Warehouse, is_outage, parameters, translated

TRIES = 3
"""Attempts of ours at a job that fails for reasons that pass."""
PATIENCE_S = 3600.0
"""Seconds that a job may wait and run."""
_PASSING = frozenset(
    {
        "backendError",
        "internalError",
        "jobBackendError",
        "jobInternalError",
        "jobRateLimitExceeded",
        "quotaExceeded",
        "rateLimitExceeded",
        "resourcesExceeded",
        "stopped",
        "tableUnavailable",
        "timeout",
    }
)
_SPENT = frozenset({"quotaExceeded"})
"""Reasons that another attempt in a moment would only meet again."""
_BAD_DATA = frozenset({"invalid", "invalidQuery"})
_UNFIT = re.compile(r"[^A-Za-z0-9_-]+")

Begin = Callable[[str], Any]
"""Starts a job of that name."""


@dataclass(frozen=True, slots=True)
class Done:
    """A job that ended well: its attempt's number, and how many jobs were begun for it here, those that failed too."""

    attempt: int
    begun: int


def job_name(warehouse: Warehouse, *parts: str) -> str:
    """Name a job: ``platestream-<dataset>-<parts>``."""
    return "-".join(_UNFIT.sub("_", part) for part in ("platestream", warehouse.dataset, *parts))


def load_rows(warehouse: Warehouse, name: str, table: str, source: str | bytes, *, first: int = 1) -> Done:
    """Append a Parquet file to a table, once.

    Parameters
    ----------
    warehouse
        The dataset.
    name
        Name of the work, from ``job_name``.
    table
        Table to append to; ``table$20260203`` for a partition.
    source
        ``gs://`` address of the file, or its bytes.
    first
        Attempt to begin with; earlier ones are known to be of no use.

    Raises
    ------
    RefusedLoadError
        If BigQuery takes the file for bad data.
    WarehouseUnavailableError
        If BigQuery does not answer, or the job fails again and again.
    """
    options = bigquery.ParquetOptions()
    options.enable_list_inference = True  # else a list of texts is a record of records
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        parquet_options=options,
    )
    target = warehouse.table_id(table)
    client, where = warehouse.client, warehouse.where

    def begin(job_id: str) -> Any:
        if isinstance(source, str):
            return client.load_table_from_uri(
                source,
                target,
                job_id=job_id,
                location=where,
                job_config=config,
                retry=warehouse.retry,
                timeout=REQUEST_S,
            )
        return warehouse.retry(upload)(source, job_id)  # a second one after a lost answer meets the first one's name

    def upload(data: bytes, job_id: str) -> Any:
        return client.load_table_from_file(
            io.BytesIO(data),
            target,
            size=len(data),
            num_retries=0,
            job_id=job_id,
            location=where,
            job_config=config,
            timeout=REQUEST_S,
        )

    return _run(warehouse, name, begin, first, table)


def change_rows(warehouse: Warehouse, name: str, table: str, sql: str, **values: Any) -> Done:
    """Run one statement that changes a table, once; errors as ``load_rows``."""
    config = bigquery.QueryJobConfig(query_parameters=parameters(values))

    def begin(job_id: str) -> Any:
        return warehouse.client.query(
            sql,
            job_config=config,
            job_id=job_id,
            location=warehouse.where,
            retry=warehouse.retry,
            job_retry=None,
            timeout=REQUEST_S,
        )

    return _run(warehouse, name, begin, 1, table)


def _run(warehouse: Warehouse, name: str, begin: Begin, first: int, table: str) -> Done:
    begun, attempt = 0, max(first, warehouse.failed.get(name, 0) + 1)
    while True:
        job, is_ours = _begin_or_find(warehouse, f"{name}-{attempt}", begin)
        begun += is_ours
        error = _wait(warehouse, job)
        if error is None:
            return Done(attempt, begun)
        if error["reason"] not in _BAD_DATA:
            warehouse.failed[name] = attempt
        if error["reason"] in _BAD_DATA:
            if not _exists(warehouse, f"{name}-{attempt + 1}"):  # else somebody asked for it again
                raise RefusedLoadError(f"BigQuery refused the load into {table}: {error['message']} (job {job.job_id})")
        elif is_ours and error["reason"] not in _PASSING:
            # neither the data nor the moment: a right, a table or an account is missing until somebody sees to it
            raise WarehouseUnavailableError(
                f"BigQuery could not change {table}: {error['message']} (job {job.job_id}); it is tried again later"
            )
        elif is_ours and error["reason"] in _SPENT:
            raise WarehouseUnavailableError(
                f"BigQuery has no room to change {table} now: {error['message']} (job {job.job_id}); "
                "it is tried again later"
            )
        elif begun >= TRIES:
            raise WarehouseUnavailableError(
                f"BigQuery failed {begun} times to change {table}, at last with: {error['message']}; "
                "it is tried again later"
            )
        elif is_ours:
            time.sleep(warehouse.pause_s * 2**begun)
        attempt += 1


def _begin_or_find(warehouse: Warehouse, job_id: str, begin: Begin) -> tuple[Any, bool]:
    """Begin a job, or find the one that has its name; whether we began it, as far as the answer tells."""
    try:
        with translated(warehouse.dataset):
            return begin(job_id), True
    except Conflict:
        return _find(warehouse, job_id), False
    except NotFound as error:
        raise WarehouseUnavailableError(
            f"BigQuery does not find what the job {job_id} needs: {error.message}; it is tried again later"
        ) from error


def _find(warehouse: Warehouse, job_id: str) -> Any:
    """Fetch a job that is known to be there, although BigQuery may not show it at once."""
    again = warehouse.retry.with_predicate(lambda error: isinstance(error, NotFound) or is_outage(error))
    try:
        with translated(warehouse.dataset):
            return warehouse.client.get_job(job_id, location=warehouse.where, retry=again, timeout=REQUEST_S)
    except NotFound as error:
        raise WarehouseUnavailableError(
            f"BigQuery says that the job {job_id} is there, and does not show it"
        ) from error


def _exists(warehouse: Warehouse, job_id: str) -> bool:
    try:
        warehouse.call(warehouse.client.get_job, job_id, location=warehouse.where)
    except NotFound:
        return False
    return True


def _wait(warehouse: Warehouse, job: Any) -> dict[str, str] | None:
    """Wait until a job ended; return its error, if it has one."""
    deadline = time.monotonic() + PATIENCE_S
    pause_s = warehouse.pause_s / 2
    while job.state != "DONE":
        if time.monotonic() > deadline:
            raise WarehouseUnavailableError(f"the job {job.job_id} did not end within {PATIENCE_S:g} s")
        time.sleep(pause_s)
        pause_s = min(1.5 * pause_s, 8 * warehouse.pause_s)
        warehouse.call(job.reload)
    if not job.error_result:
        return None
    return {"reason": job.error_result.get("reason", ""), "message": job.error_result.get("message", "no reason given")}
