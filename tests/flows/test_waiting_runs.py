"""Runs that wait at the server: believed for a while, and asked for in one question."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from flows.waiting_runs import AGE_S, BELIEVED_S, FLOW, WaitingRuns
from imaging.errors import MissingPartError
from tests.flows.api_standin import api_standin

PLACE = ("screen", "P1", "v1-1234")


def run_of(state: str, *, id: str = "r1", **changed: Any) -> dict[str, Any]:  # noqa: A002 as the server names it
    parameters = dict(zip(("experiment", "plate", "recipe"), PLACE, strict=True)) | changed
    return {"id": id, "state_type": state, "parameters": parameters}


def test_a_run_that_is_scheduled_or_pending_waits() -> None:
    for state in BELIEVED_S:
        assert WaitingRuns("http://127.0.0.1:1/api").believe([run_of(state)], now=0.0) == {PLACE}


def test_a_run_that_never_begins_is_not_believed_for_ever() -> None:
    for state, longest_s in BELIEVED_S.items():
        waiting = WaitingRuns("http://127.0.0.1:1/api")
        assert waiting.believe([run_of(state)], now=0.0)
        assert waiting.believe([run_of(state)], now=longest_s - 1)
        assert not waiting.believe([run_of(state)], now=longest_s)
        assert waiting.believe([run_of(state), run_of(state, id="r2")], now=longest_s)


def test_a_plate_in_a_long_queue_gets_ever_more_rarely_one_more_run() -> None:
    waiting = WaitingRuns("http://127.0.0.1:1/api")
    runs, added_at = [run_of("SCHEDULED")], []
    for hour in range(24):
        if not waiting.believe(runs, now=3600.0 * hour):
            added_at.append(hour)
            runs.append(run_of("SCHEDULED", id=f"r{hour + 2}"))
            assert waiting.believe(runs, now=3600.0 * hour)
    assert added_at == [1, 3, 7, 15]


def test_a_run_that_went_on_is_forgotten() -> None:
    waiting = WaitingRuns("http://127.0.0.1:1/api")
    waiting.believe([run_of("PENDING")], now=0.0)
    assert not waiting.believe([], now=100.0)
    assert waiting.believe([run_of("PENDING")], now=150.0)


def test_runs_of_other_flows_are_none_of_a_plate() -> None:
    other = {"id": "r1", "state_type": "PENDING", "parameters": {"experiment": "screen", "plate": "P1"}}
    assert not WaitingRuns("http://127.0.0.1:1/api").believe([other], now=0.0)


def test_a_server_that_does_not_answer_gets_no_further_event() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        waiting = WaitingRuns(f"http://127.0.0.1:{nobody.getsockname()[1]}/api")
        for _ in range(2):
            with pytest.raises(MissingPartError, match="does not say which runs wait"):
                waiting.has(*PLACE)


def test_whoever_else_answers_stops_no_watcher() -> None:
    for odd in (
        {"detail": "no list of runs"},
        [{"id": "no state"}],
        ["no run"],
        7,
        [{"id": 1, "state_type": "PENDING"}],
    ):
        with api_standin(found=odd) as (url, _), pytest.raises(MissingPartError, match="does not say which runs wait"):
            WaitingRuns(url).has(*PLACE)


def test_a_fresh_server_gets_no_event_before_it_could_start_a_run() -> None:
    with api_standin(deployed=()) as (url, got):
        waiting = WaitingRuns(url)
        for _ in range(2):
            with pytest.raises(MissingPartError, match="has no deployment of process-plate yet"):
                waiting.has(*PLACE)
    assert [request.path for request in got] == ["/api/deployments/filter"] * 2


def test_whether_there_is_a_deployment_is_asked_until_there_is_one() -> None:
    with api_standin() as (url, got):
        waiting = WaitingRuns(url)
        for _ in range(3):
            assert not waiting.has(*PLACE)
            waiting._asked_at -= AGE_S
    assert [request.path.split("/")[-2] for request in got] == ["deployments", *["flow_runs"] * 3]


def register_deployment(client: httpx.Client) -> None:
    flow = client.post("/flows/", json={"name": FLOW}).json()["id"]
    client.post("/deployments/", json={"name": "waits", "flow_id": flow}).raise_for_status()


def test_one_question_is_for_all_plates_and_good_for_seconds(server: str) -> None:
    parameters = dict(zip(("experiment", "plate", "recipe"), PLACE, strict=True))
    with httpx.Client(base_url=server, trust_env=False, timeout=60) as client:
        register_deployment(client)
        flow = client.post("/flows/", json={"name": "waits"}).json()["id"]
        run = {"flow_id": flow, "parameters": parameters, "state": {"type": "SCHEDULED", "name": "Scheduled"}}
        created = client.post("/flow_runs/", json=run).raise_for_status().json()
        waiting = WaitingRuns(server)
        assert waiting.has(*PLACE)
        assert not waiting.has("screen", "P2", PLACE[2])
        client.delete(f"/flow_runs/{created['id']}").raise_for_status()
        waiting._asked_at = time.monotonic()
        assert waiting.has(*PLACE)
        waiting._asked_at -= AGE_S
        assert not waiting.has(*PLACE)


def test_a_run_that_was_made_while_the_servers_clock_was_ahead_is_not_waited_for(server: str) -> None:
    parameters = dict(zip(("experiment", "plate", "recipe"), ("screen", "P9", PLACE[2]), strict=True))
    with httpx.Client(base_url=server, trust_env=False, timeout=60) as client:
        register_deployment(client)
        flow = client.post("/flows/", json={"name": "waits"}).json()["id"]
        for ahead_s, is_believed in ((90_000.0, False), (30.0, True)):
            scheduled = {"scheduled_time": (datetime.now(UTC) + timedelta(seconds=ahead_s)).isoformat()}
            state = {"type": "SCHEDULED", "name": "Scheduled", "state_details": scheduled}
            run = {"flow_id": flow, "parameters": parameters, "state": state}
            client.post("/flow_runs/", json=run).raise_for_status()
            assert WaitingRuns(server).has("screen", "P9", PLACE[2]) == is_believed
