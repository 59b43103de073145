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


def test_a_sentence_is_said_once_an_hour(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    say = SaidOnce(logging.getLogger("tests.repeats"))
    monkeypatch.setattr(time, "monotonic", lambda: 3600.0)
    for sentence in ("it is wrong", "it is wrong", "100 % of it"):
        say(sentence)
    monkeypatch.setattr(time, "monotonic", lambda: 7200.0)
    say("it is wrong")
    assert [record.getMessage() for record in caplog.records] == ["it is wrong", "100 % of it", "it is wrong"]
