"""What a test does about a part that the machine lacks."""

from __future__ import annotations

import pytest

from tests import parts


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has neither a sail nor an engine."""
    lacks = {
        "sail": parts.Part(lambda: None, "apt-get install sail"),
        "engine": parts.Part(lambda: None, "buy one", for_all=False),
    }
    monkeypatch.setattr(parts, "PARTS", lacks)
    monkeypatch.setattr(parts, "find_part", lambda name: parts.PARTS[name].find())


@pytest.mark.usefixtures("lacking")
@pytest.mark.parametrize(("name", "must"), [("sail", False), ("engine", False), ("engine", True)])
def test_a_test_that_lacks_a_part_is_skipped_with_the_cure(
    name: str, must: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MUST_HAVE_ALL", must)
    with pytest.raises(pytest.skip.Exception, match=parts.PARTS[name].cure):
        parts.require(name)


@pytest.mark.usefixtures("lacking")
def test_a_test_that_lacks_a_part_fails_where_all_must_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MUST_HAVE_ALL", True)
    with pytest.raises(pytest.fail.Exception, match="no sail: apt-get install sail"):
        parts.require("sail")


def test_a_part_that_is_there_is_named() -> None:
    assert parts.find_part("g++") is None or parts.require("g++").endswith("g++")


def test_the_demand_is_hidden_from_the_settings() -> None:
    assert "PLATESTREAM_TEST_ALL" not in parts.os.environ
