"""Arrays that lie against pages which may not be touched, and that behave as a device's arrays do."""

from __future__ import annotations

import ctypes
import mmap
import weakref
from typing import Any

import numpy as np

_PAGE = mmap.PAGESIZE
_ALIGNMENT = 16  # what the widest loads of a kernel need; a device's arrays have more
_PADDING = 0xA7
_LIBC = ctypes.CDLL(None, use_errno=True)


class HostArray(np.ndarray):
    """An array in guarded memory. As with a device's array, arithmetic does not mix it with arrays of the host."""

    gpu: Any = None

    def __array_finalize__(self, other: Any) -> None:
        self.gpu = getattr(other, "gpu", None)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        involved = [*inputs, *(out or ())]
        if any(type(value) is np.ndarray and value.ndim for value in involved):
            raise TypeError("an array of the device and an array of the host do not mix; use put or get")
        plain = [value.view(np.ndarray) if isinstance(value, HostArray) else value for value in inputs]
        if out is not None:
            options["out"] = tuple(value.view(np.ndarray) for value in out)
        result = getattr(ufunc, method)(*plain, **options)
        if out is not None:
            return out[0]
        return self.gpu.put(result) if isinstance(result, np.ndarray) else result


class _Mapping(mmap.mmap):
    """Pages with an untouchable page before and after them; ``start`` is where the array begins."""

    base: int
    start: int
    size: int


class GuardedMemory:
    """Makes arrays and finds them again by address.

    Parameters
    ----------
    at_end
        Whether arrays end where the untouchable page begins (on a multiple of 16 bytes), or begin where it ends. The
        rest of their pages is filled with a pattern that ``overwritten`` looks for.
    """

    def __init__(self, *, at_end: bool) -> None:
        self.at_end = at_end
        self._mappings: weakref.WeakSet[_Mapping] = weakref.WeakSet()

    def array(self, shape: Any, dtype: Any, fill: int) -> np.ndarray:
        """Make an array whose bytes are ``fill``."""
        dtype = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        inner = max(_PAGE, -(-size // _PAGE) * _PAGE)
        mapping = _Mapping(-1, inner + 2 * _PAGE)
        mapping[:] = bytes([_PADDING]) * len(mapping)
        offset = _PAGE + ((inner - size) // _ALIGNMENT * _ALIGNMENT if self.at_end else 0)
        mapping[offset : offset + size] = bytes([fill]) * size
        mapping.base = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
        mapping.start, mapping.size = mapping.base + offset, size
        for page in (mapping.base, mapping.base + len(mapping) - _PAGE):
            if _LIBC.mprotect(ctypes.c_void_p(page), _PAGE, 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        self._mappings.add(mapping)
        return np.frombuffer(mapping, dtype, size // max(dtype.itemsize, 1), offset).reshape(shape)

    def owns(self, array: np.ndarray) -> bool:
        """Whether an array, or the one it is a view of, was made here."""
        return self._find(array.ctypes.data) is not None

    def overwritten(self) -> str | None:
        """Say which array's padding was written to."""
        for mapping in list(self._mappings):
            offset = mapping.start - mapping.base
            before, after = mapping[_PAGE:offset], mapping[offset + mapping.size : len(mapping) - _PAGE]
            for side, padding in (("before", before), ("after", after)):
                if padding.strip(bytes([_PADDING])):
                    return f"was written to {side} {_describe(mapping)}"
        return None

    def describe(self, address: int) -> str:
        """Say where an untouchable address lies."""
        mapping = self._find(address)
        if mapping is None:
            return f"address {address:#x}, where no array is"
        return f"byte {address - mapping.start} of {_describe(mapping)}"

    def _find(self, address: int) -> _Mapping | None:
        return next((m for m in list(self._mappings) if m.base <= address < m.base + len(m)), None)


def _describe(mapping: _Mapping) -> str:
    return f"an array of {mapping.size} bytes"
