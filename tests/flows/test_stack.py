"""Everything on one machine: what stops it before it begins, and what does not stop it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import stack
from flows.messages import outbox
from flows.settings import Settings
from flows.stack import note_first_channel, serve, tell_channels
from imaging.errors import ConfigurationError
from imaging.store import open_store
from tests.flows.api_standin import api_standin

NOWHERE = "http://127.0.0.1:9/api"


def settings_of(state: Path, **said: Any) -> Settings:
    return Settings(store=str(state / "store"), state_folder=state, **said)


def test_an_address_of_another_form_stops_it_before_anything_is_started(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PLATESTREAM_ALERT_WEBHOOK must be an address"):
        serve(settings_of(tmp_path, alert_webhook="ftp://lab.example"))
    assert not list(tmp_path.iterdir())


def test_a_server_that_does_not_take_the_addresses_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with api_standin(lambda number: 500) as (address, _):
        for url in (address, NOWHERE):
            assert not tell_channels(settings_of(tmp_path, api_url=url, alert_webhook="https://lab.example/canary"))
    assert caplog.text.count("could not be registered, which is tried again") == 2
    assert "canary" not in caplog.text


def test_without_addresses_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert tell_channels(settings_of(tmp_path, api_url=NOWHERE))


def test_addresses_that_were_not_taken_are_told_again_until_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, pauses = [False, False, True], []

    def sleep(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(stack, "local_services", lambda settings, logs: [])
    monkeypatch.setattr(stack, "tell_channels", lambda settings: answers.pop(0))
    monkeypatch.setattr(stack, "time", SimpleNamespace(sleep=sleep))
    serve(settings_of(tmp_path))
    assert pauses == [stack.AGAIN_S, stack.AGAIN_S, 3600.0, 3600.0]
    assert not answers


def test_messages_count_from_before_anything_runs(tmp_path: Path) -> None:
    """A plate may be published before the server knows where messages go."""
    silent = settings_of(tmp_path / "a")
    note_first_channel(silent)
    assert not open_store(silent.store).exists(outbox.SINCE)
    told = settings_of(tmp_path / "b", message_webhook="https://lab.example/canary")
    note_first_channel(told)
    assert open_store(told.store).exists(outbox.SINCE)
