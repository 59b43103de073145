"""YAML as mappings, lists and text, with lines."""

from __future__ import annotations

import pytest

from imaging.plain_yaml import MAX_BYTES, read_plain_yaml, spell_place


def test_scalars_stay_the_text_that_was_written() -> None:
    tree = read_plain_yaml(b"a: no\nb: 01\nc: 1e3\nd: 12:30\ne: '~'\nf: \"\"").tree
    assert tree == {"a": "no", "b": "01", "c": "1e3", "d": "12:30", "e": "~", "f": ""}


@pytest.mark.parametrize("empty", [b"a:", b"a: ~", b"a: null"])
def test_a_key_without_a_value_is_none(empty: bytes) -> None:
    assert read_plain_yaml(empty).tree == {"a": None}


def test_every_place_has_its_line() -> None:
    document = read_plain_yaml(b"a: 1\nb:\n  - c: 2\n    d: 3\n  - x\n")
    assert document.lines[("b",)] == 2
    assert document.lines[("b", 0, "d")] == 4
    assert document.lines[("b", 1)] == 5


def test_a_byte_order_mark_is_skipped() -> None:
    assert read_plain_yaml(b"\xef\xbb\xbfa: 1").tree == {"a": "1"}


def test_an_empty_document_has_no_tree() -> None:
    document = read_plain_yaml(b"# nothing\n")
    assert (document.tree, document.problems) == (None, [])


def test_a_key_given_twice_is_a_problem_and_the_first_counts() -> None:
    document = read_plain_yaml(b"a:\n  b: 1\n  c: 2\n  b: 3\n")
    assert document.problems == ["a.b: is given twice, first on line 2; keep one (line 4)"]
    assert document.tree == {"a": {"b": "1", "c": "2"}}


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"a: &x 1\n", "a: has an anchor"),
        (b"a: &x [1]\nb: [*x, *x]\n", "b[1]: is an alias"),
        (b"a: !!python/object/apply:os.system [ls]\n", "a: has the tag"),
        (b"a: 1\n---\nb: 2\n", "line 2: a second document begins"),
        (b"? [a, b]\n: 1\n", "the file: has a key that is a list or a mapping"),
        (b"a: [1, 2\n", "line 2, column 1: the YAML cannot be read: expected ',' or ']'"),
        (b"a:\n\t- 1\n", "line 2, column 1: the YAML cannot be read"),
        (b"a: \x01\n", "line 1: a control character (code 1)"),
        (b"a: 1\nb: \xe9\n", "line 2: byte 0xe9 is not UTF-8"),
        (b"[" * 100, "line 1: nested more than 12 deep"),
        (b"a: " + b"x" * MAX_BYTES, f"at most {MAX_BYTES} are read"),
    ],
)
def test_what_is_no_plain_yaml_is_named_with_its_place(data: bytes, part: str) -> None:
    assert any(part in problem for problem in read_plain_yaml(data).problems)


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (b"a:\n\t- 1\n", "indent with spaces"),
        (b'a: "\\d"\n', "put regular expressions in single quotes"),
        (b"a: b: c\n", "put a text that holds ': ' in quotes"),
        (b"a: {\n", "check the indentation, the quotes and the brackets"),
    ],
)
def test_a_syntax_fault_comes_with_advice(data: bytes, advice: str) -> None:
    assert advice in read_plain_yaml(data).problems[0]


def test_a_file_that_is_too_large_is_not_read() -> None:
    assert read_plain_yaml(b"a: " + b"x" * MAX_BYTES).tree is None


def test_a_value_without_a_key_has_the_empty_key() -> None:
    assert read_plain_yaml(b"?\n: x").tree == {"": "x"}


def test_an_alias_bomb_grows_nothing() -> None:
    levels = [b"a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]".encode() for n in range(1, 9)]
    tree = read_plain_yaml(b"\n".join(levels)).tree
    assert len(str(tree)) < 1000


def test_places_are_spelled_as_users_write_them() -> None:
    assert spell_place(("channels", 1, "role")) == "channels[1].role"
