from __future__ import annotations

import hashlib
from pathlib import Path

from imaging.upload.journal import Journal, Noted
from imaging.upload.sums import Sums

SUMS = Sums.of([b"pix", b"els"])


def opened(tmp_path: Path, destination: str = "gs://lab") -> Journal:
    return Journal(tmp_path / "journals", tmp_path / "source", destination)


def test_sums_are_those_of_the_whole_however_it_is_cut() -> None:
    assert Sums.of([b"pixels"]) == SUMS
    assert (SUMS.size, SUMS.md5) == (6, hashlib.md5(b"pixels").hexdigest())
    assert Sums.of([b"123456789"]).crc32c == "4waSgw=="  # the check value of CRC-32C, 0xE3069283


def test_a_later_run_knows_what_was_noted(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.note("a\nb é.tif", 7, SUMS, "token")
    with opened(tmp_path) as journal:
        assert journal.get("a\nb é.tif", 6, 7) == Noted(6, 7, SUMS, "token")
        assert journal.get("a\nb é.tif", 6, 8) is None
        assert journal.get("other", 6, 7) is None


def test_each_destination_has_its_own(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.note("a.tif", 7, SUMS, "token")
    with opened(tmp_path, "gs://other") as journal:
        assert journal.get("a.tif", 6, 7) is None


def test_a_line_that_a_kill_cut_short_costs_that_line_only(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.note("a.tif", 7, SUMS, "token")
        journal.note("b.tif", 7, SUMS, "token")
    assert journal.path is not None
    journal.path.write_bytes(journal.path.read_bytes()[:-20])
    with opened(tmp_path) as journal:
        assert journal.get("a.tif", 6, 7) is not None
        assert journal.get("b.tif", 6, 7) is None
        journal.note("c.tif", 7, SUMS, "token")
    with opened(tmp_path) as journal:
        assert journal.get("c.tif", 6, 7) is not None


def test_lines_of_another_kind_are_passed_over(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.note("a.tif", 7, SUMS, "token")
    assert journal.path is not None
    journal.path.write_bytes(b'\xff\xfe\n{"a": 1}\n[1, 2]\n7\n[[], 6, 7, 1, 1, 1]\n' + journal.path.read_bytes())
    with opened(tmp_path) as journal:
        assert journal.get("a.tif", 6, 7) is not None


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as one, opened(tmp_path) as other:
        for number in range(50):
            one.note(f"one{number}", 7, SUMS, "token")
            other.note(f"other{number}", 7, SUMS, "token")
    with opened(tmp_path) as journal:
        assert all(journal.get(f"{who}{number}", 6, 7) for who in ("one", "other") for number in range(50))


def test_without_a_place_to_write_there_is_no_journal_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "journals").write_bytes(b"a file where the folder belongs")
    with opened(tmp_path) as journal:
        journal.note("a.tif", 7, SUMS, "token")
        assert journal.get("a.tif", 6, 7) is None
