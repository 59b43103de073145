"""What people see of a plate while it is followed: page and artifacts, whatever goes wrong with them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flows.display
from flows.display import Display, rest_s
from imaging.errors import StoreUnavailableError
from imaging.job import PlateJob
from imaging.live_page import LivePage
from imaging.measure import measure_planes
from imaging.projection import page_folder, publish_and_project
from imaging.site import process_site
from imaging.steps import site_task
from tests.flows.test_report import Heard
from tests.imaging.small_page import read_live
from tests.imaging.small_plate import make_job


@pytest.fixture(autouse=True)
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.display, "EVERY_S", 0.02)
    monkeypatch.setattr(flows.display, "RESTS", 0.0)


def measure(job: PlateJob, n_sites: int = 4) -> None:
    job.ensure_pins()
    for site in job.survey().todo[:n_sites]:
        process_site(site_task(job, site), measure_planes)


def states(job: PlateJob) -> list[str]:
    key = f"{page_folder(job)}live.js"
    return [well["state"] for well in read_live(job.store.read(key))["wells"]] if job.store.exists(key) else []


def wait_for(is_true: Callable[[], object], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_the_page_follows_the_looks(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    with Display(job) as display:
        display.show(job.survey())
        wait_for(lambda: states(job) == ["waiting"] * 4)
        measure(job, 2)
        display.show(job.survey())
        wait_for(lambda: states(job) == ["done", "done", "waiting", "waiting"])


def test_the_last_look_is_shown_when_the_follower_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.display, "EVERY_S", 600.0)
    job = make_job(tmp_path)
    with Display(job) as display:
        display.show(job.survey())
        wait_for(lambda: states(job))
        measure(job)
        display.show(job.survey())
    assert states(job) == ["done"] * 4


def test_the_run_s_artifacts_are_provisional_and_then_those_of_the_publication(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    heard: Any = Heard()
    with Display(job, heard) as display:
        measure(job, 3)
        display.show(job.survey())
        wait_for(lambda: states(job))
        measure(job)
        publication = publish_and_project(job)
        assert publication is not None
        display.show_published(job.survey(), publication)
    assert display._page.atlas.wells == {"A01", "A02", "B01", "B02"}
    assert "index.html" in heard.last("markdown", "page")[1]
    assert heard.last("progress", "progress")[1] == 75.0
    said = [values[2] for kind, values in heard.told if values[0] == "verdicts"]
    assert said == ["wells by verdict, provisional", "wells by verdict, publication 1"]
    assert heard.last("image", "overview")[2] == "the plate in colours, publication 1"
    assert heard.last("table", "quality")[2].startswith("publication 1: ")
    assert job.store.read(f"{page_folder(job)}live.js") == b"window.LIVE = null;\n"


def test_a_publication_does_not_wait_for_the_rest_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.display, "EVERY_S", 600.0)
    job = make_job(tmp_path)
    heard: Any = Heard()
    with Display(job, heard) as display:
        display.show(job.survey())
        wait_for(lambda: states(job))
        measure(job)
        publication = publish_and_project(job)
        assert publication is not None
        display.show_published(job.survey(), publication)
        wait_for(lambda: [values for kind, values in heard.told if values[0] == "overview"])


def test_a_plate_that_is_published_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(tmp_path)
    measure(job)
    plan = job.survey()
    publish_and_project(job)
    looks: list[Any] = []
    monkeypatch.setattr(LivePage, "look", lambda self, plan: looks.append(plan))
    with Display(job) as display:
        display.show(plan)
    assert not looks


def test_the_same_look_is_not_written_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(tmp_path)
    written: list[Any] = []
    original = LivePage.write
    monkeypatch.setattr(
        LivePage, "write", lambda self, tables, **costs: written.append(tables) or original(self, tables)
    )
    with Display(job) as display:
        for _ in range(5):
            display.show(job.survey())
            time.sleep(0.05)
    assert len(written) == 1


def test_a_storage_out_of_order_costs_the_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = make_job(tmp_path)
    original, failures = LivePage.write, [StoreUnavailableError("the disk is full"), OSError("no"), KeyError("odd")]

    def write(self: LivePage, tables: Any, **costs: Any) -> bool:
        if failures:
            raise failures.pop(0)
        return original(self, tables)

    monkeypatch.setattr(LivePage, "write", write)
    with caplog.at_level(logging.WARNING), Display(job) as display:
        display.show(job.survey())
        wait_for(lambda: states(job))
    assert caplog.text.count("the page of screen/P1 was not written") == 3
    assert "the disk is full" in caplog.text


def test_a_run_that_ends_by_an_error_does_not_wait_for_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path)
    is_free, is_looking = threading.Event(), threading.Event()
    monkeypatch.setattr(LivePage, "look", lambda self, plan: is_looking.set() or is_free.wait(15))
    monkeypatch.setattr(LivePage, "write", lambda self, tables, **costs: False)
    display = Display(job, flush_s=600.0)

    def fail() -> None:
        with display:
            display.show(job.survey())
            is_looking.wait(30)
            raise RuntimeError("the run failed")

    with pytest.raises(RuntimeError, match="the run"):
        fail()
    assert display._thread.is_alive()
    is_free.set()
    display._thread.join(30)


def test_a_slow_page_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(tmp_path)
    is_free = threading.Event()
    monkeypatch.setattr(LivePage, "look", lambda self, plan: is_free.wait(60))
    monkeypatch.setattr(LivePage, "write", lambda self, tables, **costs: False)
    plan = job.survey()
    began = time.monotonic()
    with Display(job, flush_s=0.2) as display:
        for _ in range(100):
            display.show(plan)
    assert time.monotonic() - began < 30
    is_free.set()
    display._thread.join(30)


def test_the_thread_rests_ten_times_as_long_as_it_worked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert (rest_s(0.1), rest_s(3.0)) == (10.0, 30.0)
