"""Alerts are told once, again when they change, and when they are over."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from flows.watchdogs.alert import Alert
from flows.watchdogs.facts import Facts
from flows.watchdogs.memory import KEY, OVER_AFTER_S, Memory, read_memory, write_memory
from flows.watchdogs.rounds import AlertEvent, Watchdogs
from flows.watchdogs.status import read_alerts
from imaging.errors import MissingPartError
from imaging.store import FolderStore, Store

NOW = 1_770_091_500.0
DISK = Alert("disk-near-full", "lab1", NOW, "the disk is nearly full", "make room", level="1")
STUCK = Alert("plate-stuck", "screen/P1/v1-0", NOW, "nothing is done", "look", "screen", "P1", covered_by=DISK.name)


def look(memory: Memory, at: float, *alerts: Alert, every_s: float = 60.0) -> list[tuple[str, str]]:
    """Look at a moment, find these alerts, tell all messages; return news and kind of each."""
    memory.begin(NOW + at, every_s=every_s, tick=at)
    memory.end(alerts)
    messages = memory.messages()
    for message in messages:
        memory.note_told(message)
    return [(message.news, message.alert.kind) for message in messages]


def test_an_alert_that_stands_is_told_once() -> None:
    memory = Memory()
    assert look(memory, 0, DISK) == [("new", "disk-near-full")]
    assert [look(memory, at, replace(DISK, what=f"after {at} s")) for at in (60, 120, 3600)] == [[], [], []]
    assert memory.shown[0].alert.what == "after 3600 s"  # who asks gets the newest words


def test_it_is_told_again_when_its_level_changes() -> None:
    memory = Memory()
    look(memory, 0, DISK)
    assert look(memory, 60, replace(DISK, level="2")) == [("changed", "disk-near-full")]
    assert look(memory, 120, replace(DISK, level="2")) == []


def test_a_level_of_more_digits_than_any_number_is_only_another_one() -> None:
    memory = Memory()
    look(memory, 0, replace(DISK, level=5_000 * "9"))
    assert look(memory, 60, DISK) == []
    assert look(memory, 420, DISK) == [("changed", "disk-near-full")]
    assert look(memory, 480, replace(DISK, level="²")) == []


def test_what_hovers_between_two_levels_is_told_as_the_worse_one_and_as_the_other_once_it_stays() -> None:
    memory = Memory()
    look(memory, 0, DISK)
    assert look(memory, 60, replace(DISK, level="2")) == [("changed", "disk-near-full")]
    news = [look(memory, at, replace(DISK, level=str(1 + at // 60 % 2))) for at in range(120, 7200, 60)]
    assert not any(news)
    news = [look(memory, at, DISK) for at in range(7200, 7800, 60)]
    assert [each for found in news for each in found] == [("changed", "disk-near-full")]
    assert look(memory, 7800, replace(DISK, level="2")) == [("changed", "disk-near-full")]


def test_a_change_that_came_before_is_another_message() -> None:
    memory = Memory()
    look(memory, 0, DISK)
    found = []
    for at, level in ((60, "2"), (420, "1"), (480, "2")):
        memory.begin(NOW + at, every_s=60, tick=float(at))
        memory.end([replace(DISK, level=level)])
        found += memory.messages()
        memory.note_told(memory.messages()[0])
    assert [message.alert.level for message in found] == ["2", "1", "2"]
    assert len({message.event_id for message in found}) == 3


def test_another_kind_of_level_is_told_once_the_former_is_over() -> None:
    memory = Memory()
    idle = Alert("cluster-idle", "lab", NOW, "it is idle", "look", level="work")
    look(memory, 0, idle)
    news = [look(memory, at, replace(idle, level="cost")) for at in range(60, 420, 60)]
    assert [bool(found) for found in news] == [False, False, False, False, True, False]


def test_it_is_over_after_some_minutes_without_it_and_then_new_again() -> None:
    memory = Memory()
    look(memory, 0, DISK)
    assert look(memory, OVER_AFTER_S - 1) == []
    assert memory.shown == []
    assert look(memory, OVER_AFTER_S) == [("over", "disk-near-full")]
    assert look(memory, OVER_AFTER_S + 60) == []
    assert look(memory, OVER_AFTER_S + 120, DISK) == [("new", "disk-near-full")]


def test_what_comes_and_goes_is_told_once() -> None:
    memory = Memory()
    news = [look(memory, at, *([DISK] if at % 120 == 0 else [])) for at in range(0, 3600, 60)]
    assert [each for found in news for each in found] == [("new", "disk-near-full")]


def test_what_another_alert_explains_is_told_only_when_that_is_over() -> None:
    memory = Memory()
    assert look(memory, 0, DISK, STUCK) == [("new", "disk-near-full")]
    assert [each.alert.kind for each in memory.shown] == ["disk-near-full"]
    assert look(memory, 60, STUCK) == []  # just gone, it may come back
    assert look(memory, OVER_AFTER_S, STUCK) == [("over", "disk-near-full"), ("new", "plate-stuck")]
    assert [each.alert.kind for each in memory.shown] == ["plate-stuck"]


def test_what_was_told_before_its_cause_was_found_is_not_called_over() -> None:
    memory = Memory()
    look(memory, 0, replace(STUCK, covered_by=""))
    assert look(memory, 60, DISK, STUCK) == [("new", "disk-near-full")]
    assert look(memory, 120, DISK, STUCK) == []


def test_the_same_message_has_one_identity_and_each_other_one_another() -> None:
    def message_of(memory: Memory, at: float, *alerts: Alert) -> Any:
        memory.begin(NOW + at, every_s=60, tick=at)
        memory.end(alerts)
        return memory.messages()[0]

    first = message_of(Memory(), 0, DISK)
    again = message_of(Memory(), 0, replace(DISK, what="other words"))
    assert first.event_id == again.event_id
    others = [message_of(Memory(), 0, replace(DISK, level="2")), message_of(Memory(), 90, DISK)]
    assert len({first.event_id, *(other.event_id for other in others)}) == 3


def test_what_is_seen_is_remembered_with_its_time_until_it_changes_or_is_not_seen() -> None:
    memory = Memory()
    since = []
    for at, what in ((0, 1), (60, 1), (120, 2), (180, None), (240, 2)):
        memory.begin(NOW + at, every_s=60, tick=float(at))
        if what:
            since.append(memory.since("plate", what) - NOW)
        memory.end([])
    assert since == [0, 0, 120, 240]


@pytest.mark.parametrize("jump_s", [-7200.0, 7200.0, 86_400.0])
def test_a_clock_that_is_set_makes_nothing_older_or_younger(jump_s: float) -> None:
    memory = Memory()
    memory.begin(NOW, every_s=60, tick=0.0)
    memory.since("plate")
    memory.end([DISK])
    memory.begin(NOW + 60 + jump_s, every_s=60, tick=60.0)
    assert memory.checked_at - memory.since("plate") == 60
    memory.end([])
    assert memory.messages() == []


def test_the_time_in_which_nobody_looked_does_not_count_as_time_without_progress() -> None:
    memory = Memory()
    memory.begin(NOW, every_s=60)
    memory.since("plate")
    memory.end([])
    next_process = Memory.from_json(memory.as_json())
    next_process.begin(NOW + 8 * 3600, every_s=60)
    assert next_process.checked_at - next_process.since("plate") == 180
    soon = Memory.from_json(memory.as_json())
    soon.begin(NOW + 100, every_s=60)
    assert soon.checked_at - soon.since("plate") == 100


def test_a_watcher_that_starts_anew_tells_nothing_twice(store: Store) -> None:
    memory = Memory()
    memory.begin(NOW, every_s=60)
    memory.since("plate", (1, 2))
    memory.end([DISK])
    memory.note_told(memory.messages()[0])
    write_memory(store, memory)
    read = read_memory(store)
    assert read is not None
    read.begin(NOW + 60, every_s=60)
    assert read.since("plate", (1, 2)) == NOW
    read.end([DISK])
    assert read.messages() == []
    assert read.standing[DISK.name].alert == DISK


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"checked_at": 1, "sightings": {}, "standing": [{}]}', b"\xff"])
def test_a_damaged_memory_is_an_empty_one(data: bytes, folder_store: FolderStore) -> None:
    folder_store.write(KEY, data)
    assert read_memory(folder_store) == Memory()


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.update(checked_at=1e308),
        lambda said: said.update(checked_at=10**400),
        lambda said: said["sightings"].update(plate=[float("inf"), NOW]),
        lambda said: said["standing"][0].update(began_at="yesterday"),
        lambda said: said["standing"][0].update(logged=None),
        lambda said: said["standing"][0]["alert"].update(covered_by=[]),
        lambda said: said["standing"][0]["alert"].update(what="one line\nand another"),
        lambda said: said["standing"][0]["alert"].update(since=-1),
    ],
)
def test_a_memory_that_could_not_be_told_is_an_empty_one(
    change: Callable[[dict[str, Any]], Any], folder_store: FolderStore
) -> None:
    memory = Memory()
    look(memory, 0, DISK)
    said = json.loads(memory.as_json())
    folder_store.write(KEY, json.dumps(said).encode())
    read = read_memory(folder_store)
    assert read is not None
    assert read.standing == memory.standing
    change(said)
    folder_store.write(KEY, json.dumps(said).encode())
    assert read_memory(folder_store) == Memory()


def dogs(store: Store, send: Callable[[AlertEvent], None], found: list[Alert], monkeypatch: Any) -> Watchdogs:
    monkeypatch.setattr("flows.watchdogs.rounds.find_alerts", lambda facts: list(found))
    gatherer: Any = SimpleNamespace(memory=Memory(), gather=Facts)
    return Watchdogs(gatherer, store, send)


def test_while_the_server_is_down_the_log_has_an_alert_once_and_the_event_comes_later(
    folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[AlertEvent] = []
    is_down = [True]

    def send(event: AlertEvent) -> None:
        if is_down[0]:
            raise MissingPartError("the server is down")
        sent.append(event)

    caplog.set_level(logging.INFO)
    found = [DISK]
    watchdogs = dogs(folder_store, send, found, monkeypatch)
    for at in (0.0, 60.0):
        assert watchdogs.look(NOW + at, at) == []
    assert caplog.text.count("alert: the disk is nearly full; make room") == 1
    is_down[0] = False
    assert [message.news for message in watchdogs.look(NOW + 120, 120.0)] == ["new"]
    found.clear()
    watchdogs.look(NOW + 180, 180.0)
    watchdogs.look(NOW + 480, 480.0)
    assert [event.news for event in sent] == ["new", "over"]
    assert sent[1].message == "over: the disk is nearly full"
    assert caplog.text.count("over: the disk is nearly full") == 1


def test_an_alert_that_was_over_before_the_server_came_back_is_told_as_over_only(
    folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    is_down = [True]

    def send(event: AlertEvent) -> None:
        if is_down[0]:
            raise MissingPartError("the server is down")
        sent.append(event.news)

    found = [DISK]
    watchdogs = dogs(folder_store, send, found, monkeypatch)
    watchdogs.look(NOW, 0.0)
    found.clear()
    is_down[0] = False
    watchdogs.look(NOW + 60, 60.0)
    watchdogs.look(NOW + 400, 400.0)
    assert sent == ["over"]


def test_looks_are_made_in_a_thread_of_their_own_each_in_its_time(
    folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watchdogs = dogs(folder_store, lambda event: None, [DISK], monkeypatch)
    watchdogs.tend(0.0)
    wait([watchdogs.beside.looking])
    watchdogs.tend(59.0)
    assert watchdogs.beside.looking is None
    watchdogs.gatherer.gather = lambda now: 1 / 0
    watchdogs.tend(60.0)
    wait([watchdogs.beside.looking])
    watchdogs.tend(61.0)  # the watcher goes on, and the log has why nobody looks
    assert "nobody could look for alerts" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_who_asks_is_told_that_nobody_looks(folder_store: FolderStore) -> None:
    assert read_alerts(folder_store, every_s=60, now=NOW).silence == (
        "nobody has looked at this store for alerts yet; start `platestream serve` or `platestream watch`"
    )
    memory = Memory()
    look(memory, 0, DISK)
    write_memory(folder_store, memory)
    assert read_alerts(folder_store, every_s=60, now=NOW + 240).silence == ""
    assert [row["what"] for row in read_alerts(folder_store, every_s=60, now=NOW).rows()] == ["the disk is nearly full"]
    assert read_alerts(folder_store, every_s=60, now=NOW + 660).silence == (
        "nobody looks for alerts, and nobody wakes runs, since 2026-02-03 04:05 UTC (11 min); start `platestream "
        "serve` or `platestream watch`"
    )
