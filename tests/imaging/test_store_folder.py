"""What only a store on a folder can get wrong: half-written files of the dead, keys that lead out of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

from imaging import store as stores
from imaging.errors import RefusedNameError, StoreUnavailableError
from imaging.store import FolderStore


def test_staged_files_of_the_dead_are_not_listed_and_go_after_the_grace(folder_store: FolderStore) -> None:
    folder_store.write("a", b"1")
    left = folder_store.root / ".staging" / "left"
    left.write_bytes(b"half")
    assert [item.key for item in folder_store.list("").objects] == ["a"]
    folder_store.delete_staged(3600.0)
    assert left.exists()
    folder_store.delete_staged(-1.0)
    assert not left.exists()


def test_a_key_cannot_leave_the_folder(folder_store: FolderStore) -> None:
    for key in ("../x", "a/../../x", "/etc/passwd"):
        with pytest.raises(RefusedNameError, match="leads out of the store"):
            folder_store.read(key)


def test_a_drive_that_goes_away_while_it_is_listed_does_not_answer(
    folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lost:
        def stat(self, *, follow_symlinks: bool) -> os.stat_result:
            raise OSError(errno.EHOSTDOWN, "Host is down")

    def walk(*args: object, **options: object) -> Iterator[tuple[Lost, bytes, str]]:
        yield Lost(), b"a", ""

    monkeypatch.setattr(stores, "walk_files", walk)
    with pytest.raises(StoreUnavailableError, match="Host is down"):
        folder_store.list("")


def test_a_drive_that_goes_away_while_it_takes_an_object_does_not_answer(
    folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*args: object, **options: object) -> None:
        raise OSError(errno.EHOSTDOWN, "Host is down")

    for name in ("replace", "unlink"):
        monkeypatch.setattr(os, name, lose)
    with pytest.raises(StoreUnavailableError, match="Host is down"):
        folder_store.write("a", b"1")


@pytest.mark.parametrize("blocked", [".staging", "results"])
def test_a_file_in_the_place_of_a_folder_is_no_object_that_is_there_already(
    blocked: str, folder_store: FolderStore
) -> None:
    (folder_store.root / blocked).write_bytes(b"somebody's note")
    for verb in (folder_store.create, folder_store.write):
        with pytest.raises(StoreUnavailableError, match="the folder took no file: Not a directory"):
            verb("results/screen/pins.json", b"1")
