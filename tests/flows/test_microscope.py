"""The simulated microscope: everything comes in the end, with the accidents it announced."""

from __future__ import annotations

from pathlib import Path

from flows.microscope import Microscope, plan_accidents


def test_all_images_come_whole_in_the_end_but_the_late_one(tmp_path: Path) -> None:
    images, raw = tmp_path / "images", tmp_path / "raw"
    images.mkdir()
    names = [f"{number:02d}.tif" for number in range(12)]
    for name in names:
        (images / name).write_bytes(name.encode() * 100)
    accidents = plan_accidents(names, seed=1)
    assert len({*accidents.repeated, *accidents.copied, accidents.truncated, accidents.late}) == 5
    microscope = Microscope(images, raw, 0.2, 1, accidents)
    microscope.start()
    assert microscope._thread is not None
    microscope._thread.join(10)
    assert not microscope._thread.is_alive()
    assert {path.name for path in raw.glob("*.tif")} == set(names) - {accidents.late}
    assert (raw / accidents.truncated).stat().st_size < (images / accidents.truncated).stat().st_size
    microscope.send_replacement()
    assert all(path.read_bytes() == (images / path.name).read_bytes() for path in raw.glob("*.tif"))
    assert [path.name for path in (raw / "again").iterdir()] == list(accidents.copied)
    microscope.send_late()
    assert (raw / accidents.late).exists()
    assert microscope.uploaded == len(names) - 1 + 2 + 1 + 1 + 1


def test_the_truncated_file_is_cut_first(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(5):
        (images / f"{number}.tif").write_bytes(b"x" * 100)
    microscope = Microscope(images, tmp_path / "raw", 0.0, 1, plan_accidents([f"{n}.tif" for n in range(5)], 1))
    name = microscope.accidents.truncated
    microscope._send(name, to=name, is_cut=True)
    assert (tmp_path / "raw" / name).stat().st_size == 60
