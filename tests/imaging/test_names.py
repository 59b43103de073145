"""Names that are taken and names that are refused; hashes of what things hold."""

from __future__ import annotations

import pytest

from imaging.errors import RefusedNameError
from imaging.names import check_name, digest_of, hash_of, results_prefix, to_json


@pytest.mark.parametrize("name", ["P1", "2026-11-20 plate (2)", "BR00117006__2020-11-08T20_27_05", "a.b+c", "x" * 100])
def test_names_that_labs_give_are_taken(name: str) -> None:
    assert check_name("plate", name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../x",
        "a/b",
        "a\\b",
        "it's",
        'say "x"',
        "a\0b",
        "a\nb",
        ".hidden",
        "-x",
        "a..b",
        "x" * 101,
        "P1 ",
        "P1.",
        "ä",
    ],
)
def test_names_that_could_leave_their_folder_or_break_a_query_are_refused(name: str) -> None:
    with pytest.raises(RefusedNameError, match=r"the plate name .* is refused"):
        check_name("plate", name)


def test_a_hash_names_the_content_and_nothing_else() -> None:
    assert hash_of({"b": 1, "a": [2, None]}) == hash_of({"a": [2, None], "b": 1})
    assert hash_of({"a": 1}) != hash_of({"a": 2})
    assert len(hash_of(1)) == 20
    assert len(digest_of(b"x")) == 32


def test_json_is_canonical_and_holds_no_nan() -> None:
    assert to_json({"b": "µ", "a": 1}) == '{"a":1,"b":"µ"}'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"a": float("nan")})


def test_results_lie_under_experiment_plate_and_recipe() -> None:
    assert results_prefix("E", "P", "v1-0") == "results/E/P/v1-0/"


def test_a_name_that_is_far_too_long_is_not_told_in_full() -> None:
    with pytest.raises(RefusedNameError) as caught:
        check_name("plate", "9" * 5_000)
    assert len(caught.value.message) < 400
