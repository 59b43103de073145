from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows import demo


def test_a_slow_machine_gets_its_time_and_one_where_nothing_happens_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = {"now": 0.0}

    def sleep(pause_s: float) -> None:
        clock["now"] += 100 * pause_s

    monkeypatch.setattr(
        demo, "time", SimpleNamespace(monotonic=lambda: clock["now"], time=lambda: clock["now"], sleep=sleep)
    )
    shown = demo.prepare(tmp_path / "demo", seed=1)
    shown.microscope.raw.mkdir(parents=True)
    images = sorted((demo.IMAGES / "images").iterdir())
    for number, _ in enumerate(demo.looks(shown)):
        if number < 9:
            image = shown.microscope.raw / images[number].name
            image.write_bytes(images[number].read_bytes())
            os.utime(image, (1e9, 1e9))  # long settled
    assert 9 * 100 + demo.STALLED_S <= clock["now"] <= 9 * 100 + demo.STALLED_S + 200
