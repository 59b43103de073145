"""Python's search for cyclic garbage, put off while a listing is read."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Iterator[None]:
    """Put off the search for cyclic garbage, as a context or decorator.

    A listing becomes hundreds of thousands of small objects, none of them in a cycle; searching all of them again and
    again takes a third of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
