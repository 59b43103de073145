"""A cluster that is kept at the size of its work: with a scheduler and workers that are real."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import LocalCluster

from flows.clusters import keep as module
from flows.clusters.alerts import NO_PROGRESS
from flows.clusters.contract import Size
from flows.clusters.keep import Keeper
from flows.clusters.local import MachineCluster, open_local
from flows.clusters.look import Look, ask
from flows.compute import Compute
from flows.settings import Settings
from imaging.errors import MissingPartError
from tests.flows.jobs import sleep, wait_for_file
from tests.flows.test_compute import Cluster


class Remembered:
    """A cluster that only remembers what it was told."""

    address = "tcp://elsewhere:1"
    size = Size(1, 9)

    def __init__(self) -> None:
        self.number = 4
        self.busy: Mapping[str, int] = {}
        self.fault = ""

    def count(self) -> int:
        if self.fault:
            raise MissingPartError(self.fault)
        return self.number

    def scale(self, number: int, busy: Mapping[str, int]) -> None:
        if self.fault:
            raise MissingPartError(self.fault)
        self.number, self.busy = number, busy

    def tend(self) -> None: ...

    def pids(self) -> dict[str, int | None]:
        return {}


class Scheduler:
    """Answers with what the test says, or does not."""

    def __init__(self) -> None:
        self.answer: Look | None = Look(0, 0, {})

    def __call__(self) -> Look:
        if self.answer is None:
            raise MissingPartError("the scheduler is silent")
        return self.answer


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(module, "emit", lambda url, event, auth: sent.append(event.as_prefect()))
    return sent


def make_keeper() -> tuple[Keeper, Remembered, Scheduler]:
    cluster, scheduler = Remembered(), Scheduler()
    return Keeper(cluster, scheduler, Settings(idle_s=100, no_progress_s=60)), cluster, scheduler


def test_each_fault_is_told_once_and_the_next_look_goes_on(now: list[float], caplog: Any) -> None:
    keeper, cluster, scheduler = make_keeper()
    caplog.set_level(logging.INFO)
    scheduler.answer = None
    keeper.look()
    keeper.look()
    cluster.fault = "Kubernetes is silent"
    scheduler.answer = Look(0, 6, {"a": 0})
    keeper.look()
    cluster.fault = ""
    keeper.look()
    told = ["the scheduler is silent; looking again", "Kubernetes is silent; looking again"]
    assert caplog.messages == [*told, "6 workers instead of 4", "all well again"]
    assert (cluster.number, cluster.busy) == (6, {"a": 0})


def test_workers_of_a_scheduler_that_is_gone_do_not_bill_for_ever(now: list[float]) -> None:
    keeper, cluster, scheduler = make_keeper()
    keeper.look()
    scheduler.answer = None
    now[0] = 59
    keeper.look()
    assert cluster.number == 4
    now[0] = 60
    keeper.look()
    assert cluster.number == 1


def test_no_progress_is_an_alert_once_and_workers_go(
    now: list[float], sent: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    keeper, cluster, scheduler = make_keeper()
    scheduler.answer = Look(5, 0, {"a": 2, "b": 1})
    for second in (0, 60, 65):
        now[0] = second
        keeper.look()
    assert cluster.number == 1
    (event,) = sent
    assert (event["event"], event["resource"]["prefect.resource.id"]) == (NO_PROGRESS, "cluster.local")
    assert event["payload"]["sites"] == 3
    alerts = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert alerts == [event["payload"]["message"]]
    assert "none of 3 sites in the hands of workers ended within 1 minutes" in alerts[0]
    json.dumps(event)


def test_workers_that_never_come_are_an_alert_of_their_own(now: list[float], sent: list[dict[str, Any]]) -> None:
    keeper, cluster, scheduler = make_keeper()
    scheduler.answer = Look(5, 7, {"a": 0})
    for second in (0, 60):
        now[0] = second
        keeper.look()
    assert cluster.number == 1
    (event,) = sent
    assert (event["payload"]["sites"], event["payload"]["waiting"]) == (0, 7)
    assert "no worker took any of 7 waiting sites within 1 minutes" in event["payload"]["message"]
    assert "in the hands" not in event["payload"]["message"]


def test_an_alert_that_cannot_be_sent_is_in_the_log_all_the_same(
    now: list[float], monkeypatch: Any, caplog: Any
) -> None:
    keeper, cluster, scheduler = make_keeper()
    monkeypatch.setattr(keeper, "settings", Settings(no_progress_s=60, api_url="http://127.0.0.1:9/api"))
    scheduler.answer = Look(5, 0, {"a": 2})
    keeper.look()
    now[0] = 60
    keeper.look()
    assert "no progress at tcp://elsewhere:1" in caplog.text
    assert "the event cluster.no-progress was not sent" in caplog.text
    assert cluster.number == 1


def test_an_orderly_end_lets_all_but_the_floor_go(caplog: Any) -> None:
    keeper, cluster, _ = make_keeper()
    keeper.let_go()
    assert cluster.number == 1
    cluster.fault = "Kubernetes is silent"
    keeper.let_go()
    assert "workers may be left: Kubernetes is silent" in caplog.text


def test_a_scheduler_that_dies_and_comes_back_is_looked_at_again(tmp_path: Path, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    process = Cluster(tmp_path)
    remembered = Remembered()
    keeper = Keeper(remembered, partial(ask, process.address, timeout_s=2.0), Settings(idle_s=0.001))
    for _ in range(2):
        keeper.look()
    assert remembered.number == 1, "there is no work"
    process.end(signal.SIGKILL)
    keeper.look()
    process.start()
    with Compute(process.address) as compute:
        futures = [compute.submit(sleep, 60.0 + i, key=f"site-{i}") for i in range(3)]
        deadline = time.monotonic() + 60
        while remembered.number != 3:
            assert time.monotonic() < deadline
            keeper.look()
        del futures
    process.end(signal.SIGTERM)
    silent = f"the scheduler at {process.address} does not say what it has to do; looking again"
    assert [message for message in caplog.messages if "look" in message or "well" in message] == [
        silent,
        "all well again",
    ]


@contextmanager
def tended(keeper: Keeper, cluster: MachineCluster) -> Iterator[Any]:
    """Look and tend as the service does, while the test waits."""

    def wait_for(is_true: Any, timeout_s: float = 90.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_true():
            assert time.monotonic() < deadline, "waited in vain"
            cluster.tend()
            keeper.look()
            time.sleep(0.1)

    yield wait_for


def test_workers_come_with_work_and_go_without(tmp_path: Path) -> None:
    settings = Settings(workers=2, workers_floor=0, idle_s=2.0)
    with open_local(settings) as cluster, Compute(cluster.address) as compute:
        keeper = Keeper(cluster, partial(ask, cluster.address), settings)
        with tended(keeper, cluster) as wait_for:
            wait_for(lambda: not compute.client().nthreads() and not cluster.pids())
            futures = [compute.submit(wait_for_file, tmp_path / "go", key=f"site-{i}") for i in range(6)]
            wait_for(lambda: len(compute.client().nthreads()) == 2)
            (tmp_path / "go").touch()
            wait_for(lambda: all(future.status == "finished" for future in futures))
            futures.clear()
            wait_for(lambda: not compute.client().nthreads() and not cluster.pids())


def test_the_worker_with_the_fewest_sites_goes_first() -> None:
    settings = Settings(workers=2, workers_floor=1)
    with open_local(settings) as cluster, Compute(cluster.address) as compute:
        future = compute.submit(sleep, 3.0, key="site")
        deadline = time.monotonic() + 30
        while sum((busy := ask(cluster.address).busy).values()) != 1:
            assert time.monotonic() < deadline
        (worker,) = (name for name, sites in busy.items() if sites)
        cluster.scale(1, busy)
        assert future.result(60) == 3.0
        while list(cluster.pids()) != [worker]:
            assert time.monotonic() < deadline + 60, cluster.pids()
            time.sleep(0.05)
        assert ask(cluster.address).ended == 1, "it was not begun again"


def counts(look: Look) -> tuple[int, int, dict[str, int]]:
    return look.ended, look.waiting, look.busy


def test_what_a_scheduler_has_to_do_is_told() -> None:
    with open_local(Settings(workers=1)) as cluster, Compute(cluster.address) as compute:
        assert counts(ask(cluster.address)) == (0, 0, {"0": 0})
        futures = [compute.submit(sleep, seconds, key=f"site-{seconds}") for seconds in (0.0, 60.0, 60.1)]
        futures[0].result(60)
        deadline = time.monotonic() + 30
        while counts(look := ask(cluster.address)) != (1, 1, {"0": 1}):
            assert time.monotonic() < deadline, look
        assert (look.in_hand, look.tasks) == (1, 2)


def test_a_scheduler_that_was_started_without_ours_does_not_say_what_it_has_to_do() -> None:
    with LocalCluster(
        n_workers=0, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as plain:
        address: Any = plain.scheduler_address
        with pytest.raises(MissingPartError, match="does not say what it has to do"):
            ask(address)


def test_a_scheduler_that_is_not_there_does_not_say_what_it_has_to_do() -> None:
    with pytest.raises(MissingPartError, match=r"tcp://127\.0\.0\.1:9 does not say what it has to do"):
        ask("tcp://127.0.0.1:9", timeout_s=0.3)
