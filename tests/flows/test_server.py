from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from flows.server import (
    LATE_S,
    api_address,
    api_client,
    client_variables,
    copy_prepared,
    forget_given_up,
    is_healthy,
    keep_prepared,
    prefect_environment,
    server_service,
    server_variables,
)
from flows.settings import Settings
from flows.supervise import Supervisor, find_free_ports
from tests.flows.api_standin import api_standin


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder whose database has one row, as yet only in the write-ahead log."""
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def write_row(folder: Path) -> sqlite3.Connection:
    database = sqlite3.connect(folder / "prefect.db", isolation_level=None)
    database.execute("pragma journal_mode = wal")
    database.execute("create table plates (name)")
    database.execute("insert into plates values ('P1')")
    return database


def read_rows(folder: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(folder / "prefect.db")) as database:
        return database.execute("select name from plates").fetchall()


def test_a_prepared_database_is_whole_though_the_server_has_it_open(state: Path, tmp_path: Path) -> None:
    (state / "memo_store.toml").write_text("noted")
    (tmp_path / "prepared").mkdir()
    with closing(write_row(state)):
        keep_prepared(state, tmp_path / "prepared")
    (tmp_path / "fresh").mkdir()
    copy_prepared(tmp_path / "prepared", tmp_path / "fresh")
    assert read_rows(tmp_path / "fresh") == [("P1",)]
    assert (tmp_path / "fresh" / "memo_store.toml").read_text() == "noted"
    assert sorted(path.name for path in (tmp_path / "fresh").iterdir()) == ["memo_store.toml", "prefect.db"]
    assert sorted(path.name for path in (tmp_path / "prepared").iterdir()) == ["memo_store.toml", "prefect.db"]


def test_a_prepared_database_is_not_replaced(state: Path, tmp_path: Path) -> None:
    (tmp_path / "prefect.db").write_bytes(b"first")
    with closing(write_row(state)):
        keep_prepared(state, tmp_path)
    assert (tmp_path / "prefect.db").read_bytes() == b"first"


def test_without_a_prepared_database_nothing_is_copied(state: Path, tmp_path: Path) -> None:
    (tmp_path / "memo_store.toml").write_text("noted")
    copy_prepared(tmp_path, state)
    assert list(state.iterdir()) == []


def test_a_run_that_waits_its_turn_is_called_late_as_seldom_as_we_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings.models.server.services import ServerServicesLateRunsSettings

    usual = ServerServicesLateRunsSettings().after_seconds.total_seconds()
    for name, value in server_variables(tmp_path, tmp_path, 4200).items():
        monkeypatch.setenv(name, value)
    ours = ServerServicesLateRunsSettings().after_seconds.total_seconds()
    assert (ours, usual < LATE_S) == (LATE_S, True), "Prefect reads what we write"


def test_events_that_the_server_gave_up_long_ago_are_deleted(tmp_path: Path) -> None:
    assert forget_given_up(tmp_path, older_than_s=60.0) == 0
    (tmp_path / "dlq").mkdir()
    for name, age_s in (("old", 120.0), ("young", 10.0)):
        (tmp_path / "dlq" / name).write_text("{}")
        os.utime(tmp_path / "dlq" / name, (time.time() - age_s,) * 2)
    assert forget_given_up(tmp_path, older_than_s=60.0) == 1
    assert [path.name for path in (tmp_path / "dlq").iterdir()] == ["young"]


def test_the_server_keeps_to_itself(tmp_path: Path) -> None:
    variables = server_variables(tmp_path / "state", tmp_path / "cache", 4201)
    assert variables["PREFECT_HOME"] == str(tmp_path / "state")
    assert variables["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert variables["DO_NOT_TRACK"] == "1"
    assert variables["PREFECT_SERVER_UI_API_URL"] == "http://127.0.0.1:4201/api"
    assert variables["PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT"] == "false"
    assert variables["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"].endswith("filesystem")
    assert str(tmp_path / "cache") in variables["PREFECT_SERVER_UI_STATIC_DIRECTORY"]


def test_runs_have_heartbeats_and_no_server_of_their_own(tmp_path: Path) -> None:
    variables = client_variables("http://127.0.0.1:9/api", tmp_path)
    assert variables["PREFECT_API_URL"] == "http://127.0.0.1:9/api"
    assert variables["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    assert variables["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] == "false"
    assert variables["PREFECT_CLIENT_RETRY_EXTRA_CODES"] == "500"  # SQLite is locked, or PostgreSQL too slow


def test_a_persons_own_prefect_plays_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_KEY", "private")
    environment = prefect_environment({"PREFECT_API_URL": "x"})
    assert "PREFECT_API_KEY" not in environment
    assert environment["PREFECT_API_URL"] == "x"
    assert environment["NO_PROXY"] == environment["no_proxy"] == "127.0.0.1,localhost"
    assert environment["PATH"] == os.environ["PATH"]


def test_this_machine_is_never_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with api_standin() as (url, got), api_client(url, auth="a:b") as client:
        client.post("/events", json={})
    assert got[0].auth == "Basic YTpi"


def test_nobody_there_is_not_healthy() -> None:
    (port,) = find_free_ports(1)
    assert not is_healthy(api_address(port), timeout_s=0.5)


def test_a_server_starts_from_nothing_and_comes_back_with_its_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "sqlite+aiosqlite:////nowhere/private.db")
    (port,) = find_free_ports(1)
    settings = Settings(state_folder=tmp_path / "state", cache_folder=tmp_path / "cache")
    url = api_address(port)
    with Supervisor([server_service(settings, port, tmp_path / "log")]) as supervisor:
        supervisor.wait_until_ready(300)
        with api_client(url, timeout_s=30) as client:
            made = client.post("/flows/", json={"name": "kept"}).raise_for_status().json()
            page = client.get(f"http://127.0.0.1:{port}/dashboard", headers={"Accept": "text/html"}).raise_for_status()
            assert "<title>" in page.text
            os.kill(supervisor.pid("server"), signal.SIGKILL)
            while supervisor.restarts["server"] == 0 or not is_healthy(url):
                time.sleep(0.1)
            assert client.get(f"/flows/{made['id']}").raise_for_status().json()["name"] == "kept"
    (prepared,) = (tmp_path / "cache").iterdir()
    assert {"prefect.db", "memo_store.toml", "ui"} == {path.name for path in prepared.iterdir()}
    with closing(sqlite3.connect(prepared / "prefect.db")) as database:
        assert database.execute("select count(*) from flow").fetchone() == (0,)
        assert database.execute("select count(*) from block_type").fetchone() > (10,)
    assert (tmp_path / "state" / "prefect" / "prefect.db").exists()


def test_the_server_deletes_what_is_older_than_the_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    from prefect.settings.models.server import ServerSettings

    for days, least in ((30.0, timedelta(days=30)), (0.01, timedelta(hours=1))):
        for name, value in server_variables(tmp_path, tmp_path, 4201, keep_runs_days=days).items():
            monkeypatch.setenv(name, value)
        kept = ServerSettings()
        assert kept.services.db_vacuum.enabled_vacuum_types == {"events", "flow_runs", "orphans"}
        assert kept.services.db_vacuum.retention_period == kept.events.retention_period >= least
        fleeting = kept.services.db_vacuum.event_retention_overrides
        assert fleeting["prefect.flow-run.heartbeat"] == min(timedelta(days=1), kept.events.retention_period)
        assert fleeting["prefect.task-run.Completed"] == fleeting["prefect.flow-run.heartbeat"]
