"""A run's connection to the shared Dask cluster.

What a caller has to know about futures: ``finished``, ``error`` and ``cancelled`` are ends. ``cancelled`` means that
the scheduler went away, not that the site is at fault. ``lost`` is no end: Dask computes the task again by itself and
counts how often its worker died, and whoever submits it anew resets that count.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import dask
from dask._task_spec import Task  # not public; dask is pinned to one version
from distributed import Client, Future
from distributed.security import Security

from flows.clusters.security import explain_silence, read_security, warn_of_plain_text
from flows.clusters.timers import keep_messages
from flows.settings import Settings
from imaging.errors import MissingPartError

ATTEMPT_S = 5.0
"""Seconds that one attempt to connect may take."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0
COUNT_AGE_S = 2.0
"""Seconds that a count of workers is good for; each count is a question to the scheduler."""
COMPARED_PACKAGES = (
    "python",
    "dask",
    "distributed",
    "msgpack",
    "cloudpickle",
    "platestream",
    "numpy",
    "scipy",
    "numba",
    "scikit-image",
)
"""What must have one version everywhere: what talks, and what makes numbers."""


def connect(settings: Settings) -> Compute:
    """Connect to the cluster that the settings name.

    Raises
    ------
    MissingPartError
        When no scheduler answers, it does not accept our certificate or none of ours is there, or it or a worker runs
        other versions than we do.
    ConfigurationError
        When the files for TLS cannot be used.
    """
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # a scheduler that went away is dealt with here
    warn_of_plain_text(settings.compute, settings.scheduler)
    compute = Compute(settings.scheduler, reconnect_s=settings.reconnect_s, security=read_security(settings))
    try:
        compute.check_versions()
    except MissingPartError:
        compute.close()
        raise
    return compute


class Compute:
    """A connection to a Dask cluster that survives the scheduler; a context manager.

    Parameters
    ----------
    address
        Address of the scheduler, e.g. ``tcp://127.0.0.1:8786``.
    reconnect_s
        Seconds to wait for a scheduler that went away; the first connection is tried once.
    security
        Certificate and authority for an address that begins with ``tls://``.

    Raises
    ------
    MissingPartError
        When no scheduler answers.
    """

    def __init__(self, address: str, *, reconnect_s: float = 60.0, security: Security | None = None) -> None:
        self.address, self.reconnect_s, self._security = address, reconnect_s, security
        self._client: Any = self._open(ATTEMPT_S)  # Dask's own types do not tell its two kinds of client apart
        self._was_lost = False
        self._workers, self._counted_at = 0, 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect; tasks that nobody else waits for are given up."""
        self._client.close(timeout=2)

    def client(self) -> Client:
        """Return a connected client, waiting up to ``reconnect_s`` for a scheduler that went away.

        Raises
        ------
        MissingPartError
            When none came back in time.
        """
        if self._client.status != "running":
            self._was_lost = True
            self._client.close(timeout=2)
            self._client = self._reopen()
            self._counted_at = 0.0
        return self._client

    def ensure_connected(self) -> bool:
        """Reconnect if the scheduler went away; ``False``, once, when all futures from before are lost.

        Raises
        ------
        MissingPartError
            As ``client``.
        """
        self.client()
        was_lost, self._was_lost = self._was_lost, False
        return not was_lost

    @property
    def workers(self) -> int:
        """Number of worker threads, at most two seconds old."""
        if time.monotonic() - self._counted_at >= COUNT_AGE_S and self._client.status == "running":
            try:
                self._workers = sum(self._client.nthreads().values())
            except (OSError, TimeoutError):
                return self._workers  # the scheduler is just going away; ensure_connected() deals with it
            self._counted_at = time.monotonic()
        return self._workers

    def submit(self, function: Callable[..., Any], *args: Any, key: str, priority: int = 0) -> Future:
        """Start a task; a key that is known already, from this or another run, shares its future.

        Of the tasks that wait for a worker, those of the highest priority go first, however late they came.

        The task is marked as one that needs no other's data: then the scheduler hands a worker one task per thread.
        Otherwise a few sites wait inside a worker, and those behind a site that kills workers are blamed with it.
        """
        task = Task(key, function, *args, _data_producer=True)
        future: Any = self.client().get({key: task}, key, sync=False, priority=priority)
        return future

    def check_versions(self) -> None:
        """Refuse a cluster that would compute or talk otherwise than this process.

        Raises
        ------
        MissingPartError
            With each scheduler or worker that differs, and in what; when the scheduler goes away for good meanwhile.
        """
        faults = compare_versions(self._ask_versions())
        if faults:
            raise MissingPartError(
                f"the cluster at {self.address} runs other versions than this process; install the same everywhere: "
                + "; ".join(faults)
            )

    def _ask_versions(self) -> Any:
        """Ask scheduler and workers for their versions, again where the scheduler went away meanwhile."""
        deadline = time.monotonic() + self.reconnect_s
        while True:
            try:
                return self.client().get_versions(packages=list(COMPARED_PACKAGES[1:]))
            except (OSError, TimeoutError) as error:
                if time.monotonic() > deadline:
                    raise MissingPartError(
                        f"the scheduler at {self.address} went away while it was asked for its versions; see its log"
                    ) from error
            time.sleep(FIRST_PAUSE_S)  # until the client knows, too

    def _open(self, timeout_s: float) -> Client:
        try:
            with dask.config.set({"distributed.comm.timeouts.connect": timeout_s}):
                client: Any = Client(self.address, timeout=timeout_s, set_as_default=False, security=self._security)
        except (OSError, TimeoutError) as error:
            raise MissingPartError(
                explain_silence(self.address)
                or f"no Dask scheduler answers at {self.address}: start one with `platestream cluster`, "
                "or set PLATESTREAM_SCHEDULER to the address of yours"
            ) from error
        client.loop.add_callback(keep_messages, client)
        return client

    def _reopen(self) -> Client:
        deadline, pause_s = time.monotonic() + self.reconnect_s, FIRST_PAUSE_S
        while True:
            try:
                return self._open(max(0.5, min(ATTEMPT_S, deadline - time.monotonic())))
            except MissingPartError:
                if time.monotonic() + pause_s > deadline:
                    raise
            time.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)


def compare_versions(versions: Mapping[str, Any]) -> list[str]:
    """Say which of scheduler and workers differs from the client in what; empty when all agree.

    Parameters
    ----------
    versions
        As Dask gives them: ``client``, ``scheduler`` and ``workers`` (by address), each with ``packages``.
    """
    ours = _comparable(versions["client"])
    faults = []
    for place, theirs in {"the scheduler": versions["scheduler"], **versions["workers"]}.items():
        different = [
            f"{name} {version} instead of {ours[name]}"
            for name, version in _comparable(theirs).items()
            if version != ours[name]
        ]
        if different:
            faults.append(f"{place} has {', '.join(different)}")
    return faults


def _comparable(node: dict[str, Any]) -> dict[str, str | None]:
    packages = node["packages"]
    named = {name: packages.get(name) for name in COMPARED_PACKAGES}
    return {**named, "python": ".".join(str(packages.get("python")).split(".")[:2])}
