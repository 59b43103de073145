"""What storage says when it fails, in our names: each fault has its place, and a sentence that says what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from obstore.exceptions import BaseError, PreconditionError

from imaging.errors import (
    ChangedObjectError,
    ForbiddenFileError,
    RefusedNameError,
    StoredDataError,
    StoreUnavailableError,
)
from imaging.listing import find_key_refusal


def changed(key: str) -> ChangedObjectError:
    """The error of an object that has another version by now."""
    return ChangedObjectError("the object changed after it was listed; it is read again at the next look", key=key)


@contextlib.contextmanager
def translated_os(key: str) -> Iterator[None]:
    """Give the operating system's errors our names; a file that is not there keeps its own."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, ChangedObjectError):
        raise
    except PermissionError as error:
        raise ForbiddenFileError("the pipeline's user may not read this; give permission", key=key) from error
    except IsADirectoryError as error:
        raise StoredDataError("a file is expected here, and this is a folder", key=key) from error
    except OSError as error:
        raise StoreUnavailableError(f"the folder cannot be read: {error.strerror}; try again", key=key) from error


@contextlib.contextmanager
def translated(key: str) -> Iterator[None]:
    """Give obstore's errors our names, and hand it no address that it does not take."""
    if key and (refusal := find_key_refusal(key.rstrip("/"))):
        raise RefusedNameError(f"{key[:200]!r} is no address in the store: {refusal}")
    try:
        yield
    except PreconditionError as error:
        raise changed(key) from error
    except BaseError as error:
        raise StoreUnavailableError(f"the storage failed: {str(error).splitlines()[0]}; try again", key=key) from error
