from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flows.cluster import cluster_service
from flows.deploy import deploy
from flows.serve import serve_service
from flows.server import SQLITE, api_address, client_variables, database_address, is_healthy, server_service
from flows.settings import Settings, child_environment
from flows.stack import watch_service
from flows.supervise import Supervisor, find_free_ports
from imaging.errors import ConfigurationError
from tests.parts import ROOT
from tests.postgresql import postgresql

GOOD = "postgresql+asyncpg://prefect:geheim@db.lab:5432/prefect"


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgresql() as address:
        yield address


def settings_with(database_url: str, folder: Path, port: int = 4200) -> Settings:
    return Settings(
        database_url=database_url,
        api_url=api_address(port),
        state_folder=folder / "state",
        cache_folder=folder / "cache",
    )


def test_a_run_is_found_again_after_a_restart_of_a_server_on_postgresql(
    database: str, tmp_path: Path, project: Path
) -> None:
    (port,) = find_free_ports(1)
    settings, url = settings_with(database, tmp_path, port), api_address(port)
    variables = client_variables(url, tmp_path / "client") | {"PYTHONPATH": str(ROOT)}
    with Supervisor([server_service(settings, port, tmp_path / "log")]) as supervisor:
        supervisor.wait_until_ready(300)
        assert "created" in {each.change for each in deploy(settings=settings, root=project)}
        run = "from tests.flows.tiny_flow import tiny; tiny(experiment='E1', plate='P1')"
        subprocess.run([sys.executable, "-c", run], env=child_environment(variables), check=True, timeout=300)
        (before,) = httpx.post(f"{url}/flow_runs/filter", json={}, trust_env=False).raise_for_status().json()
        assert before["state"]["type"] == "COMPLETED"
        os.kill(supervisor.pid("server"), signal.SIGKILL)
        while supervisor.restarts["server"] == 0 or not is_healthy(url):
            time.sleep(0.1)
        found = httpx.get(f"{url}/flow_runs/{before['id']}", trust_env=False).raise_for_status().json()
        assert (found["name"], found["state"]["type"]) == (before["name"], "COMPLETED")
        assert {each.change for each in deploy(settings=settings, root=project)} == {"unchanged"}
    assert not (tmp_path / "state" / "prefect" / "prefect.db").exists()
    assert database.split("@")[0].rpartition(":")[2] not in (tmp_path / "log").read_text()


def test_a_server_that_may_not_enter_says_so_without_the_password(database: str, tmp_path: Path) -> None:
    wrong = database.replace("@", "-and-wrong@")
    environment = child_environment({"PLATESTREAM_DATABASE_URL": wrong, "PYTHONPATH": str(ROOT)})
    (port,) = find_free_ports(1)
    command = [sys.executable, "-m", "flows.server", "--state", tmp_path / "s", "--cache", tmp_path / "c"]
    done = subprocess.run(
        [*command, "--port", str(port)], env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode != 0
    assert "password authentication failed" in done.stderr
    assert "-and-wrong" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "address",
    [
        "postgres://prefect:geheim@db/prefect",
        "postgresql+asyncpg://geheim",
        "postgresql+asyncpg://a:geheim@db",
        "geheim",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_shown(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PLATESTREAM_DATABASE_URL must look like postgresql") as caught:
        database_address(settings_with(address, tmp_path))
    assert "geheim" not in str(caught.value)
    environment = child_environment({"PLATESTREAM_DATABASE_URL": address, "PYTHONPATH": str(ROOT)})
    command = [sys.executable, "-m", "flows.server", "--state", tmp_path, "--cache", tmp_path]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("error: PLATESTREAM_DATABASE_URL must look like")
    assert "geheim" not in done.stderr


def test_without_an_address_the_database_is_a_file() -> None:
    assert database_address(Settings()) == SQLITE


def test_only_the_server_learns_the_databases_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATESTREAM_DATABASE_URL", GOOD)
    settings, log = settings_with(GOOD, tmp_path), tmp_path / "log"
    others = (watch_service(settings, log), serve_service(settings, log), cluster_service(settings, log))
    assert [name for name in others if "geheim" in str(name)] == []
    server = server_service(settings, 4200, log)
    assert server.environment["PLATESTREAM_DATABASE_URL"] == GOOD
    assert "geheim" not in str(server.argv)  # every user of the machine sees those
