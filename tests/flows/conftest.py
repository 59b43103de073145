"""Fixtures of the flow tests.

server      a Prefect API for the session: its address; one harness for all, it takes ten seconds to start
project     a copy of prefect.yaml and deployments/ whose only deployment runs a tiny flow
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from flows.declared import FOLDER, PROJECT, ROOT


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DO_NOT_TRACK", "1")
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")  # else the server tells its makers that it runs
        with prefect_test_harness(server_startup_timeout=120):
            yield PREFECT_API_URL.value()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / FOLDER, tmp_path / FOLDER)
    declared = yaml.safe_load((ROOT / PROJECT).read_text())
    declared["deployments"] = declared["deployments"][:1]
    declared["deployments"][0]["entrypoint"] = "tests.flows.tiny_flow.tiny"
    (tmp_path / PROJECT).write_text(yaml.safe_dump(declared))
    return tmp_path


@pytest.fixture
def deployed(server: str, project: Path) -> str:
    from flows.deploy import deploy
    from flows.settings import Settings

    deploy(settings=Settings(api_url=server), root=project)
    return server
