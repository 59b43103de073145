from __future__ import annotations

from imaging.upload.ledger import FAILED_S, LONG_AGO_S, TRIES_IN_PLACE, Entry, Ledger
from imaging.upload.source import Scan, SourceFile
from imaging.upload.sums import Sums

WALL = 1_700_000_000.0


def ledger(*, settle_s: float = 3.0, last: str = "") -> Ledger:
    return Ledger(settle_s=settle_s, manifest_wait_s=600.0, last=last)


def file(path: str, size: int = 10, age_s: float = 0.0) -> SourceFile:
    return SourceFile(path, size, round((WALL - age_s) * 1e9))


def see(books: Ledger, now: float, *files: SourceFile, unread: tuple[str, ...] = ()) -> int:
    return books.see(Scan(list(files), unread=list(unread)), now, WALL)


def take(books: Ledger, now: float) -> Entry:
    entry = books.take(now)
    assert entry is not None
    return entry


def finish(books: Ledger, entry: Entry) -> None:
    books.done(entry, Sums(entry.size, "md5", "crc"), "token")


def test_a_file_is_handed_out_once_it_has_rested() -> None:
    books = ledger()
    see(books, 0.0, file("a.tif"))
    see(books, 2.9, file("a.tif"))
    assert books.take(2.9) is None
    see(books, 3.0, file("a.tif"))
    assert take(books, 3.0).path == "a.tif"
    assert books.take(3.0) is None


def test_a_file_that_grows_begins_to_rest_anew() -> None:
    books = ledger()
    see(books, 0.0, file("a.tif", 10))
    assert see(books, 2.0, file("a.tif", 20)) == 1
    see(books, 4.0, file("a.tif", 20))
    assert books.take(4.0) is None
    see(books, 5.0, file("a.tif", 20))
    assert take(books, 5.0).size == 20


def test_a_file_that_grows_while_it_waits_is_not_handed_out() -> None:
    books = ledger()
    see(books, 0.0, file("a.tif", 10))
    see(books, 3.0, file("a.tif", 10))
    see(books, 4.0, file("a.tif", 20))
    assert books.take(4.0) is None


def test_a_file_of_long_ago_need_not_rest_and_one_of_a_clock_ahead_does() -> None:
    books = ledger()
    see(books, 0.0, file("old.tif", age_s=LONG_AGO_S + 4), file("new.tif", age_s=LONG_AGO_S - 1), file("a", age_s=-99))
    assert take(books, 0.0).path == "old.tif"
    assert books.take(0.0) is None


def test_images_go_in_the_order_they_were_written() -> None:
    books = ledger(settle_s=0.0)
    see(books, 0.0, file("a", age_s=1), file("b", age_s=3), file("c", age_s=2))
    assert [take(books, 0.0).path for _ in range(3)] == ["b", "c", "a"]


def test_manifests_go_when_no_image_is_on_its_way() -> None:
    books = ledger(settle_s=0.0)
    see(books, 0.0, file("Index.xml", age_s=50), file("a.tif"), file("b.tif"))
    first, second = take(books, 0.0), take(books, 0.0)
    assert books.take(0.0) is None
    finish(books, first)
    assert books.take(0.0) is None
    finish(books, second)
    assert take(books, 0.0).path == "Index.xml"


def test_a_manifest_waits_for_images_that_still_settle() -> None:
    books = ledger()
    see(books, 0.0, file("Index.xml", age_s=500), file("a.tif"))
    assert books.take(0.0) is None


def test_a_manifest_does_not_wait_for_ever() -> None:
    books = ledger(settle_s=0.0)
    see(books, 0.0, file("Index.xml"), file("a.tif"))
    assert take(books, 599.0).path == "a.tif"
    see(books, 600.0, file("Index.xml"), file("a.tif"), file("b.tif"))
    assert take(books, 600.0).path == "Index.xml"


def test_the_end_marker_goes_last_whatever_its_name() -> None:
    books = ledger(settle_s=0.0, last="finished")
    see(books, 0.0, file("finished", age_s=10), file("a.tif"))
    assert take(books, 0.0).path == "a.tif"


def test_a_manifest_that_changes_is_sent_again() -> None:
    books = ledger(settle_s=0.0)
    see(books, 0.0, file("Index.xml", 10))
    finish(books, take(books, 0.0))
    assert see(books, 1.0, file("Index.xml", 10)) == 0
    assert books.take(1.0) is None
    assert see(books, 2.0, file("Index.xml", 20)) == 1
    assert take(books, 2.0).size == 20


def test_a_file_that_vanishes_or_is_renamed_is_no_error() -> None:
    books = ledger(settle_s=0.0)
    see(books, 0.0, file("a.tif"))
    see(books, 1.0, file("b.tif"))
    assert (books.vanished, books.count("ready")) == (1, 1)
    assert take(books, 1.0).path == "b.tif"


def test_a_file_that_was_sent_stays_sent_when_it_vanishes() -> None:
    books = ledger(settle_s=0.0)
    see(books, 0.0, file("a.tif"))
    finish(books, take(books, 0.0))
    see(books, 1.0)
    assert (books.vanished, books.count("done")) == (0, 1)


def test_files_of_a_folder_that_cannot_be_read_just_now_are_not_gone() -> None:
    books = ledger(settle_s=0.0)
    see(books, 0.0, file("sub/a.tif"), file("a.tif"))
    see(books, 1.0, unread=("sub/",))
    assert [entry.path for entry in books.of("ready")] == ["sub/a.tif"]


def test_a_file_in_flight_is_left_to_its_transfer() -> None:
    books = ledger(settle_s=0.0)
    see(books, 0.0, file("a.tif", 10))
    entry = take(books, 0.0)
    see(books, 1.0, file("a.tif", 20))
    assert (entry.size, entry.state) == (10, "flying")
    finish(books, entry)
    see(books, 2.0, file("a.tif", 20))
    assert take(books, 2.0).size == 20


def test_a_file_that_is_not_ready_is_looked_at_again_later() -> None:
    books = ledger(settle_s=0.0)
    see(books, 0.0, file("a.tif"))
    books.wait(take(books, 0.0), 0.0, 5.0, "it is locked")
    see(books, 4.0, file("a.tif"))
    assert books.take(4.0) is None
    see(books, 5.0, file("a.tif"))
    entry = take(books, 5.0)
    books.wait(entry, 5.0, 5.0, "it is locked")
    assert entry.waits_since == 0.0


def test_a_file_that_the_store_never_takes_does_not_keep_the_others_back() -> None:
    books = ledger(settle_s=0.0)
    see(books, 0.0, file("bad.tif", age_s=9), file("good.tif"))
    taken = []
    for _ in range(TRIES_IN_PLACE + 1):
        entry = take(books, 0.0)
        taken.append(entry.path)
        books.unsent(entry)
    assert taken == ["bad.tif"] * TRIES_IN_PLACE + ["good.tif"]


def test_a_file_that_failed_is_tried_again_after_a_while_and_when_it_changes() -> None:
    books = ledger(settle_s=0.0)
    see(books, 0.0, file("a.tif"))
    books.fail(take(books, 0.0), 0.0, "no permission")
    see(books, 1.0, file("a.tif"))
    books.retry_failed(FAILED_S - 1)
    assert books.count("failed") == 1
    books.retry_failed(FAILED_S)
    see(books, FAILED_S, file("a.tif"))
    books.fail(take(books, FAILED_S), FAILED_S, "no permission")
    see(books, FAILED_S + 1, file("a.tif", 20))
    assert books.count("failed") == 0


def test_files_and_bytes_are_counted_by_state() -> None:
    books = ledger(settle_s=0.0)
    see(books, 0.0, file("a.tif", 10), file("b.tif", 20), file("Index.xml", 5))
    finish(books, take(books, 0.0))
    assert (books.count("done"), books.size("done")) == (1, 10)
    assert (books.count("ready"), books.size("ready")) == (2, 25)
