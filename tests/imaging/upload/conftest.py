"""Fixtures of uploads: ``source`` a folder to be, ``url`` a folder and a bucket, ``bucket`` the bucket only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.standins.gcs import GcsStandIn


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


@pytest.fixture(params=["folder", "gcs"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "store")
    return request.getfixturevalue("gcs").address("lab/screens")


@pytest.fixture
def bucket(gcs: GcsStandIn) -> str:
    return gcs.address("lab")
