"""The short form of the fuzz suite: a few damaged inputs of every kind, the same ones in every run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.promise import Target
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_damaged_input_is_refused_in_a_sentence_or_keeps_its_contract(target: Target) -> None:
    @settings(max_examples=target.short, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(target.cases)
    def attempt(case: Any) -> None:
        target.attempt(case)

    attempt()
