"""Fixtures of the tests of deployments.

project     a copy of deployments/
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flows.declared import FOLDER
from tests.deployments.declared import DEPLOYMENTS


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(DEPLOYMENTS, tmp_path / FOLDER)
    return tmp_path
