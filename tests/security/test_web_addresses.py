"""The web server shows pages and images, and nothing else that the machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaging.shown_files import ShownFiles, find_key
from imaging.store import FolderStore, Store, StoredObject
from tests.security.served import TOKEN, Served, serve

PAGE = "results/E1/P1/v1-3fa9c2d4/page/"
ZARR = "images/E1/P1.zarr/"
CHUNK = f"{ZARR}A/1/s1x1/0/c/0/0/0"
SECRET = b"the secret outside"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Served]]:
    """A root that no test changes, and its server."""
    root = make_root(tmp_path_factory.mktemp("untouched"))
    with serve(FolderStore(root)) as served:
        yield root, served


def make_root(tmp_path: Path) -> Path:
    """A store beside a secret, with what may be shown and what may not."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.webp").write_bytes(SECRET)
    store = FolderStore(tmp_path / "store")
    for key in (f"{PAGE}index.html", f"{PAGE}data.js", f"{PAGE}overview-1-ab12.webp", f"{ZARR}zarr.json", CHUNK):
        store.write(key, b"shown")
    for key in (
        "raw/E1/P1/A01.tif",
        "experiments/E1/experiment.yaml",
        "results/E1/P1/v1-3fa9c2d4/sites/A01-1-x.json",
        "results/E1/P1/v1-3fa9c2d4/published/000001-x/wells.parquet",
        f"{PAGE}notes.html",
        f"{PAGE}other.js",
        "images/E1/P1.txt",
        "images/E1/notes/zarr.json",
        ".staging/0123",
        "prefect.db",
    ):
        store.write(key, SECRET)
    return tmp_path / "store"


@pytest.fixture
def served(root: Path) -> Iterator[Served]:
    with serve(FolderStore(root)) as served:
        yield served


def test_pages_and_images_are_shown(untouched: tuple[Path, Served]) -> None:
    _, served = untouched
    for key in (f"{PAGE}index.html", PAGE, f"{PAGE}data.js", f"{PAGE}overview-1-ab12.webp", f"{ZARR}zarr.json", CHUNK):
        answer = served.get(f"/{key}")
        assert (answer.status_code, answer.content) == (200, b"shown"), key


def test_every_other_file_of_the_store_is_not_there(untouched: tuple[Path, Served]) -> None:
    root, served = untouched
    for path in root.rglob("*"):
        if path.is_file() and path.read_bytes() == SECRET:
            answer = served.get(f"/{path.relative_to(root)}")
            assert (answer.status_code, SECRET in answer.content) == (404, False), path


WAYS_OUT = (
    "/../outside/secret.webp",
    "/{page}../../../../../../outside/secret.webp",
    "/{page}..%2f..%2f..%2f..%2f..%2f..%2foutside%2fsecret.webp",
    "/{page}%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/outside/secret.webp",
    "/{page}%252e%252e%252f%252e%252e%252foutside%252fsecret.webp",
    "/{page}..%c0%af..%c0%afsecret.webp",
    "/{page}..%5c..%5c..%5coutside%5csecret.webp",
    "/{page}..\\..\\..\\outside\\secret.webp",
    "/{page}....//....//outside/secret.webp",
    "/{page}..;/..;/outside/secret.webp",
    "/{page}secret.webp%00.webp",
    "/{page}%00/../secret.webp",
    "/{page}/{outside}/secret.webp",
    "//{outside}/secret.webp",
    "/{outside}/secret.webp",
    "/images//{outside}/secret.webp",
    "/images/E1/P1.zarr/../../../raw/E1/P1/A01.tif",
    "/images/E1/P1.zarr/%2e%2e/%2e%2e/%2e%2e/prefect.db",
    "/images/..%2f..%2foutside/P1.zarr/secret.webp",
    "/results/../raw/E1/P1/A01.tif",
    "/results/E1/P1/../page/../sites/A01-1-x.json",
    "/images/E1/P1.zarr/\xef\xbc\x8e\xef\xbc\x8e/secret.webp",
    "http://127.0.0.1/../outside/secret.webp",
    "file:///{outside}/secret.webp",
)


@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_address_leads_out(untouched: tuple[Path, Served], way: str) -> None:
    root, served = untouched
    target = way.format(page=PAGE, outside=root.parent / "outside")
    status, answer = served.raw(target.encode("latin-1"))
    assert SECRET not in answer
    assert status in (400, 404), answer


@pytest.mark.parametrize("place", [f"{PAGE}linked.webp", f"{ZARR}linked.webp"])
def test_a_link_to_a_file_is_not_followed(served: Served, root: Path, place: str) -> None:
    (root / place).symlink_to(root.parent / "outside" / "secret.webp")
    assert served.get(f"/{place}").status_code == 404


@pytest.mark.parametrize("place", ["results/E2", "results/E1/P2", "images/E2", f"{ZARR}B"])
def test_a_link_to_a_folder_is_not_followed(served: Served, root: Path, place: str) -> None:
    outside = root.parent / "outside"
    for key in ("P1/v1-3fa9c2d4/page", "v1-3fa9c2d4/page", "P1.zarr", "1"):
        (outside / key).mkdir(parents=True, exist_ok=True)
        (outside / key / "secret.webp").write_bytes(SECRET)
    (root / place).symlink_to(outside)
    for key in ("P1/v1-3fa9c2d4/page", "v1-3fa9c2d4/page", "P1.zarr", "1", "."):
        assert (root / place / key / "secret.webp").read_bytes() == SECRET
        answer = served.get(f"/{place}/{key}/secret.webp")
        assert (answer.status_code, SECRET in answer.content) == (404, False), key


def test_a_folder_that_becomes_a_link_after_it_was_looked_up_is_not_followed(root: Path) -> None:
    files = ShownFiles(FolderStore(root))
    found = files.look_up(CHUNK)
    (root / CHUNK).parent.rename(root / "elsewhere")
    (root.parent / "outside" / "0").write_bytes(b"SHOWN")
    os.utime(root.parent / "outside" / "0", ns=(os.stat(root / "elsewhere" / "0").st_mtime_ns,) * 2)
    (root / CHUNK).parent.symlink_to(root.parent / "outside")
    assert FolderStore(root).read(CHUNK) == b"SHOWN", "the link leads there"
    with pytest.raises(FileNotFoundError):
        files.read(found, 0, 5)


def test_the_folders_of_results_and_images_themselves_may_lie_on_other_disks(root: Path) -> None:
    (root / "images").rename(root.parent / "disk")
    (root / "images").symlink_to(root.parent / "disk")
    assert ShownFiles(FolderStore(root)).look_up(CHUNK).size == 5


def test_what_is_no_file_is_not_there(served: Served, root: Path) -> None:
    os.mkfifo(root / f"{PAGE}pipe.webp")
    (root / f"{PAGE}folder.webp").mkdir()
    for name in ("pipe.webp", "folder.webp", "absent.webp", "overview-1-ab12.webp/x.webp", "x" * 90 + ".webp"):
        assert served.get(f"/{PAGE}{name}").status_code == 404, name
    assert served.get(f"/{ZARR}A/1").status_code == 404
    assert served.get(f"/{ZARR}" + "/".join("x" * 199 for _ in range(15))).status_code == 404


def test_a_file_that_may_not_be_read_is_told_without_its_place(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    def refuse(self: ShownFiles, key: str) -> StoredObject:
        from imaging.errors import ForbiddenFileError

        raise ForbiddenFileError("the pipeline's user may not read this; give permission", key=str(root / key))

    monkeypatch.setattr(ShownFiles, "look_up", refuse)
    with serve(FolderStore(root)) as served:
        answer = served.get(f"/{CHUNK}")
    assert (answer.status_code, answer.text) == (403, "the server may not read this file\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_the_server_only_reads(untouched: tuple[Path, Served], method: str) -> None:
    root, served = untouched
    for path in (f"/{PAGE}index.html", "/", "/status.json", "/web/web.css", "/health"):
        assert served.get(path, method=method).status_code in (404, 405), path
    assert (root / PAGE / "index.html").read_bytes() == b"shown"


def test_the_same_rules_hold_for_a_bucket_and_for_memory(store: Store) -> None:
    for key in (CHUNK, f"{PAGE}index.html"):
        store.write(key, b"shown")
    store.write("raw/E1/P1/A01.tif", SECRET)
    with serve(store) as served:
        assert served.get(f"/{CHUNK}").content == b"shown"
        assert served.get(f"/{CHUNK}", range="bytes=-2").content == b"wn"
        assert served.get(f"/{PAGE}").content == b"shown"
        for target in (
            b"/images/E1/P1.zarr/../../../raw/E1/P1/A01.tif",
            b"/raw/E1/P1/A01.tif",
            b"/images/E1/P1.zarr/x",
        ):
            assert served.raw(target)[0] == 404


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/results/E 1/P1/v1-3fa9c2d4/page/", "results/E 1/P1/v1-3fa9c2d4/page/index.html"),
        ("/images/E1/P1.zarr/zarr.json", "images/E1/P1.zarr/zarr.json"),
        ("/images/E1/P1.zarr/A/1/s1/labels/Nuclei-v1+experimental-3fa9c2d4/0/c/0", "as it is"),
        ("/results/E1/P1/v1-3fa9c2d4/page", None),
        ("/results/E1/P1/page/index.html", None),
        ("/results/E1/P1/v1/page/x/index.html", None),
        ("/results/E1/P1/v1/page/index.html ", None),
        ("/results/E1/P1/v1/page/index.html\n", None),
        ("/images/E1/P1.zarr", None),
        ("/images/E1/P1.zarr/", None),
        ("/images/E1/P1.zarr/.zattrs", None),
        ("/images/E1/P1.zarr/a..b", None),
        ("/images/E1/P1.zarr/" + "x/" * 20 + "y", None),
        ("/images/E1/P1.zarr/" + "x" * 202, None),
        ("/", None),
        ("", None),
    ],
)
def test_an_address_has_a_known_form_or_shows_nothing(path: str, key: str | None) -> None:
    assert find_key(path) == (path[1:] if key == "as it is" else key)


@pytest.mark.parametrize("path", ["/login/", "/health/", "/status.json/", "/web/web.css/", "/images", "/results"])
def test_no_address_leads_to_the_host_that_a_request_names(root: Path, path: str) -> None:
    with serve(FolderStore(root), token=TOKEN) as served:
        answer = served.get(path, host="evil.example", authorization=f"Bearer {TOKEN}")
    assert answer.status_code == 404
    assert "location" not in answer.headers
