"""How CPU kernels are compiled: by numba, once per machine where its cache can be written.

They let other threads run meanwhile: a publication reads and weighs the thumbnails of many sites at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel; every float operation is done as written, in its order."""
    return _compile(function, fastmath=False)


def compiled_whole_sums(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel whose float sums may be added in any order, so that it uses vector instructions.

    Only for sums of whole numbers that stay below 2**53 (2**24 in single precision): those are exact in any order.
    """
    return _compile(function, fastmath={"reassoc", "nsz"})


def _compile(function: Callable[..., Any], *, fastmath: bool | set[str]) -> Callable[..., Any]:
    try:
        return njit(cache=True, fastmath=fastmath, boundscheck=False, nogil=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's can be written: compiled anew in each process
        return njit(fastmath=fastmath, boundscheck=False, nogil=True)(function)
