"""Messages on their way: the outbox, kills between its records, and receivers that really listen."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.messages import outbox
from flows.messages.channels import Channel, Letter, NotTakenError, UnsureError
from flows.messages.message import (
    LONGEST_FACT,
    PUBLISHED,
    Message,
    clean,
    fact_text,
    make_message,
)
from flows.messages.news import tell_plate
from flows.messages.rounds import PAUSES_S
from flows.messages.templates import Words, read_templates
from flows.settings import Settings
from flows.watch import watch
from imaging.errors import MissingPartError, StoredDataError
from imaging.job import PlateJob
from imaging.store import FolderStore
from tests.flows.dogs import NOWHERE, UNASKED
from tests.flows.receivers import webhook
from tests.flows.told import TICK, began_long_ago, messenger, note, states
from tests.imaging.small_damage import copy_of, publish_plate


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    publish_plate(folder)
    return folder


@pytest.fixture
def job(whole: Path, tmp_path: Path) -> PlateJob:
    return copy_of(whole, tmp_path / "store")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    made = FolderStore(tmp_path / "lab")
    began_long_ago(made)
    return made


@pytest.fixture
def posts() -> Iterator[tuple[str, list[Any]]]:
    with webhook() as (address, got):
        yield address, got


def test_a_message_is_there_once_however_often_it_is_told(store: FolderStore) -> None:
    first = note(at=1e9)
    assert outbox.tell(store, first)
    assert not outbox.tell(store, note(at=1e9, verdict="warn"))
    [delivery] = outbox.list_deliveries(store, 1e9)
    assert outbox.read_told(store, delivery) == first
    assert delivery.kind == PUBLISHED
    assert delivery.folder.startswith("messages/2001-09-09/plate-published-")


def test_facts_are_one_printable_line_of_bounded_length() -> None:
    assert clean("a\n\tb\u202ec\u200bd\x1b[31m") == "a b c d [31m"
    assert len(clean("x" * 9999)) == LONGEST_FACT
    assert [fact_text(each) for each in (None, float("nan"), 0.71234, 1234, ["a", None, "b\n"])] == [
        "",
        "",
        "0.712",
        "1,234",
        "a; b",
    ]


def test_facts_and_kinds_that_nobody_knows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"facts of plate-published must be among .* got \['secret'\]"):
        make_message(PUBLISHED, (), 0.0, {"secret": "x"})
    with pytest.raises(ValueError, match="kind must be one of"):
        Message("gossip", (), 0.0)


def test_a_damaged_record_is_said_and_hinders_no_other(
    store: FolderStore, posts: tuple[str, list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    outbox.tell(store, note(1))
    [delivery] = outbox.list_deliveries(store, time.time())
    store.write(f"{delivery.folder}message.json", b'{"kind": "plate-published"}')
    with pytest.raises(StoredDataError, match="damaged"):
        outbox.read_told(store, delivery)
    outbox.tell(store, note(2))
    assert messenger(store, Channel("webhook", posts[0])).look() == 1
    assert "the record of a message is damaged" in caplog.text


def test_each_channel_gets_a_message_once(store: FolderStore) -> None:
    with webhook() as (address, got), webhook() as (slack, said):
        channels = (Channel("webhook", address), Channel("slack", slack))
        outbox.tell(store, note())
        first = messenger(store, *channels)
        assert [first.look(tick=TICK), first.look(tick=TICK + 9), messenger(store, *channels).look()] == [2, 0, 0]
    assert len(got) == len(said) == 1
    assert states(store) == [
        "message.json",
        "slack-1-begun.json",
        "slack-sent.json",
        "webhook-1-begun.json",
        "webhook-sent.json",
    ]


def test_of_two_senders_at_once_one_sends(store: FolderStore) -> None:
    outbox.tell(store, note())
    seen = [outbox.list_deliveries(store, time.time())[0] for _ in range(2)]
    assert [outbox.begin(store, each, "slack", 1) for each in seen] == [True, False]


def test_who_is_killed_between_sending_and_recording_sends_nothing_twice(
    store: FolderStore, posts: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.tell(store, note())
    channel = Channel("webhook", posts[0])

    class Killed(BaseException):
        pass

    def die(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "note_sent", die)
        with pytest.raises(Killed):
            messenger(store, channel).look()
    assert messenger(store, channel).look() == 0
    assert len(posts[1]) == 1
    [delivery] = outbox.list_deliveries(store, time.time())
    assert delivery.reached("webhook") == "unknown"


def test_who_is_killed_before_beginning_leaves_it_to_the_next(
    store: FolderStore, posts: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.tell(store, note())
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "begin", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            messenger(store, Channel("webhook", posts[0])).look()
    assert messenger(store, Channel("webhook", posts[0])).look() == 1


def test_what_was_refused_is_sent_again_after_a_pause(store: FolderStore) -> None:
    outbox.tell(store, note())
    with webhook([503, 429]) as (address, got):
        sender = messenger(store, Channel("webhook", address))
        assert sender.look(tick=TICK) == 0
        assert sender.look(tick=TICK + PAUSES_S[0] - 1) == 0
        assert len(got) == 1
        assert sender.look(tick=TICK + PAUSES_S[0]) == 0
        assert sender.look(tick=TICK + PAUSES_S[0] + PAUSES_S[1]) == 1
    assert len(got) == 3
    [delivery] = outbox.list_deliveries(store, time.time())
    failed = json.loads(store.read(f"{delivery.folder}webhook-1-failed.json"))
    assert failed == {"why": "it answered 503"}


def test_attempts_are_bounded(store: FolderStore) -> None:
    outbox.tell(store, note())
    with webhook([500] * 99) as (address, got):
        sender = messenger(store, Channel("webhook", address))
        for number in range(12):
            sender.look(tick=TICK + 5000 * number)
        assert len(got) == outbox.ATTEMPTS
    [delivery] = outbox.list_deliveries(store, time.time())
    assert delivery.reached("webhook") == "failed"
    assert outbox.find_untold([delivery], ["webhook", "slack"]) == [delivery]


def test_without_an_answer_nothing_is_sent_again(store: FolderStore) -> None:
    outbox.tell(store, note())
    with webhook([0]) as (address, got):
        sender = messenger(store, Channel("webhook", address))
        assert [sender.look(tick=TICK + 5000 * number) for number in range(3)] == [0, 0, 0]
        assert len(got) == 1


def test_a_redirect_is_not_followed() -> None:
    with webhook([302]) as (address, got):
        with pytest.raises(UnsureError, match="it answered 302"):  # it may have been taken before
            Channel("webhook", address).send(Letter(Words("s", ()), {}))
        assert len(got) == 1


@pytest.mark.parametrize(("status", "error"), [(500, NotTakenError), (503, NotTakenError), (502, UnsureError)])
def test_a_gateway_that_may_have_handed_a_message_on_gets_it_once(status: int, error: type[Exception]) -> None:
    with webhook([status]) as (address, _), pytest.raises(error, match=f"it answered {status}"):
        Channel("webhook", address).send(Letter(Words("s", ()), {}))


def test_without_a_channel_nothing_is_sent_and_nothing_is_searched(job: PlateJob) -> None:
    outbox.tell(job.store, note())
    assert messenger(job.store).look() == 0
    assert states(job.store) == ["message.json"]
    assert not job.store.exists(outbox.SINCE)


def test_what_happened_before_the_first_channel_is_no_news(job: PlateJob, posts: tuple[str, list[Any]]) -> None:
    tell_plate(job.store, job.experiment.name, job.plate, job.recipe, 1)
    time.sleep(0.05)  # times of files are those of a clock that ticks
    assert messenger(job.store, Channel("webhook", posts[0])).look() == 0
    assert posts[1] == []


def test_messages_of_days_ago_are_not_sent_and_forgotten_after_a_month(
    store: FolderStore, posts: tuple[str, list[Any]]
) -> None:
    now = time.time()
    outbox.tell(store, note(1, at=now - 4 * 86_400))
    outbox.tell(store, note(2, at=now - 40 * 86_400))
    assert messenger(store, Channel("webhook", posts[0])).look() == 0
    assert len(states(store)) == 1
    assert store.exists(outbox.SINCE)


def test_a_server_that_does_not_say_where_to_send_keeps_messages_waiting(
    store: FolderStore, posts: tuple[str, list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    outbox.tell(store, note())
    is_down = True

    def read(settings: Settings) -> list[Channel]:
        if is_down:
            raise MissingPartError("the server is down")
        return [Channel("webhook", posts[0])]

    sender = messenger(store)
    sender.read = read
    assert sender.look(tick=TICK) == 0
    assert "messages wait: the server is down" in caplog.text
    is_down = False
    assert sender.look(tick=TICK + 1) == 1


def test_a_channel_that_is_registered_late_is_seen_at_the_next_look(
    store: FolderStore, posts: tuple[str, list[Any]]
) -> None:
    outbox.read_since(store)
    outbox.tell(store, note())
    there: list[Channel] = []
    sender = messenger(store)
    sender.read = lambda settings: list(there)
    assert sender.look(tick=TICK) == 0
    there.append(Channel("webhook", posts[0]))
    assert sender.look(tick=TICK + 20) == 1


def test_looks_happen_beside_the_watcher_and_a_fault_ends_none_of_them(
    store: FolderStore, posts: tuple[str, list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    outbox.tell(store, note())
    sender = messenger(store, Channel("webhook", posts[0]))
    sender.templates = lambda: 1 / 0  # pyright: ignore[reportAttributeAccessIssue]
    sender.tend(TICK)
    assert sender.beside.looking is not None
    assert sender.beside.looking.exception() is not None
    sender.templates = read_templates
    sender.tend(TICK + 60)
    assert sender.beside.looking is not None
    assert sender.beside.looking.result() == 1
    assert "messages could not be sent: ZeroDivisionError" in caplog.text


def test_the_watcher_tends_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path / "lab")
    outbox.tell(store, note(at=time.time() - 40 * 86_400))
    deadline = time.monotonic() + 60

    class EnoughError(Exception):
        pass

    def rest(seconds: float) -> None:
        if not states(store) or time.monotonic() > deadline:
            raise EnoughError
        threading.Event().wait(0.05)

    monkeypatch.setattr("flows.watch.time.sleep", rest)
    said: dict[str, Any] = {"api_url": NOWHERE, "scheduler": UNASKED, "state_folder": tmp_path}
    said["cache_folder"] = tmp_path
    with pytest.raises(EnoughError):
        watch(Settings(store=str(tmp_path / "lab"), **said))
    assert states(store) == []
