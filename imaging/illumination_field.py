"""A field of illumination for the planes of a plate: one small array per channel, and the planes corrected with it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.errors import ConfigurationError, StoredDataError
from imaging.names import digest_of, to_json
from kernels.gpu import Gpu, gpu_of
from kernels.illumination import correct_planes, make_gains
from kernels.thumbnails import thumbnail_factor

_HEAD = "head"


@dataclass(frozen=True)
class PlateField:
    """Fields of a plate's channels on the grid of its thumbnails.

    Parameters
    ----------
    height, width
        Size of the planes that it belongs to, pixels.
    fields
        Channel to relative brightness, shape ``(ceil(height / factor), ceil(width / factor))``, float32, above 0. A
        channel without one is not corrected.
    """

    height: int
    width: int
    fields: Mapping[str, NDArray[np.float32]]
    _gains: dict[tuple[str, Gpu | None], Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def factor(self) -> int:
        """Side of a grid cell in pixels."""
        return thumbnail_factor(self.height, self.width)

    @cached_property
    def digest(self) -> str:
        """Name of its content: the same fields have the same, wherever and whenever they were written."""
        head = [[self.height, self.width, self.factor], sorted(self.fields)]
        arrays = (np.ascontiguousarray(self.fields[channel], "<f4").tobytes() for channel in sorted(self.fields))
        return digest_of(b"".join((to_json(head), *arrays)))

    def correct(self, planes: Mapping[str, Any]) -> dict[str, Any]:
        """Divide the planes of one site by their fields.

        Parameters
        ----------
        planes
            Channel to raw plane, shape ``(y, x)``, uint8 or uint16, on any device.

        Returns
        -------
        Channel to plane, on the same device; corrected ones are uint16, those of channels without a field are the
        given ones.

        Raises
        ------
        ConfigurationError
            If the planes have another size than those that the field belongs to.
        """
        return {name: self._correct(name, plane) if name in self.fields else plane for name, plane in planes.items()}

    def _correct(self, channel: str, plane: Any) -> Any:
        if plane.shape != (self.height, self.width):
            raise ConfigurationError(
                f"the plate's field of illumination is for planes of {self.width} x {self.height} pixels, and those of "
                f"this site have {plane.shape[1]} x {plane.shape[0]}; declare a field of their size as illumination in "
                "experiment.yaml"
            )
        return correct_planes(plane[np.newaxis], self._gains_beside(plane, channel))[0]

    def _gains_beside(self, plane: Any, channel: str) -> Any:
        """Gains of a channel on the device of a plane; made and moved there once per process."""
        gpu = gpu_of(plane)
        if (channel, gpu) not in self._gains:
            gains = make_gains(self.fields[channel], factor=self.factor, height=self.height, width=self.width)
            self._gains[channel, gpu] = gains[np.newaxis] if gpu is None else gpu.put(gains[np.newaxis])
        return self._gains[channel, gpu]


def encode_field(plate_field: PlateField) -> bytes:
    """Write a field as an .npz archive: an array per channel, and the size of its planes under ``head``."""
    buffer = io.BytesIO()
    head = np.array([plate_field.height, plate_field.width, plate_field.factor], np.int64)
    arrays: dict[str, Any] = {f"field_{channel}": values for channel, values in sorted(plate_field.fields.items())}
    np.savez_compressed(buffer, **{_HEAD: head}, **arrays)
    return buffer.getvalue()


def decode_field(data: bytes, *, key: str) -> PlateField:
    """Read what ``encode_field`` wrote.

    Raises
    ------
    StoredDataError
        If it is damaged, or its grid is not that of the thumbnails.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            height, width, factor = (int(value) for value in archive[_HEAD])
            names = [name for name in archive.files if name.startswith("field_")]
            fields = {name.removeprefix("field_"): archive[name] for name in names}
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise StoredDataError("a field of illumination is damaged", key=key) from error
    decoded = PlateField(height, width, fields)
    if decoded.factor != factor:
        raise StoredDataError("a field of illumination has another grid than thumbnails have now", key=key)
    return decoded
