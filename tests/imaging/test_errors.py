"""Errors: the place in words, the builtin they stand for, and a way through pickling."""

from __future__ import annotations

import pickle

import pytest

from imaging import errors
from imaging.errors import ChangedObjectError, ConfigurationError, PlateError, UnreadableImageError


def test_an_error_says_what_and_where() -> None:
    error = UnreadableImageError("the file is empty", experiment="E", plate="P", well="B03", site=2, channel="DNA")
    assert str(error) == "the file is empty (experiment E, plate P, well B03, site 2, channel DNA)"
    assert str(PlateError("nothing is known of it")) == "nothing is known of it"


@pytest.mark.parametrize("name", [name for name in dir(errors) if name.endswith("Error")])
def test_every_error_survives_pickling_with_its_place(name: str) -> None:
    kind = getattr(errors, name)
    error = kind("what", key="a/b", plate="P")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.key, again.retryable) == (str(error), "a/b", error.retryable)


def test_all_problems_of_a_configuration_are_told_at_once() -> None:
    error = pickle.loads(pickle.dumps(ConfigurationError("the file has 2 faults", ("a: one", "b: two"))))
    assert str(error) == "the file has 2 faults\n  - a: one\n  - b: two"


def test_errors_are_also_the_builtin_they_stand_for() -> None:
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(ChangedObjectError, OSError)
    assert ChangedObjectError.retryable
