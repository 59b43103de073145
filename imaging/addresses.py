"""Addresses of stores: their forms, and their parts."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from imaging.errors import ConfigurationError

FORMS = "a folder, file:///, gs:// or memory://"


def split_address(url: str) -> SplitResult:
    """Split the address of a store into its parts.

    Raises
    ------
    ConfigurationError
        If it has none.
    """
    try:
        return urlsplit(url)
    except ValueError:  # a bracket where a host stands
        raise ConfigurationError(f"{url[:200]!r} is no address of a store: {FORMS}") from None
