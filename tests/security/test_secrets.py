"""Secrets of the settings are in no message, whatever is wrong, and with tracebacks too; see also test_stack."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from flows.settings import Settings, child_environment
from flows.web.service import web_service
from imaging.errors import ConfigurationError
from tests.flows.command_line import command_line
from tests.security.packed import find_secrets

CANARY = "canary-5e8f1b0a97c3"

FAULTS = [
    {"PLATESTREAM_WEB_TOKEN": f"{CANARY} with spaces"},
    {"PLATESTREAM_WEB_TOKEN": f"{CANARY}-fine", "PLATESTREAM_WEB_HOST": "203.0.113.1"},
    {"PLATESTREAM_WEB_TOKEN": f"{CANARY}-fine", "PLATESTREAM_WORKERS": "many"},
    {"PLATESTREAM_API_URL": f"http://user:{CANARY}@127.0.0.1:4200/api"},
    {"PREFECT_API_URL": f"http://{CANARY}@127.0.0.1:4200/api"},
    {"PLATESTREAM_DATABASE_URL": f"mysql://user:{CANARY}@db/prefect"},
    {"PLATESTREAM_API_AUTH": f"user:{CANARY}", "PLATESTREAM_HEARTBEAT_S": "1000"},
    {"PLATESTREAM_API_AUTH": f"user:{CANARY}", "PLATESTREAM_NO_SETTING": CANARY},
    {"PLATESTREAM_SCHEDULER": f"tcp://user:{CANARY}@host:8786"},
    {"PLATESTREAM_STORE": f"https://user:{CANARY}@host/data"},
]


@pytest.mark.parametrize("environment", FAULTS, ids=lambda item: "+".join(item))
@pytest.mark.parametrize("options", [(), ("--debug",)], ids=["plain", "debug"])
def test_no_message_repeats_a_secret(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    environment: dict[str, str],
    options: tuple[str, ...],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if "PLATESTREAM_DATABASE_URL" in environment:
        from flows.server import database_address

        with pytest.raises(ConfigurationError) as caught:
            database_address(Settings())
        assert CANARY not in str(caught.value)
        return
    command = ("status",) if "PLATESTREAM_STORE" in environment else ("web", "--store", tmp_path)
    outcome = command_line(monkeypatch, capfd, tmp_path)(*options, *command)
    assert outcome.status in (1, 2, 3)
    assert outcome.err.count("error: ") == 1
    assert CANARY not in outcome.err + outcome.out
    assert ("Traceback" in outcome.err) is bool(options)


def test_the_web_servers_token_goes_to_no_other_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLATESTREAM_WEB_TOKEN", f"{CANARY}-fine")
    settings = Settings()
    assert CANARY not in repr(settings)
    assert CANARY not in str(settings.as_environment())
    assert CANARY not in str(child_environment(settings.as_environment()))
    service = web_service(settings, tmp_path / "web.log")
    assert service.environment["PLATESTREAM_WEB_TOKEN"] == f"{CANARY}-fine"
    assert CANARY not in " ".join(service.argv)


@pytest.mark.parametrize("name", ["lab`; DROP TABLE x", "a b", "x'", ""])
def test_names_that_stand_in_sql_are_checked(name: str) -> None:
    for setting in ("dataset", "google_project"):
        with pytest.raises(ConfigurationError, match="for it stands in SQL"):
            Settings(**{setting: name})


@pytest.mark.parametrize("name", ["server.log", "page/index.html", "wells.parquet", "cells.arrow", "prefect.db"])
def test_a_secret_is_found_wherever_it_stands(tmp_path: Path, name: str) -> None:
    secret = f"canary-{tmp_path.name}"
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    texts = pa.table({"treatment": [f"of {secret}"] * 1000})
    if path.suffix == ".parquet":
        pq.write_table(texts, path, compression="zstd")
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(path, texts.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as file:
            file.write_table(texts)
    elif path.suffix == ".db":
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE log (line TEXT)")
            database.execute("INSERT INTO log VALUES (?)", (secret,))
            database.commit()
    else:
        path.write_text(f"GET /?token={secret}\n")
    assert find_secrets(tmp_path, {"a token": secret, "another": "not there"}) == ([f"a token in {path}"], 1)
