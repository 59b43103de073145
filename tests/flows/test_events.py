from __future__ import annotations

import contextlib
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from flows import events
from flows.events import ImagesArrived, Published, emit, resource_id
from imaging.errors import MissingPartError
from tests.flows.api_standin import api_standin

ARRIVED = ImagesArrived(experiment="E1", plate="P 1", recipe="std-1234", reason="4 sites to process")


def test_events_of_different_plates_have_different_resources() -> None:
    assert resource_id("a", "b.c") != resource_id("a.b", "c")
    assert resource_id("a b", "c") == "plate.a%20b.c"
    assert resource_id("a.b", "c~(1)+2") == "plate.a%2Eb.c%7E%281%29%2B2"


def test_an_event_names_its_plate_in_the_labels_that_triggers_read() -> None:
    event = ARRIVED.as_prefect()
    assert event["event"] == "plate.images-arrived"
    assert event["resource"] == {
        "prefect.resource.id": "plate.E1.P%201",
        "prefect.resource.name": "E1/P 1",
        "plate.experiment": "E1",
        "plate.name": "P 1",
        "plate.recipe": "std-1234",
    }
    assert event["payload"]["reason"] == "4 sites to process"
    assert event["id"] == str(ARRIVED.event_id)
    assert event["occurred"].endswith("+00:00")


def test_a_publication_says_which_one_it_is() -> None:
    event = Published(experiment="E1", plate="P1", run="abc", number=2, is_complete=False).as_prefect()
    assert event["event"] == "plate.published"
    assert event["resource"]["plate.run"] == "abc"
    assert event["payload"]["number"] == 2
    assert event["payload"]["is_complete"] is False
    assert event["payload"]["verdict"] == ""


@pytest.mark.parametrize("wrong", [{"plate": ""}, {"experiment": ""}, {"palte": "P1"}])
def test_an_event_without_its_plate_cannot_be_made(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ImagesArrived(**({"experiment": "E1", "plate": "P1"} | wrong))


def test_a_publication_counts_from_one() -> None:
    with pytest.raises(ValidationError):
        Published(experiment="E1", plate="P1", number=0)


def test_an_event_is_posted_with_the_password() -> None:
    with api_standin() as (url, got):
        emit(url, ARRIVED, auth="admin:geheim")
    (request,) = got
    assert (request.method, request.path) == ("POST", "/api/events")
    assert request.auth == "Basic YWRtaW46Z2VoZWlt"
    assert request.body == [ARRIVED.as_prefect()]


def test_a_server_that_is_not_ready_yet_is_asked_again_with_the_same_id() -> None:
    with api_standin(lambda n: 503 if n < 3 else 204) as (url, got):
        emit(url, ARRIVED)
    assert {request.body[0]["id"] for request in got} == {str(ARRIVED.event_id)}
    assert len(got) == 3


def test_a_server_that_stays_unavailable_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "RETRY_FOR_S", 0.3)
    with api_standin(lambda n: 503) as (url, got), pytest.raises(MissingPartError, match="answered 503"):
        emit(url, ARRIVED)
    assert len(got) >= 2


def test_a_refusal_is_not_tried_again() -> None:
    with (
        api_standin(lambda n: 404) as (url, got),
        pytest.raises(MissingPartError, match=r"answered 404.*ending in /api"),
    ):
        emit(url, ARRIVED)
    assert len(got) == 1


def test_a_server_that_is_not_there_is_named_with_the_plate() -> None:
    with pytest.raises(MissingPartError, match="cannot be reached") as caught:
        emit("http://127.0.0.1:9/api", ARRIVED)
    assert (caught.value.experiment, caught.value.plate) == ("E1", "P 1")
    assert "http://127.0.0.1:9/api" in str(caught.value)


def runs(server: str, experiment: str) -> list[dict[str, Any]]:
    import httpx

    answer = httpx.post(f"{server}/flow_runs/filter", json={"sort": "ID_DESC"}, trust_env=False).json()
    return [run for run in answer if run["parameters"].get("experiment") == experiment]


def test_events_give_one_run_each_however_often_they_are_sent_with_their_names_as_text(deployed: str) -> None:
    experiment = uuid.uuid4().hex
    arrived = [ImagesArrived(experiment=experiment, plate=plate) for plate in ("0012", "B (2)+c")]
    for event in 5 * arrived:
        emit(deployed, event)
    emit(deployed, Published(experiment=experiment, plate="0013", number=1))
    deadline = time.monotonic() + 30
    while len(runs(deployed, experiment)) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.5)  # a third run would come now
    found = runs(deployed, experiment)
    assert sorted(run["parameters"]["plate"] for run in found) == ["0012", "B (2)+c"]
    assert {run["state_type"] for run in found} == {"SCHEDULED"}
    assert all("platestream" in run["tags"] for run in found)


def test_an_event_whose_answer_was_lost_is_sent_again_under_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[str, uuid.UUID]] = []
    answers = [MissingPartError("no answer"), None, None, MissingPartError("no answer"), None]

    def lose_answer(url: str, event: ImagesArrived, *, auth: str) -> None:
        taken.append((event.plate, event.event_id))
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.setattr(events, "emit", lose_answer)
    sender = events.Sender("http://127.0.0.1:1/api")
    now = datetime.now(UTC)

    def send(plate: str, at_s: float) -> None:
        event = ImagesArrived(experiment="E1", plate=plate, occurred=now + timedelta(seconds=at_s))
        with contextlib.suppress(MissingPartError):
            sender.send(event)

    send("P1", 0)
    send("P1", 5)  # the same again, and this time there is an answer
    send("P1", 10)  # a new one
    send("P2", 10)
    send("P2", 10 + events.RESENT_FOR_S)  # the old one would be of no use any more
    ids = [event_id for _, event_id in taken]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4
