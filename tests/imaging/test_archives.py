"""Archives read in place: members of every packer, and every member and archive that is refused."""

from __future__ import annotations

import gc
import io
import struct
import tarfile
import weakref
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from imaging.errors import UnreadableImageError
from imaging.folders import StoredFolder
from imaging.formats.archives import open_archives, read_through_archives
from imaging.formats.cellomics import CELLOMICS
from imaging.formats.cellvoyager import CELLVOYAGER
from imaging.formats.inside import open_pages, open_source, parse_inside, read_plane
from imaging.formats.members import MAX_MEMBERS
from imaging.formats.ome_zarr import OME_ZARR
from imaging.store import open_store
from tests.imaging.small_uploads import reasons, upload
from tests.odd_files import picture, tarred, tiff, zipped

NAMES = ["P_1_B03f00d0.TIF", "sub/P_1_B03f01d0.TIF", "Ω_B04f00d0.TIF", f"{'n' * 300}_B05f00d0.TIF"]
MEMBERS = {name: tiff(picture()) for name in NAMES}


def refused(files: dict[str, bytes]) -> dict[str, str]:
    objects, folder = upload(files)
    return {p.name: p.reason for p in open_archives(objects, folder).passed_over if p.kind == "unknown"}


def changed(data: bytes, mark: bytes, place: int, value: bytes) -> bytes:
    """Put bytes at a place behind each mark."""
    changed = bytearray(data)
    start = changed.find(mark)
    while start >= 0:
        changed[start + place : start + place + len(value)] = value
        start = changed.find(mark, start + 1)
    return bytes(changed)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.zip", zipped(MEMBERS)),
        ("A.ZIP", zipped(MEMBERS, zipfile.ZIP_DEFLATED)),
        ("a.tar", tarred(MEMBERS)),
        ("gnu.tar", tarred(MEMBERS, form=tarfile.GNU_FORMAT)),
        ("commented.zip", zipped(MEMBERS)[:-2] + struct.pack("<H", 5) + b"words"),
    ],
)
def test_members_are_images_like_any_other(name: str, data: bytes) -> None:
    beside = {"P_1_A01f00d0.TIF": tiff(picture())}
    objects, folder = upload({name: data} | beside)
    delivery = read_through_archives(CELLOMICS, objects, folder)
    found = {plane.item.key: plane for plane in delivery.planes}
    assert set(found) == {f"{name}/{member}" for member in MEMBERS} | set(beside)
    assert found["P_1_A01f00d0.TIF"].inside == ""
    for member in MEMBERS:
        plane = found[f"{name}/{member}"]
        assert parse_inside(plane.inside).member == member
        assert plane.item.size == len(MEMBERS[member])
        pixels, *_ = read_plane(folder.store, plane.item.key, token=plane.item.token, inside=plane.inside)
        assert (pixels == picture()).all()
    assert reasons(delivery, "ignored") == {name: "an archive, whose members are read in place"}
    assert reasons(delivery, "unknown") == {}


def test_a_zip_in_the_form_for_more_than_4_gb_is_read(tmp_path: Path) -> None:
    whole = zipped({"P_1_B03f00d0.TIF": tiff(picture())})
    start = whole.rindex(b"PK\1\2")
    name = b"P_1_B03f00d0.TIF"
    size = struct.unpack_from("<L", whole, start + 24)[0]
    wide = struct.pack("<2H3Q", 1, 24, size, size, 0)
    entry = bytearray(whole[start : start + 46])
    entry[20:28] = b"\xff" * 8
    entry[30:32] = struct.pack("<H", len(wide))
    entry[42:46] = b"\xff" * 4
    table = bytes(entry) + name + wide
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(table), start)
    finder = struct.pack("<4sLQL", b"PK\6\7", 0, start + len(table), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    (tmp_path / "a.zip").write_bytes(whole[:start] + table + end64 + finder + end)
    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == [name.decode()]
    store = open_store(str(tmp_path))
    delivery = read_through_archives(CELLOMICS, store.list("").objects, StoredFolder(store, ""))
    (plane,) = delivery.planes
    assert (read_plane(store, plane.item.key, token=plane.item.token, inside=plane.inside)[0] == picture()).all()


def test_names_that_could_leave_the_folder_are_refused() -> None:
    names = ["../B03.tif", "/etc/B03.tif", "C:/B03.tif", "a/../B03.tif", "a//b.tif", "a\nb.tif", "in.zip", "in.tar.gz"]
    found = refused({"a.zip": zipped(dict.fromkeys([*names, f"{'x' * 1_100}.tif"], b"x"))})
    assert list(found.values()) == [
        "its name leads out of the folder (..)",
        "its name is an absolute path, which could lead out of the folder",
        "its name is an absolute path, which could lead out of the folder",
        "its name leads out of the folder (..)",
        "its name is no plain path",
        "its name has a control character; rename the file and pack it again",
        "it is an archive inside an archive, which is not read; unpack it once",
        "it is an archive inside an archive, which is not read; unpack it once",
        "its name has more than 1,024 bytes",
    ]
    assert "a.zip/a\\nb.tif" in found
    assert all(len(name) < 400 for name in found)


def test_links_and_devices_are_refused() -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo(f"kind {kind.decode()}")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    link = zipfile.ZipInfo("link.tif")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert refused({"a.tar": file.getvalue(), "b.zip": packed.getvalue()}) == {
        "a.tar/kind 1": "it is a link, which is not followed; pack the file itself",
        "a.tar/kind 2": "it is a link, which is not followed; pack the file itself",
        "a.tar/kind 3": "it is no regular file",
        "b.zip/link.tif": "it is a link, which is not followed; pack the file itself",
    }


def test_encrypted_and_oddly_packed_members_are_refused() -> None:
    whole = zipped({"a.tif": b"x" * 100})
    assert refused({"a.zip": changed(whole, b"PK\1\2", 8, b"\1\0")}) == {
        "a.zip/a.tif": "it is encrypted; pack it again without a password"
    }
    assert refused({"a.zip": zipped({"a.tif": b"x" * 100}, zipfile.ZIP_LZMA)}) == {
        "a.zip/a.tif": "its packing method 14 is not read; use none or deflate"
    }


def test_a_second_member_of_one_name_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.tif", b"first")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.tif", b"second")
    objects, folder = upload({"a.zip": file.getvalue()})
    opened = open_archives(objects, folder)
    assert [item.size for item in opened.objects] == [5]
    assert opened.passed_over[0].reason == "it is a second member of this name; the first one is taken"


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (24, 200 << 20, "it claims 209,715,200 bytes packed in 1"),
        (24, 1 << 30, "it has 1,073,741,824 bytes unpacked; 314,572,800 are the limit, so pack it without compression"),
        (24, (1 << 30) + 1, "it has 1,073,741,825 bytes unpacked; 1,073,741,824 are the limit"),
        (20, 1 << 20, "the archive is cut off: the member reaches beyond its end"),
    ],
)
def test_sizes_that_cannot_be_true_are_refused(place: int, value: int, words: str) -> None:
    whole = zipped({"a.tif": bytes(range(100))}, zipfile.ZIP_DEFLATED)
    (reason,) = refused({"a.zip": changed(whole, b"PK\1\2", place, struct.pack("<L", value))}).values()
    assert words in reason


def test_a_member_of_two_sizes_is_refused() -> None:
    whole = changed(zipped({"a.tif": b"x" * 100}), b"PK\1\2", 24, struct.pack("<L", 99))
    assert list(refused({"a.zip": whole}).values()) == ["its header is damaged: it is not packed and has two sizes"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_that_is_damaged_is_at_fault_alone(method: int) -> None:
    data = tiff(picture(), compression="zlib")
    whole = bytearray(zipped({"P_1_B03f00d0.TIF": data, "P_1_B03f01d0.TIF": data}, method))
    whole[len(whole) // 4] ^= 0x55
    objects, folder = upload({"a.zip": bytes(whole)})
    first, second = read_through_archives(CELLOMICS, objects, folder).planes
    with pytest.raises(ValueError, match="damaged"):
        read_plane(folder.store, first.item.key, token=first.item.token, inside=first.inside)
    assert read_plane(folder.store, second.item.key, token=second.item.token, inside=second.inside)[0].any()


def test_a_deflated_member_whose_header_is_read_is_not_unpacked_whole() -> None:
    zeros = bytes(64 << 20)
    objects, folder = upload({"a.zip": zipped({"a.ome.tif": zeros + bytes(range(256)) * 40_000}, zipfile.ZIP_DEFLATED)})
    opened = open_archives(objects, folder)
    (place,) = opened.places.values()
    source = open_source(folder, "a.zip/a.ome.tif", objects[0].token, place, 0)
    before = folder.bytes_read["a.zip"]
    assert bytes(source.read(8, 16)) == bytes(16)
    assert folder.bytes_read["a.zip"] - before <= 1 << 20


@pytest.mark.parametrize("more", [7, 140, 256])
def test_a_dark_plane_a_little_longer_than_the_pieces_it_is_unpacked_in_is_whole(more: int) -> None:
    dark = b"II" + bytes((8 << 20) + more - 2)
    objects, folder = upload({"a.zip": zipped({"a.tif": dark}, zipfile.ZIP_DEFLATED)})
    (where,) = open_archives(objects, folder).places.values()
    source = open_source(folder, "a.zip/a.tif", objects[0].token, where, 0)
    assert bytes(source.read(0, source.size)) == dark


def test_what_lies_behind_the_end_of_a_deflated_member_is_not_read() -> None:
    stored = zlib.compressobj(wbits=-15)
    data = stored.compress(b"short") + stored.flush()
    padded = zipped({"a.tif": data + bytes(32 << 20)}, zipfile.ZIP_STORED)
    for mark, place in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        padded = changed(padded, mark, place, struct.pack("<H", 8))  # the method: deflated
    for mark, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        padded = changed(padded, mark, place, struct.pack("<L", 32 << 20))
    objects, folder = upload({"a.zip": padded})
    (where,) = open_archives(objects, folder).places.values()
    source = open_source(folder, "a.zip/a.tif", objects[0].token, where, 0)
    before = folder.bytes_read["a.zip"]
    with pytest.raises(UnreadableImageError, match="does not unpack to the 33,554,432 bytes it should"):
        source.read(0, source.size)
    assert folder.bytes_read["a.zip"] - before <= 3 << 20


def test_pax_records_are_read_by_their_lengths_and_sparse_files_are_refused() -> None:
    info = tarfile.TarInfo("P_1_B03f00d0.TIF")
    info.size, info.pax_headers = 3, {"comment": "any\n12 size=9999\n", "SCHILY.xattr.user.size": "77", "path": "é.TIF"}
    sparse = tarfile.TarInfo("GNUSparseFile.0/P_1_B03f01d0.TIF")
    sparse.size, sparse.pax_headers = 512, {"GNU.sparse.major": "1", "GNU.sparse.realsize": "1000000"}
    last = tarfile.TarInfo("P_1_B03f02d0.TIF")
    last.size = 2
    entries = ((info, b"abc"), (sparse, b"1\n0\n0\n"), (last, b"xy"))
    whole = b"".join(entry.tobuf(tarfile.PAX_FORMAT) + data.ljust(512, b"\0") for entry, data in entries)
    objects, folder = upload({"a.tar": whole + bytes(1024)})
    opened = open_archives(objects, folder)
    assert [(item.key, item.size) for item in opened.objects] == [("a.tar/é.TIF", 3), ("a.tar/P_1_B03f02d0.TIF", 2)]
    assert [p.reason for p in opened.passed_over if p.kind == "unknown"] == [
        "it is packed as a sparse file, which is not read"
    ]


def test_members_behind_a_sparse_file_with_many_holes_are_found() -> None:
    sparse = bytearray(tarfile.TarInfo("sparse.TIF").tobuf(tarfile.GNU_FORMAT))
    sparse[156:157], sparse[124:135], sparse[482] = b"S", b"00000001000", 1
    sparse[148:156] = b" " * 8
    sparse[148:155] = b"%06o\0" % sum(sparse)
    maps = bytearray(1024)
    maps[504] = 1
    whole = bytes(sparse) + bytes(maps) + bytes(512) + tarred({"P_1_B03f02d0.TIF": b"xy"})
    objects, folder = upload({"a.tar": whole})
    assert [item.key for item in open_archives(objects, folder).objects] == ["a.tar/P_1_B03f02d0.TIF"]


def test_a_tar_of_nothing_but_records_of_names_is_refused() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type = tarfile.GNUTYPE_LONGNAME
    assert "more than 16 records" in refused({"a.tar": info.tobuf(tarfile.GNU_FORMAT) * 100})["a.tar"]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.zip", b"PK\3\4 cut off", "its table of contents at the end is missing"),
        ("a.zip", b"", "its table of contents at the end is missing"),
        ("a.zip", struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, 500, 0, 0), "reaches beyond its end"),
        ("a.tar", bytes(range(256)) * 4, "no plain .tar"),
        ("a.tar", tarred({"a": b"x"})[:300], "cut off at byte 0"),
        ("a.tar.gz", b"\x1f\x8b", "a compressed archive cannot be read in place; upload a .zip"),
        ("a.7z", b"7z", "a compressed archive cannot be read in place"),
    ],
)
def test_an_archive_that_cannot_be_read_says_why(name: str, data: bytes, words: str) -> None:
    found = refused({name: data})
    assert list(found) == [name]
    assert words in found[name]


def test_a_tar_that_is_cut_off_gives_the_members_before_the_cut() -> None:
    whole = tarred({"P_1_B03f00d0.TIF": bytes(3_000), "P_1_B03f01d0.TIF": bytes(3_000), "P_1_B03f02d0.TIF": b"x"})
    objects, folder = upload({"a.tar": whole[:6_000]})
    delivery = read_through_archives(CELLOMICS, objects, folder)
    assert [plane.item.key for plane in delivery.planes] == ["a.tar/P_1_B03f00d0.TIF"]
    assert any("cut off" in reason for reason in reasons(delivery, "unknown").values())


def test_a_tar_that_is_damaged_behind_an_odd_name_is_told_on_one_line() -> None:
    info = tarfile.TarInfo("a\nb.tif")
    info.size = 1
    damaged = info.tobuf(tarfile.USTAR_FORMAT) + b"x".ljust(512, b"\0") + b"damage" * 100
    assert "a.tar/(what follows a\\nb.tif)" in refused({"a.tar": damaged})


def test_too_many_members_are_refused() -> None:
    whole = zipped({"a": b""})
    start = struct.unpack_from("<L", whole, len(whole) - 6)[0]
    table = whole[start:-22] * (MAX_MEMBERS + 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(table), start, 0)
    assert list(refused({"a.zip": whole[:start] + table + end}).values()) == [
        f"the archive has more than {MAX_MEMBERS:,} members, which is the limit"
    ]


def test_a_table_of_contents_that_says_another_number_is_refused() -> None:
    whole = changed(zipped({"a": b"x", "b": b"x"}), b"PK\5\6", 10, struct.pack("<H", 3))
    assert "has 2 of 3 members" in refused({"a.zip": whole})["a.zip"]


def test_a_tar_with_a_huge_name_record_is_refused() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
    assert "a name of 8,589,934,592 bytes" in refused({"a.tar": info.tobuf(tarfile.GNU_FORMAT) + bytes(2_000)})["a.tar"]


def test_an_archive_is_listed_once_per_version() -> None:
    objects, folder = upload({"a.zip": zipped(MEMBERS)})
    open_archives(objects, folder)
    read_once = folder.calls["a.zip"]
    open_archives(objects, folder)
    assert folder.calls["a.zip"] == read_once


def test_a_manifest_in_an_archive_is_read() -> None:
    name = "P_B03_T0001F001L01A01Z01C01.tif"
    mlf = (
        '<b:MeasurementData xmlns:b="u"><b:MeasurementRecord b:Type="IMG" b:Row="2" b:Column="3" b:FieldIndex="1" '
        f'b:ZIndex="1" b:TimePoint="1" b:Ch="1">{name}</b:MeasurementRecord></b:MeasurementData>'
    )
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        objects, folder = upload({"m.zip": zipped({f"d/{name}": b"x", "d/MeasurementData.mlf": mlf.encode()}, method)})
        delivery = read_through_archives(CELLVOYAGER, objects, folder)
        assert delivery.told.expected == {plane.address for plane in delivery.planes}
        assert delivery.told.manifests == ("m.zip/d/MeasurementData.mlf",)


def test_a_zarr_in_an_archive_is_refused_in_one_sentence() -> None:
    image = b'{"multiscales": [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}]}'
    array = (
        b'{"zarr_format": 2, "shape": [4, 4], "chunks": [4, 4], "dtype": "<u2", "compressor": null, "filters": null}'
    )
    members = {"B03.zarr/.zattrs": image, "B03.zarr/0/.zarray": array, "B03.zarr/0/0.0": bytes(32)}
    objects, folder = upload({"m.zip": zipped(members)})
    delivery = read_through_archives(OME_ZARR, objects, folder)
    assert delivery.planes == ()
    assert reasons(delivery, "unknown") == {"m.zip/B03.zarr": "a Zarr inside an archive is not read; unpack it"}


def test_of_the_members_whose_pages_are_read_few_stay_unpacked_in_memory() -> None:
    stacks = {f"{number}.ome.tif": tiff(np.stack([picture()] * 2)) for number in range(6)}
    objects, folder = upload({"a.zip": zipped(stacks, zipfile.ZIP_DEFLATED)})
    kept = []
    for name, where in open_archives(objects, folder).places.items():
        pages = open_pages(folder, name, objects[0].token, where, 0)
        kept.append(weakref.ref(pages))
        assert pages.layout(2).height == 64
        assert open_pages(folder, name, objects[0].token, where, 0) is pages
        del pages
    gc.collect()
    assert sum(pages() is not None for pages in kept) <= 2
