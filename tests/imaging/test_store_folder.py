"""What only a store on a folder can get wrong: half-written files of the dead, keys that lead out of it."""

from __future__ import annotations

import pytest

from imaging.errors import RefusedNameError
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
