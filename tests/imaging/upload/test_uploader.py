from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import BinaryIO

import pytest

from imaging.errors import ConfigurationError
from imaging.store import open_store
from imaging.upload.options import Options
from imaging.upload.reading import open_to_read
from imaging.upload.source import Refusal
from imaging.upload.summary import Progress, Summary
from tests.imaging.upload.folders import (
    PREFIX,
    acquisition,
    contents,
    held,
    meanwhile,
    sent_in_order,
    upload,
    wait_until,
    write,
)
from tests.standins.gcs import GcsStandIn


def test_all_arrives_with_equal_sums_and_the_source_stays(source: Path, url: str) -> None:
    expected = acquisition(source)
    summary = upload(source, url)
    assert held(url) == expected == contents(source)
    assert (summary.files, summary.sent, summary.present, summary.retries) == (13, 13, 0, 0)
    assert summary.size == summary.size_sent == sum(map(len, expected.values()))
    assert summary.is_complete


def test_what_is_there_is_not_sent_again_with_a_journal_or_without(source: Path, url: str, tmp_path: Path) -> None:
    acquisition(source)
    upload(source, url, journals=tmp_path / "journals")
    opened = []

    def watch(path: str) -> BinaryIO:
        opened.append(path)
        return open_to_read(path)

    again = upload(source, url, journals=tmp_path / "journals", open_file=watch)
    assert (again.sent, again.present, again.record) == (0, 13, "")
    assert opened == []
    again = upload(source, url, open_file=watch)
    assert (again.sent, again.present) == (0, 13)
    assert opened


def test_a_journal_is_not_believed_when_the_store_says_otherwise(source: Path, url: str, tmp_path: Path) -> None:
    expected = acquisition(source)
    upload(source, url, journals=tmp_path / "journals")
    store = open_store(url)
    store.delete(f"{PREFIX}Images/a01.dat")
    store.write(f"{PREFIX}Images/a02.dat", bytes(len(expected["Images/a02.dat"])))
    summary = upload(source, url, journals=tmp_path / "journals")
    assert held(url) == expected
    assert (summary.sent, summary.replaced) == (2, ("Images/a02.dat",))


def test_another_content_is_replaced_and_said(source: Path, url: str) -> None:
    expected = acquisition(source)
    open_store(url).write(f"{PREFIX}Images/a03.dat", b"of an earlier acquisition")
    open_store(url).write(f"{PREFIX}Images/of another.dat", b"stays")
    summary = upload(source, url)
    assert held(url) == expected | {"Images/of another.dat": b"stays"}
    assert summary.replaced == ("Images/a03.dat",)
    assert "replaced: Images/a03.dat had another content in the store" in summary.sentences()


def test_images_go_in_the_order_they_were_written_and_manifests_last(
    source: Path, bucket: str, gcs: GcsStandIn
) -> None:
    acquisition(source)
    write(source / "plate.HTD", age_s=300)
    upload(source, bucket, transfers=1)
    written = sorted((path for path in source.rglob("*.dat")), key=lambda path: path.stat().st_mtime_ns)
    sent = sent_in_order(gcs)
    assert sent[:12] == [path.relative_to(source).as_posix() for path in written]
    assert set(sent[12:]) == {"Index.xml", "plate.HTD"}


def test_following_takes_what_comes_renames_and_changes_until_the_marker(
    source: Path, bucket: str, gcs: GcsStandIn
) -> None:
    acquisition(source)

    def microscope() -> None:
        wait_until(lambda: "Index.xml" in sent_in_order(gcs))
        write(source / "Images" / "late.tmp", b"late")
        time.sleep(0.2)
        (source / "Images" / "late.tmp").rename(source / "Images" / "late.dat")
        write(source / "Index.xml", b"<index more='1'/>")
        wait_until(lambda: sent_in_order(gcs).count("Index.xml") == 2)
        write(source / "finished", b"")

    thread = meanwhile(microscope)
    summary = upload(source, bucket, follow=True, end_marker="finished")
    thread.join()
    assert held(bucket) == contents(source)
    assert sent_in_order(gcs)[-1] == "finished"
    assert summary.is_complete
    assert (summary.files, summary.replaced) == (15, ("Index.xml",))


def test_following_ends_when_nothing_came_for_a_while(source: Path, url: str) -> None:
    acquisition(source)
    assert upload(source, url, follow=True, until_idle_s=0.3).is_complete
    assert held(url) == contents(source)


def test_a_file_is_not_sent_while_it_grows(source: Path, bucket: str, gcs: GcsStandIn) -> None:
    path = write(source / "growing.dat", b"0")

    def grow() -> None:
        for _ in range(20):
            time.sleep(0.05)
            with path.open("ab") as file:
                file.write(b"0")

    thread = meanwhile(grow)
    summary = upload(source, bucket, settle_s=0.5)
    thread.join()
    assert sent_in_order(gcs) == ["growing.dat"]
    assert summary.size == 21


def test_a_file_that_another_program_keeps_is_tried_until_it_opens(source: Path, url: str) -> None:
    acquisition(source)
    refusals = iter(range(3))

    def locked(path: str) -> BinaryIO:
        if path.endswith("a05.dat") and next(refusals, None) is not None:
            raise PermissionError(13, "Permission denied", path)
        return open_to_read(path)

    assert upload(source, url, open_file=locked, lock_patience_s=30.0).is_complete
    assert held(url) == contents(source)


def test_a_file_that_may_never_be_read_is_refused_and_the_rest_goes_on(source: Path, url: str) -> None:
    acquisition(source)

    def forbidden(path: str) -> BinaryIO:
        if path.endswith("a05.dat"):
            raise PermissionError(13, "Permission denied", path)
        return open_to_read(path)

    summary = upload(source, url, open_file=forbidden, lock_patience_s=0.0)
    assert not summary.is_complete
    assert (summary.files, summary.refused) == (
        12,
        (
            Refusal(
                "Images/a05.dat",
                "it may not be read (Permission denied); close the program that has it, or give this user permission",
            ),
        ),
    )


def test_names_that_are_refused_make_the_upload_incomplete(source: Path, url: str) -> None:
    acquisition(source)
    (source / "link").symlink_to("Index.xml")
    write(source / "two\nlines.tif")
    write(source / "/".join(["d" * 200] * 6) / "deep.tif")
    summary = upload(source, url)
    assert (summary.files, len(summary.refused), summary.is_complete) == (13, 3, False)
    assert "refused: link: links are not followed; put the file itself there" in summary.sentences()


def test_an_image_without_its_end_waits_and_is_sent_as_it_is_at_last(source: Path, url: str) -> None:
    write(source / "cut.tif", b"II*\0" + bytes(100))
    seen: list[Progress] = []
    summary = upload(source, url, patience_s=0.4, report=seen.append)
    assert held(url) == contents(source)
    assert max(progress.waiting for progress in seen) == 1
    assert summary.cut_short == (Refusal("cut.tif", "the TIFF ends before its pixels do"),)
    assert summary.is_complete


def test_an_image_that_gets_its_end_while_it_waits_is_no_cut_one(source: Path, url: str) -> None:
    path = write(source / "image.png", b"\x89PNG\r\n\x1a\n")

    def finish() -> None:
        time.sleep(0.4)
        with path.open("ab") as file:
            file.write(b"pixels" + bytes(4) + b"IEND" + bytes(4))

    thread = meanwhile(finish)
    summary = upload(source, url, patience_s=30.0)
    thread.join()
    assert (summary.cut_short, summary.is_complete, held(url)) == ((), True, contents(source))


def test_an_object_that_changes_before_the_end_is_sent_again(source: Path, url: str) -> None:
    expected = acquisition(source)
    store, tampered = open_store(url), []

    def tamper(progress: Progress) -> None:
        if progress.files == progress.done and not tampered:
            store.write(f"{PREFIX}Images/a04.dat", b"of somebody else")
            store.delete(f"{PREFIX}Images/a05.dat")
            tampered.append(True)

    summary = upload(source, url, report=tamper)
    assert tampered
    assert held(url) == expected
    assert summary.replaced == ("Images/a04.dat",)
    assert summary.is_complete


def test_a_file_that_the_bucket_refuses_is_told_and_the_rest_goes_on(
    source: Path, gcs: GcsStandIn, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imaging.upload.uploader.PAUSE_S", 0.1)
    acquisition(source)
    gcs.refused["a05%2Edat"] = 400
    summary = upload(source, bucket)
    assert (summary.files, [refusal.name for refusal in summary.refused]) == (12, ["Images/a05.dat"])
    assert "400 Bad Request" in summary.refused[0].reason
    assert sent_in_order(gcs).count("Images/a05.dat") == 3


def test_following_that_is_stopped_when_all_is_there_is_complete(source: Path, url: str) -> None:
    acquisition(source)
    stop = threading.Event()
    summary = upload(source, url, stop=stop, follow=True, report=lambda progress: progress.done == 13 and stop.set())
    assert summary.is_complete


def test_two_uploaders_at_once_are_harmless(source: Path, gcs: GcsStandIn, bucket: str) -> None:
    acquisition(source, images=40)
    versions: list[str] = []
    gcs.notify(lambda data, attributes: versions.append(attributes["objectId"]), prefix=PREFIX)
    summaries: list[Summary] = []
    threads = [meanwhile(lambda: summaries.append(upload(source, bucket))) for _ in range(2)]
    for thread in threads:
        thread.join()
    assert [summary.is_complete for summary in summaries] == [True, True]
    assert held(bucket) == contents(source)
    assert len(versions) == len(set(versions)) == 41
    assert all(summary.replaced == () for summary in summaries)


def test_a_store_inside_the_folder_is_refused(source: Path) -> None:
    acquisition(source)
    with pytest.raises(ConfigurationError, match="lies in the folder"):
        upload(source, str(source / "store"))


def test_a_record_of_names_and_sums_is_kept_in_the_store(source: Path, url: str) -> None:
    expected = acquisition(source)
    summary = upload(source, url)
    record = open_store(url).read(summary.record).decode()
    assert summary.record.startswith("uploads/screen/P1/")
    assert all(name in record for name in expected)


def test_progress_is_one_line() -> None:
    progress = Progress(10_000, 1_204, 8_795, 69_000_000_000, 3_200_000_000, 45_000_000, 2, 1, None, None)
    assert (
        progress.sentence() == "1,204 of 10,000 files, 3.2 GB of 69.0 GB, 45.0 MB/s, 8,795 wait, 2 retries, 1 refused"
    )
    away = Progress(2_000, 796, 1_204, 1, 1, 0, 40, 0, 725.0, None, "Connection refused")
    assert away.sentence() == "the store has not answered for 12 min (Connection refused); 1,204 files wait"


def test_options_suit_a_microscope_by_default() -> None:
    assert Options().settle_s == 3.0
    assert Options().until_idle_s == 1800.0


def test_a_file_that_was_only_touched_is_not_sent_again(source: Path, url: str) -> None:
    path = write(source / "a.dat", age_s=100)
    touched: list[None] = []

    def touch(progress: Progress) -> None:
        if progress.done and not touched:
            touched.append(os.utime(path))

    summary = upload(source, url, report=touch, follow=True, until_idle_s=0.5)
    assert touched
    assert (summary.files, summary.sent, summary.replaced) == (1, 1, ())
