"""Fields of a plate: written, named, and planes corrected with them."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.errors import ConfigurationError, StoredDataError
from imaging.illumination_field import PlateField, decode_field, encode_field
from kernels.gpu import Gpu, gpu_of
from kernels.illumination import correct_planes, make_gains


def make_field(**changes: float) -> PlateField:
    """A field of planes of 400 x 500 pixels, on a grid of 200 x 250, that brightens to the right."""
    fields = {
        name: np.tile(np.linspace(1, slope, 250, dtype=np.float32), (200, 1))
        for name, slope in ({"DNA": 2.0, "ER": 1.5} | changes).items()
    }
    return PlateField(400, 500, fields)


def test_what_is_written_is_read() -> None:
    field = make_field()
    data = encode_field(field)
    again = decode_field(data, key="x")
    assert (again.height, again.width, again.factor) == (400, 500, 2)
    assert {name: values.tolist() for name, values in again.fields.items()} == {
        name: values.tolist() for name, values in field.fields.items()
    }
    assert encode_field(again) == data
    assert again.digest == field.digest


def test_a_digest_names_size_channels_and_values_and_nothing_else() -> None:
    field = make_field()
    turned = PlateField(400, 500, {name: field.fields[name] for name in ("ER", "DNA")})
    assert turned.digest == field.digest
    assert make_field(DNA=2.0001).digest != field.digest
    assert PlateField(500, 400, field.fields).digest != field.digest
    assert PlateField(400, 500, {"DNA": field.fields["ER"], "ER": field.fields["DNA"]}).digest != field.digest
    assert PlateField(400, 500, {"DNA": field.fields["DNA"]}).digest != field.digest


def test_damaged_fields_are_refused() -> None:
    data = encode_field(make_field())
    for broken in (b"", data[: len(data) // 2], data[:-40] + bytes(40), b"PK\x03\x04"):
        with pytest.raises(StoredDataError, match="damaged"):
            decode_field(broken, key="x")


def test_planes_are_divided_by_the_field_of_their_channel() -> None:
    field = make_field()
    planes = {"DNA": np.full((400, 500), 10_000, np.uint16), "Phase": np.full((400, 500), 7, np.uint8)}
    corrected = field.correct(planes)
    gains = make_gains(field.fields["DNA"], factor=2, height=400, width=500)
    assert np.array_equal(corrected["DNA"], correct_planes(planes["DNA"][None], gains[None])[0])
    assert corrected["DNA"][0, 0] == 10_000
    assert corrected["DNA"][0, -1] == 5_000
    assert corrected["Phase"] is planes["Phase"]
    assert field.correct(planes)["DNA"].tolist() == corrected["DNA"].tolist()


def test_planes_on_a_device_are_corrected_there_with_gains_that_are_moved_once(gpu: Gpu) -> None:
    field, planes = make_field(), np.random.default_rng(1).integers(0, 65536, (400, 500)).astype(np.uint16)
    expected = field.correct({"DNA": planes})["DNA"]
    first, second = (field.correct({"DNA": gpu.put(planes)})["DNA"] for _ in range(2))
    assert gpu_of(first) is gpu
    assert np.array_equal(gpu.get(first), expected)
    assert np.array_equal(gpu.get(second), expected)
    assert len(field._gains) == 2


def test_planes_of_another_size_are_refused_in_words() -> None:
    with pytest.raises(ConfigurationError, match="planes of 500 x 400 pixels, and those of this site have 250 x 200"):
        make_field().correct({"DNA": np.zeros((200, 250), np.uint16)})
