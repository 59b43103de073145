from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from imaging.upload.source import SourceFile, is_manifest, is_network_drive, printable, refuse_name, scan

UNREAD = "it cannot be looked at (File name too long); give this user permission"


def write(path: Path, data: bytes = b"pixels") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def refusals(folder: Path) -> dict[str, str]:
    return {refusal.name: refusal.reason for refusal in scan(folder).refused}


def test_files_in_any_depth_are_listed_with_size_and_time(tmp_path: Path) -> None:
    path = write(tmp_path / "a" / "b" / "é 日本 #1%.tif", b"12345")
    os.utime(path, ns=(0, 1_700_000_000_123_456_700))
    assert scan(tmp_path).files == [SourceFile("a/b/é 日本 #1%.tif", 5, 1_700_000_000_123_456_700)]


def test_what_is_no_file_is_refused_with_a_sentence_and_the_rest_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "image.tif")
    (tmp_path / "link.tif").symlink_to("image.tif")
    (tmp_path / "folder").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
    found = refusals(tmp_path)
    assert [file.path for file in scan(tmp_path).files] == ["image.tif"]
    assert found["link.tif"] == found["folder"] == "links are not followed; put the file itself there"
    assert found["pipe"] == found["socket"] == "it is no regular file; only files are uploaded"


def test_names_that_not_every_store_can_hold_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "two\nlines.tif")
    write(tmp_path / "back\\slash.tif")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/latin-\xe9.tif")).write_bytes(b"")
    assert refusals(tmp_path) == {
        "two\\nlines.tif": "the name has a control character; rename it",
        "back\\slash.tif": "the name has a backslash, which other systems take for a folder; rename it",
        "latin-\\udce9.tif": "the name is no valid Unicode; rename it",
    }


def test_a_path_of_300_characters_is_taken_and_a_name_of_300_bytes_is_not(tmp_path: Path) -> None:
    path = write(tmp_path / ("a" * 150) / ("b" * 150))
    assert [file.path for file in scan(tmp_path).files] == [path.relative_to(tmp_path).as_posix()]
    assert refuse_name("ü" * 150) == "the name takes 300 bytes, and 255 are allowed; shorten it"


@pytest.mark.parametrize("name", ["a.tif.tmp", "a.PART", "~$Index.xml", "a.tif.filepart", "a.tif~"])
def test_a_temporary_name_is_not_taken(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    assert scan(tmp_path).files == []
    assert refusals(tmp_path)[name] == "its name says that it is still being written; rename it when it is done"


def test_a_folder_that_cannot_be_read_is_told_and_its_files_are_not_thought_gone(tmp_path: Path) -> None:
    write(tmp_path / "image.tif")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):  # deeper than the system takes a path, whoever asks
        os.mkdir("d" * 250, dir_fd=descriptor)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    found = scan(tmp_path)
    assert [file.path for file in found.files] == ["image.tif"]
    (unread,) = found.unread
    assert set(unread) == {"d", "/"}
    assert [refusal.reason for refusal in found.refused] == [UNREAD]


def test_a_folder_that_is_not_there_is_no_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "absent")


@pytest.mark.parametrize(
    "name", ["Index.xml", "plate.HTD", "MeasurementData.mlf", "manifest.yaml", "a/.zattrs", "x.csv"]
)
def test_what_describes_images_is_a_manifest(name: str) -> None:
    assert is_manifest(SourceFile(name, 100, 0))


@pytest.mark.parametrize("file", [SourceFile("a.tif", 1, 0), SourceFile("xml", 1, 0), SourceFile("a.csv", 1 << 30, 0)])
def test_images_and_large_files_are_no_manifests(file: SourceFile) -> None:
    assert not is_manifest(file)


def test_a_folder_of_this_machine_is_on_no_network_drive(tmp_path: Path) -> None:
    assert not is_network_drive(tmp_path)


def test_a_name_is_shown_on_one_line() -> None:
    assert printable("a\nb\udce9é") == "a\\nb\\udce9é"
