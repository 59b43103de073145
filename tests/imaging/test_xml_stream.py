"""XML of instruments: what a small or odd document cannot do to its reader."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imaging.formats.cellvoyager_files import MAX_ELEMENTS, Settings, read_settings
from imaging.formats.xml_stream import PIECE, read_xml
from tests.imaging.small_uploads import upload


class Listening:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[tuple[str, str]] = []

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self.begun.append(name)

    def end(self, name: str, text: str) -> None:
        self.ended.append((name, text))


def endless(filling: bytes) -> Iterator[bytes]:
    while True:
        yield filling * (PIECE // len(filling))


def test_elements_are_told_in_order() -> None:
    heard = Listening()
    assert read_xml([b"<n:a xmlns:n='u'><b>te", b"xt</b>", b"</n:a>"], heard) is None
    assert (heard.begun, heard.ended) == (["a", "b"], [("b", "text"), ("a", "")])


def test_elements_without_end_inside_each_other_are_refused() -> None:
    heard = Listening()
    assert "more than 100 deep" in (read_xml(endless(b"<a>"), heard) or "")
    assert len(heard.begun) == 100


@pytest.mark.parametrize("filling", [b"<!--", b"<b c='"])
def test_a_tag_or_comment_without_end_is_refused_before_it_fills_the_memory(filling: bytes) -> None:
    asked: list[None] = []

    def pieces() -> Iterator[bytes]:
        yield b"<a>" + filling
        for _ in range(40):
            asked.append(None)
            yield b"x" * PIECE

    assert read_xml(pieces(), Listening()) == "it has 16,777,216 bytes without a tag"
    assert len(asked) <= 20


def test_a_long_text_is_no_silence() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"<a>"
        for _ in range(20):
            yield b"x" * PIECE
        yield b"</a>"

    assert read_xml(pieces(), Listening()) is None


def test_settings_of_more_elements_than_any_plate_has_are_not_kept() -> None:
    objects, folder = upload({"a.mes": b"<m>" + b"<Channel/>" * (MAX_ELEMENTS + 1) + b"</m>"})
    files = [(item.key, item.token, item.size) for item in objects]
    (problem,) = read_settings(folder, files, Settings())
    assert "more than 100,000 elements" in problem
