"""Pauses that double, and sentences that are logged once an hour."""

from __future__ import annotations

import logging
import time

import pytest

from flows.repeats import Repeats, SaidOnce


def test_each_time_the_pause_doubles_up_to_the_longest() -> None:
    repeats = Repeats(10.0, 25.0)
    assert repeats.is_due("a", 0.0)
    for tick, pause_s in ((0.0, 10.0), (10.0, 20.0), (30.0, 25.0), (55.0, 25.0)):
        repeats.note("a", tick)
        assert not repeats.is_due("a", tick + pause_s - 0.1)
        assert repeats.is_due("a", tick + pause_s)
    assert repeats.is_due("b", 0.0), "each has a pause of its own"


def test_what_is_answered_begins_anew() -> None:
    repeats = Repeats(10.0, 100.0)
    repeats.note("a", 0.0)
    repeats.note("a", 10.0)
    repeats.wait("a", 30.0)
    assert not repeats.is_due("a", 39.9)
    assert repeats.is_due("a", 40.0)
    assert list(repeats) == ["a"]
    repeats.pop("a")
    repeats.pop("unknown", None)
    assert repeats.is_due("a", 30.0)


def test_who_was_answered_late_asks_the_more_seldom() -> None:
    repeats = Repeats(10.0, 100.0)
    for tick in (0.0, 10.0):
        repeats.note("a", tick)
    repeats.answer("a", 25.0)  # 25 s after it was first asked
    assert repeats.is_due("a", 25.0)
    repeats.note("b", 30.0)
    assert not repeats.is_due("b", 79.9)
    assert repeats.is_due("b", 80.0)
    for number in range(10):
        repeats.note(number, 100.0)
        repeats.answer(number, 101.0)
    repeats.note("c", 200.0)
    assert repeats.is_due("c", 210.0), "quick answers make up for it"
    repeats.answer("unknown", 300.0)
    repeats.note("d", 300.0)
    assert repeats.is_due("d", 310.0), "who asked nothing learns nothing"


def test_no_pause_is_longer_than_the_longest() -> None:
    repeats = Repeats(10.0, 100.0)
    repeats.note("a", 0.0)
    repeats.answer("a", 5000.0)
    repeats.note("b", 5000.0)
    assert repeats.is_due("b", 5100.0)


def test_a_sentence_is_said_once_an_hour(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    say = SaidOnce(logging.getLogger("tests.repeats"))
    monkeypatch.setattr(time, "monotonic", lambda: 3600.0)
    for sentence in ("it is wrong", "it is wrong", "100 % of it"):
        say(sentence)
    monkeypatch.setattr(time, "monotonic", lambda: 7200.0)
    say("it is wrong")
    assert [record.getMessage() for record in caplog.records] == ["it is wrong", "100 % of it", "it is wrong"]
