"""Planes of .npz files: which arrays are taken, every other one refused before memory is taken."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imaging.errors import ConfigurationError, UnreadableImageError
from imaging.npz_planes import find_npz_arrays, read_npz_array
from tests.imaging.small_images import planes, write_npz

PLANE = planes(1)[0]


def written(tmp_path: Path, **arrays: Any) -> Path:
    return write_npz(tmp_path / "a.npz", **arrays)


def raw(tmp_path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return tmp_path / "a.npz"


def header(shape: tuple[int, ...], descr: str = "<u2") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        find_npz_arrays(path)
    assert caught.value.key == str(path)
    return list(caught.value.problems)


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "i1", "<i2", "<i4", ">u4", "<i8", "<u8"])
def test_whole_numbers_of_any_type_are_pixels(dtype: str, tmp_path: Path) -> None:
    given = np.minimum(PLANE, 100).astype(dtype)
    path = written(tmp_path, DNA=given)
    assert tuple(find_npz_arrays(path)) == ("DNA",)
    read = read_npz_array(path, "DNA")
    np.testing.assert_array_equal(read, given)
    assert read.dtype == (np.uint8 if dtype == "u1" else np.uint16)
    assert read.flags.c_contiguous


def test_the_greatest_and_least_counts_are_taken(tmp_path: Path) -> None:
    given = np.array([[0, 65535]], np.int64)
    np.testing.assert_array_equal(read_npz_array(written(tmp_path, DNA=given), "DNA"), given)


def test_arrays_come_in_the_order_of_the_file_one_at_a_time(tmp_path: Path) -> None:
    path = written(tmp_path, RNA=PLANE, DNA=PLANE.T)
    assert tuple(find_npz_arrays(path)) == ("RNA", "DNA")
    np.testing.assert_array_equal(read_npz_array(path, "DNA"), PLANE.T)


def test_every_array_that_is_no_plane_is_named_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        good=PLANE,
        float=PLANE / 65,
        stack=np.stack([PLANE] * 3),
        row=PLANE[0],
        empty=PLANE[:0],
        mask=PLANE > 9,
        text=np.array([["A01"]]),
        objects=np.array([[{}]], object),
        records=np.zeros((2, 2), [("a", "u1")]),
        complex=PLANE * 1j,
        day=np.array([["2026-01-01"]], "M8[D]"),
        negative=np.array([[-1, 5]], np.int32),
        great=np.array([[65536]], np.uint32),
    )
    assert problems(path) == [
        "float: its values reach from 0.0153846 to 3.06154; floating-point images must lie between 0 and 1: divide by "
        "the full scale of the camera, or give camera counts as uint8 or uint16",
        "stack: its shape is (3, 72, 96); one channel is one array of shape (y, x)",
        "row: its shape is (96,); one channel is one array of shape (y, x)",
        "empty: it is empty: its shape is (0, 96)",
        "mask: its values are true and false (bool); camera counts, or intensities from 0 to 1, are needed",
        "text: its values are text (<U3); camera counts, or intensities from 0 to 1, are needed",
        "objects: it holds Python objects, which are never loaded",
        "records: its values are records ([('a', 'u1')]); camera counts, or intensities from 0 to 1, are needed",
        "complex: its values are complex numbers (complex128); camera counts, or intensities from 0 to 1, are needed",
        "day: its values are dates (datetime64[D]); camera counts, or intensities from 0 to 1, are needed",
        "negative: its values reach from -1 to 5; camera counts lie between 0 and 65,535",
        "great: its values reach from 65,536 to 65,536; camera counts lie between 0 and 65,535",
    ]


def test_members_that_are_no_arrays_are_named(tmp_path: Path) -> None:
    path = raw(tmp_path, {"notes.txt": b"x", "bad.npy": b"no array", "cut.npy": header((2, 2))[:30], "none.npy": b""})
    notes, bad, cut, none = problems(path)
    assert notes == "notes.txt: it is no array (.npy)"
    assert all(": its header is damaged: " in text for text in (bad, cut, none))


def test_newer_forms_of_arrays_are_named(tmp_path: Path) -> None:
    data = bytearray(header((2, 2)))
    data[6] = 3
    assert problems(raw(tmp_path, {"a.npy": bytes(data)})) == [
        "a: its header is damaged: version 3.0 of the format is not read"
    ]


def test_a_name_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, DNA=PLANE)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("DNA.npy", header((1, 1)) + b"ab")
    assert problems(path) == ["DNA: the name stands there twice"]


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("the file was unpickled",)

    file = io.BytesIO()
    np.save(file, np.array([[Bomb()]], object), allow_pickle=True)
    path = raw(tmp_path, {"a.npy": file.getvalue()})
    assert problems(path) == ["a: it holds Python objects, which are never loaded"]
    with pytest.raises(UnreadableImageError, match="Object arrays cannot be loaded"):
        read_npz_array(path, "a")


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((100_000, 100_000), "its header claims 100,000 x 100,000 pixels; 100,663,296 are the limit"),
        ((10_000, 10_000), "it is cut off or damaged: 128 bytes are no 10,000 x 10,000 pixels"),
        ((-5, -5), "it is cut off or damaged"),
    ],
)
def test_no_memory_is_taken_for_what_a_header_merely_claims(shape: tuple[int, int], words: str, tmp_path: Path) -> None:
    path = raw(tmp_path, {"a.npy": header(shape)})
    tracemalloc.start()
    (problem,) = problems(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert words in problem
    assert peak < 1_000_000


def test_a_member_that_expands_beyond_its_pixels_is_refused_unread(tmp_path: Path) -> None:
    path = raw(tmp_path, {"a.npy": header((2, 2)) + bytes(50_000_000)})
    tracemalloc.start()
    (problem,) = problems(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert problem == "a: it is cut off or damaged: 50,000,128 bytes are no 2 x 2 pixels"
    assert peak < 1_000_000


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path, DNA=planes(1, height=9, width=9)[0]).read_bytes()
    path = tmp_path / "cut.npz"
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(UnreadableImageError, match=r"cut off, damaged or no \.npz archive"):
            find_npz_arrays(path)


def test_a_version_of_zip_that_a_flipped_bit_names_is_damage(tmp_path: Path) -> None:
    path = written(tmp_path, DNA=PLANE)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 222  # the version that is needed to read the member
    path.write_bytes(data)
    with pytest.raises(UnreadableImageError, match=r"cut off, damaged or no \.npz archive"):
        find_npz_arrays(path)


def test_a_flipped_bit_is_found_when_the_array_is_read(tmp_path: Path) -> None:
    data = bytearray(written(tmp_path, DNA=PLANE, RNA=PLANE).read_bytes())
    data[len(data) // 4] ^= 1
    path = tmp_path / "flipped.npz"
    path.write_bytes(bytes(data))
    assert tuple(find_npz_arrays(path)) == ("DNA", "RNA")
    with pytest.raises(UnreadableImageError, match="its array DNA is damaged") as caught:
        read_npz_array(path, "DNA")
    assert caught.value.key == str(path)
    np.testing.assert_array_equal(read_npz_array(path, "RNA"), PLANE)


def test_an_array_that_ends_early_says_so(tmp_path: Path) -> None:
    data = header((200, 200)) + bytes(9)
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", data)
    claimed = len(header((200, 200))) + 200 * 200 * 2
    sizes = [struct.pack("<II", size, size) for size in (len(data), claimed)]
    path.write_bytes(path.read_bytes().replace(*sizes))
    assert tuple(find_npz_arrays(path)) == ("a",)
    with pytest.raises(UnreadableImageError, match="its array a is damaged: it ends early"):
        read_npz_array(path, "a")


def test_damage_to_an_array_whose_values_are_looked_at_first_is_named_then(tmp_path: Path) -> None:
    data = bytearray(written(tmp_path, DNA=PLANE.astype(np.int64)).read_bytes())
    data[len(data) // 2] ^= 1
    path = tmp_path / "flipped.npz"
    path.write_bytes(bytes(data))
    (problem,) = problems(path)
    assert problem.startswith("DNA: its array DNA is damaged")


def test_an_archive_without_arrays_or_no_file_is_refused(tmp_path: Path) -> None:
    assert problems(raw(tmp_path, {})) == []
    with pytest.raises(UnreadableImageError, match="cannot be read: No such file"):
        find_npz_arrays(tmp_path / "nothing.npz")
    with pytest.raises(UnreadableImageError, match="cannot be read: Is a directory"):
        find_npz_arrays(tmp_path)


def test_one_array_is_spoken_of_as_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^its array cannot be measured"):
        find_npz_arrays(written(tmp_path, a=PLANE / 2))
    with pytest.raises(ConfigurationError, match=r"^1 of its 2 arrays cannot be measured"):
        find_npz_arrays(written(tmp_path, a=PLANE / 2, b=PLANE))


def test_names_of_a_damaged_archive_are_told_on_one_line(tmp_path: Path) -> None:
    odd = "bell\x07and\nline" + "x" * 9_000
    (problem,) = problems(raw(tmp_path, {odd: b"no array"}))
    assert problem.startswith(r"bell\x07and\nlinexxx")
    assert problem.isprintable()
    assert len(problem) < 500


def test_what_is_said_of_a_damaged_archive_is_short(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", bytes(9_000))
    data = (tmp_path / "a.npz").read_bytes()  # zipfile quotes the name of a header, here as long as the array
    (tmp_path / "a.npz").write_bytes(data[:26] + struct.pack("<H", 8_000) + data[28:])
    (problem,) = problems(tmp_path / "a.npz")
    assert problem.startswith("a: its header is damaged: File name in directory 'a.npy' and header ")
    assert problem.endswith(" differ.")
    assert len(problem) < 600


def test_an_array_of_an_odd_name_is_damaged_on_one_line(tmp_path: Path) -> None:
    whole = raw(
        tmp_path, {"bell\x07.npy": header((200, 200), "<f8") + np.random.default_rng(3).random(40_000).tobytes()}
    ).read_bytes()
    (tmp_path / "a.npz").write_bytes(whole.replace(whole[14:18], b"\x01\x02\x03\x04"))  # another sum
    (problem,) = problems(tmp_path / "a.npz")
    assert problem.startswith(r"bell\x07: its array bell\x07 is damaged: Bad CRC-32")


def test_names_of_arrays_that_nobody_asked_for_are_told_without_their_middle(tmp_path: Path) -> None:
    path = raw(tmp_path, {f"{number}{'x' * 300}.npy": b"" for number in range(30)})
    with pytest.raises(ConfigurationError) as caught:
        find_npz_arrays(path, chosen=lambda name: name == "DNA")
    assert len(caught.value.message) < 1_200


def test_long_names_that_differ_in_their_middle_are_not_the_same(tmp_path: Path) -> None:
    names = ["x" * 200 + letter + "x" * 200 for letter in "ab"]
    assert list(find_npz_arrays(written(tmp_path, **dict.fromkeys(names, PLANE)))) == names
