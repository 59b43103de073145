"""Fixtures of the security tests.

hostile     the root of a store with a published plate whose every free text attacks; read only
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.hostile import publish_screen


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile") / "store"
    publish_screen(root)
    return root
