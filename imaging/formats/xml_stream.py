"""XML of instruments, read element by element and piece by piece; entities and document types are refused.

A manifest of a large plate has millions of elements, so none is kept: a reader (``XmlReader``) is told where each one
begins and ends. Names come without their namespaces.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from imaging.sentences import shorten

PIECE = 1024 * 1024
"""Bytes that are read at once."""
_MAX_TEXT = 65_536  # characters of an element's text
_MAX_DEPTH = 100
_MAX_SILENCE = 16 * PIECE  # bytes of one tag or comment, which the parser begins anew with each piece


class XmlReader(Protocol):
    """What is told of each element."""

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """Take the beginning of an element."""
        ...

    def end(self, name: str, text: str) -> None:
        """Take the end of an element, with the text that stands directly in it after its last child."""
        ...


class _Target:
    """Between expat, which gives qualified names and text in pieces, and a reader."""

    def __init__(self, reader: XmlReader) -> None:
        self._reader = reader
        self._text: list[str] = []
        self._size = self._depth = 0
        self.told = 0  # how much was told so far, of whatever kind

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._text, self._size = [], 0
        self._depth, self.told = self._depth + 1, self.told + 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f"elements inside each other more than {_MAX_DEPTH} deep")
        self._reader.begin(plain_name(tag), {plain_name(name): value for name, value in attributes.items()})

    def data(self, text: str) -> None:
        self.told += 1
        if self._size < _MAX_TEXT:
            self._text.append(text)
            self._size += len(text)

    def end(self, tag: str) -> None:
        self._depth, self.told = self._depth - 1, self.told + 1
        self._reader.end(plain_name(tag), "".join(self._text))
        self._text, self._size = [], 0

    def close(self) -> None:
        """Nothing is left to do."""


def plain_name(tag: str) -> str:
    """Name of an element or attribute without its namespace."""
    return tag.rpartition("}")[2]


def read_xml(pieces: Iterable[bytes], reader: XmlReader) -> str | None:
    """Tell a reader all elements of an XML document.

    Parameters
    ----------
    pieces
        The document, in order.
    reader
        Is told each element; a ``ValueError`` of its own means that a value is none.

    Returns
    -------
    What is wrong with the document, in words that go on a sentence, or ``None``.
    """
    target = _Target(reader)
    parser = DefusedXMLParser(target=target, forbid_dtd=True)
    silence, told = 0, 0
    try:
        for piece in pieces:
            parser.feed(piece)
            silence, told = (0 if target.told != told else silence + len(piece)), target.told
            if silence > _MAX_SILENCE:
                return f"it has {_MAX_SILENCE:,} bytes without a tag"
        parser.close()
    except ParseError as error:
        return f"it is no whole XML ({error})"
    except DefusedXmlException:
        return "it declares entities or a document type, which are not read"
    except (ValueError, LookupError) as error:
        return f"a value in it cannot be read ({shorten(str(error), 200)})"
    return None
