"""A BigQuery dataset: questions to it, and what Google's client raises in our words.

Whether a call may be repeated is decided here, once: everything the pipeline asks of BigQuery is a read, has a name of
its own, or changes nothing the second time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import bigquery

from imaging.errors import ConfigurationError, PlateError, RefusedLoadError, WarehouseUnavailableError

_Answer = TypeVar("_Answer")

REQUEST_S = 60.0
"""Seconds that one request may take."""
_BUSY = frozenset({"rateLimitExceeded", "quotaExceeded", "backendError", "internalError", "jobRateLimitExceeded"})
_OUTAGES = (
    exceptions.ServerError,
    exceptions.TooManyRequests,
    exceptions.RetryError,
    TransportError,
    OSError,  # what `requests` raises is of this kind
)
_KINDS: dict[type, str] = {str: "STRING", int: "INT64", float: "FLOAT64", datetime: "TIMESTAMP"}


@dataclass(frozen=True)
class Warehouse:
    """A dataset of BigQuery.

    Parameters
    ----------
    client
        Google's client, with its project.
    dataset
        Name of the dataset.
    location
        Where it lies, such as ``EU``; empty for the client's.
    patience_s
        Seconds for which a call that fails for a moment is repeated.
    pause_s
        Seconds before the first repetition, and between two looks at a job.
    failed
        How many attempts at a job are known to have failed, by its name without their number.
    """

    client: bigquery.Client
    dataset: str
    location: str = ""
    patience_s: float = 60.0
    pause_s: float = 1.0
    failed: dict[str, int] = field(default_factory=dict, compare=False)

    @property
    def where(self) -> str | None:
        """Location for Google's client: where the dataset is, as a job elsewhere is not found; see ``wanted``."""
        try:
            return self._found_place or self.wanted
        except exceptions.NotFound:
            return self.wanted

    @property
    def wanted(self) -> str | None:
        """Where the dataset is made if it is not there; ``None`` leaves it to BigQuery."""
        return self.location or self.client.location

    @property
    def full_name(self) -> str:
        """Full name of the dataset: ``project.dataset``."""
        return f"{self.client.project}.{self.dataset}"

    @cached_property
    def retry(self) -> Retry:
        """When a call is repeated, and for how long."""
        return Retry(predicate=is_outage, initial=self.pause_s, maximum=16 * self.pause_s, timeout=self.patience_s)

    @property
    def place(self) -> str:
        """Where the dataset really is, such as ``EU``.

        Raises
        ------
        WarehouseUnavailableError
            If it is not there, or BigQuery does not answer.
        """
        try:
            return self._found_place
        except exceptions.NotFound as error:
            raise WarehouseUnavailableError(
                f"there is no dataset {self.full_name}; platestream warehouse makes it, and loads all that is published"
            ) from error

    @cached_property
    def _found_place(self) -> str:
        return self.call(self.client.get_dataset, self.full_name).location or ""

    def table_id(self, name: str) -> str:
        """Full name of a table: ``project.dataset.name``."""
        return f"{self.full_name}.{name}"

    def call(self, function: Callable[..., _Answer], *values: Any, **named: Any) -> _Answer:
        """Call a method of Google's client that takes ``retry`` and ``timeout``; see ``translated``."""
        with translated(self.dataset):
            return function(*values, **named, retry=self.retry, timeout=REQUEST_S)

    def ask(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """Answer a SELECT with named parameters, e.g. ``ask("SELECT ... WHERE plate = @plate", plate="P1")``.

        Raises
        ------
        WarehouseUnavailableError
            If BigQuery does not answer, or a table was dropped that must be made again first.
        RefusedLoadError
            If it refuses the query.
        """
        with present(self.dataset), translated(self.dataset):
            rows = self.client.query_and_wait(
                sql,
                job_config=bigquery.QueryJobConfig(query_parameters=parameters(values)),
                location=self.where,
                api_timeout=REQUEST_S,
                wait_timeout=self.patience_s + REQUEST_S,
                retry=self.retry,
                job_retry=None,  # pyright: ignore[reportArgumentType]  None switches it off: `retry` does its work
            )
            return [dict(row.items()) for row in rows]


def parameters(values: Mapping[str, Any]) -> list[Any]:
    """Named parameters of a query."""
    return [bigquery.ScalarQueryParameter(name, _KINDS[type(value)], value) for name, value in values.items()]


def is_outage(error: BaseException) -> bool:
    """Whether an error of Google's client passes by itself."""
    if isinstance(error, exceptions.Forbidden):  # BigQuery's way to say that a quota is used up
        return any(item.get("reason") in _BUSY for item in error.errors or ())
    return isinstance(error, _OUTAGES)


@contextlib.contextmanager
def translated(dataset: str) -> Iterator[None]:
    """Give errors of Google's client our names.

    ``Conflict``, ``NotFound`` and ``PreconditionFailed`` keep their own: callers expect them.

    Raises
    ------
    WarehouseUnavailableError
        If BigQuery did not answer, or has no room now.
    ConfigurationError
        If it does not let us in.
    RefusedLoadError
        If it refuses what was asked.
    """
    try:
        yield
    except (exceptions.Conflict, exceptions.NotFound, exceptions.PreconditionFailed, PlateError):
        raise
    except (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError, *_OUTAGES) as error:
        said = _sentence(error)
        if is_outage(error):
            raise WarehouseUnavailableError(
                f"BigQuery does not take work for the dataset {dataset} ({said}); it is tried again later"
            ) from error
        if isinstance(error, exceptions.Forbidden | exceptions.Unauthorized | GoogleAuthError):
            raise ConfigurationError(
                f"BigQuery lets nobody into the dataset {dataset} with these credentials ({said}); grant the roles "
                "BigQuery Data Editor and BigQuery Job User"
            ) from error
        raise RefusedLoadError(f"BigQuery refused what was asked of the dataset {dataset}: {said}") from error


@contextlib.contextmanager
def present(dataset: str) -> Iterator[None]:
    """Take what is missing, or there already, for something that somebody dropped or made just now.

    Raises
    ------
    WarehouseUnavailableError
        In place of ``NotFound`` and ``Conflict``.
    """
    try:
        yield
    except (exceptions.NotFound, exceptions.Conflict) as error:
        raise WarehouseUnavailableError(
            f"the dataset {dataset} was changed by somebody else meanwhile ({_sentence(error)}); what is missing is "
            "made again, and it is tried again later"
        ) from error


def _sentence(error: BaseException) -> str:
    cause = error
    while isinstance(cause, exceptions.RetryError) and cause.cause:
        cause = cause.cause
    text = getattr(cause, "message", None) or str(cause) or type(cause).__name__
    return " ".join(str(text).split())[:300]
