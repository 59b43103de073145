from __future__ import annotations

import re
import time
from collections.abc import Callable

import httpx
import pytest

from flows import artifacts
from flows.artifacts import MAX_BYTES, Reporter, artifact_key
from flows.supervise import find_free_ports
from tests.flows.api_standin import api_standin

NAMES = ("E1", "P1", "std-1234")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "PAUSE_S", 0.05)
    monkeypatch.setattr(artifacts, "LAST_PAUSE_S", 0.02)


def wait_for(is_true: Callable[[], object], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_each_kind_is_created_with_its_run_and_plate() -> None:
    with api_standin() as (url, got), Reporter(url, "run-1", NAMES, auth="a:b") as reporter:
        reporter.progress("progress", 33.333, "half way")
        reporter.image("sites", "data:image/png;base64,AAAA", "a map")
        reporter.table("faults", [{"file": "x.tif", "site": 2}], "one fault")
        reporter.markdown("publication", "# text", "published")
        reporter.link("page", "http://x/page", "the page")
    sent = {request.body["key"]: request.body for request in got}
    assert {request.path for request in got} == {"/api/artifacts/"}
    assert {request.auth for request in got} == {"Basic YTpi"}
    assert {body["flow_run_id"] for body in sent.values()} == {"run-1"}
    assert [(body["type"], body["data"]) for body in sent.values()] == [
        ("progress", 33.3),
        ("image", "data:image/png;base64,AAAA"),
        ("table", '[{"file": "x.tif", "site": 2}]'),
        ("markdown", "# text"),
        ("markdown", "[the page](http://x/page)"),
    ]
    (progress, *_) = sent.values()
    assert progress["description"] == "E1/P1, recipe std-1234: half way"


def test_what_is_shown_already_is_not_sent_again() -> None:
    with api_standin() as (url, got), Reporter(url, "", NAMES) as reporter:
        reporter.progress("progress", 10, "a")
        wait_for(lambda: len(got) == 1)
        reporter.progress("progress", 10, "a")
        reporter.markdown("page", "text", "b")
    assert [request.body["data"] for request in got] == [10, "text"]


def test_the_next_version_updates_the_same_artifact() -> None:
    with api_standin() as (url, got), Reporter(url, "", NAMES) as reporter:
        reporter.progress("progress", 10, "a")
        wait_for(lambda: len(got) == 1)
        reporter.progress("progress", 20, "b")
    first, second = got
    assert (first.method, second.method, second.path) == ("POST", "PATCH", "/api/artifacts/id-1")
    assert second.body == {"data": 20, "description": "E1/P1, recipe std-1234: b"}
    assert "flow_run_id" not in first.body


def test_an_artifact_that_the_server_forgot_is_created_again() -> None:
    with api_standin(lambda n: 404 if n == 2 else 200) as (url, got), Reporter(url, "", NAMES) as reporter:
        reporter.progress("progress", 10, "a")
        wait_for(lambda: len(got) == 1)
        reporter.progress("progress", 20, "b")
    assert [request.method for request in got] == ["POST", "PATCH", "POST"]


def test_a_server_that_is_down_costs_the_run_nothing_and_gets_the_newest_when_it_is_back() -> None:
    (port,) = find_free_ports(1)
    with Reporter(f"http://127.0.0.1:{port}/api", "", NAMES, flush_s=20) as reporter:
        began = time.monotonic()
        for percent in range(100):
            reporter.progress("progress", percent, "going on")
        assert time.monotonic() - began < 1.0
        time.sleep(0.2)  # some attempts fail meanwhile
        with api_standin(port=port) as (_, got):
            wait_for(lambda: got)
            assert reporter.flush(20)
    assert [request.body["data"] for request in got] == [99]


def test_versions_that_follow_each_other_quickly_are_not_all_sent() -> None:
    with api_standin() as (url, got), Reporter(url, "", NAMES) as reporter:
        for percent in range(100):
            reporter.progress("progress", percent, "going on")
            time.sleep(0.005)
    assert len(got) < 50
    assert got[-1].body["data"] == 99


def test_a_run_does_not_wait_longer_for_a_dead_server_than_it_was_told() -> None:
    began = time.monotonic()
    with Reporter("http://127.0.0.1:9/api", "", NAMES, flush_s=0.3) as reporter:
        reporter.progress("progress", 1, "x")
    assert time.monotonic() - began < 5
    assert not reporter.flush(0.1)


def test_a_server_in_trouble_is_asked_again() -> None:
    with api_standin(lambda n: 503 if n < 3 else 200) as (url, got), Reporter(url, "", NAMES) as reporter:
        reporter.progress("progress", 10, "a")
    assert len(got) == 3


def test_what_the_server_refuses_is_not_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    with api_standin(lambda n: 422) as (url, got), Reporter(url, "", NAMES) as reporter:
        reporter.progress("progress", 10, "a")
        wait_for(lambda: got)
        time.sleep(0.2)
    assert len(got) == 1
    assert "refused an artifact with 422" in caplog.text


def test_nothing_to_send_ends_at_once() -> None:
    began = time.monotonic()
    with api_standin() as (url, got), Reporter(url, "", NAMES, flush_s=30):
        pass
    assert time.monotonic() - began < 5
    assert got == []


def test_what_is_too_large_for_the_database_is_left_out() -> None:
    with api_standin() as (url, got), Reporter(url, "", NAMES) as reporter:
        reporter.image("big", "x" * (MAX_BYTES + 1), "too large")
        reporter.image("fits", "x" * MAX_BYTES, "fits")
    assert [request.body["key"] for request in got] == ["e1-p1-fits-" + artifact_key("E1", "P1", "fits")[-6:]]


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a", "b", "c"), ("A", "b", "c")), (("a.b", "c", "d"), ("a b", "c", "d")), (("é", "p", "n"), ("è", "p", "n"))],
)
def test_keys_are_taken_by_prefect_and_differ(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", artifact_key(*one))
    assert artifact_key(*one) != artifact_key(*other)


def test_a_plain_name_stays_as_it_is() -> None:
    assert artifact_key("screen1", "p7", "progress") == "screen1-p7-progress"


def test_the_real_server_takes_and_updates_artifacts(server: str) -> None:
    with Reporter(server, "", ("Real", "P1", "r"), flush_s=30) as reporter:
        reporter.progress("progress", 10, "a")
        reporter.image("sites", "data:image/png;base64,AAAA", "a map")
        reporter.table("faults", [{"file": "x.tif"}], "one fault")
        reporter.markdown("publication", "# text", "published")
        wait_for(lambda: len(reporter._ids) == 4)
        reporter.progress("progress", 55, "b")
    found = httpx.post(f"{server}/artifacts/filter", json={}, trust_env=False).json()
    ours = {each["type"]: each for each in found if each["key"].startswith("real-p1-")}
    assert set(ours) == {"progress", "image", "table", "markdown"}
    assert ours["progress"]["data"] == 55
    assert ours["progress"]["description"].endswith(": b")
