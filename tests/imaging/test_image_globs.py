"""Which files are which channel, and which belong together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imaging.errors import ConfigurationError
from imaging.image_globs import pair_files
from tests.parts import require


def problems(names: list[str], **globs: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        pair_files(names, globs)
    return caught.value.problems


def keys(names: list[str], glob: str) -> list[str]:
    return list(pair_files(names, {"DNA": glob}))


def test_files_pair_by_what_the_star_matches() -> None:
    names = ["A01_w1.tif", "A01_w2.tif", "A02_w1.tif", "A02_w2.tif", "notes.txt"]
    assert pair_files(names, {"RNA": "*_w2.tif", "DNA": "*_w1.tif"}) == {
        "A01": {"RNA": "A01_w2.tif", "DNA": "A01_w1.tif"},
        "A02": {"RNA": "A02_w2.tif", "DNA": "A02_w1.tif"},
    }


def test_a_set_may_lack_a_channel() -> None:
    names = ["A01_w1.tif", "A01_w2.tif", "A02_w1.tif"]
    assert pair_files(names, {"DNA": "*_w1.tif", "RNA": "*_w2.tif"})["A02"] == {"DNA": "A02_w1.tif"}


def test_sets_come_in_natural_order() -> None:
    assert keys(["A10.tif", "A2.tif", "A1.tif", "B1.tif", "a.tif"], "*.tif") == ["A1", "A2", "A10", "B1", "a"]


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*.tif", ["b1"]),
        ("b?.tif", ["1"]),
        ("*/*.tif", ["s/b1", "s/b2"]),
        ("./s/*.tif", ["b1", "b2"]),
        ("**/*.tif", ["b1", "s/b1", "s/b2", "s/u/b3"]),
        ("**/u/*.tif", ["s/b3"]),
        ("s/**", ["b1.tif", "b2.tif", "u/b3.tif"]),
        ("s/**/b*.tif", ["1", "2", "u/3"]),
        ("s**/b*", ["1.tif", "2.tif"]),
        ("s/b[13-9]*", [".tif"]),
        ("s/b[!1].*", ["tif"]),
        ("s/b[^1].*", ["tif"]),
    ],
)
def test_wildcards_mean_what_they_mean_in_a_shell(glob: str, expected: list[str]) -> None:
    names = ["b1.tif", "s/b1.tif", "s/b2.tif", "s/u/b3.tif"]
    assert keys(names, glob) == expected


def test_a_question_mark_is_one_character() -> None:
    assert keys(["a1.tif", "a10.tif", "a.tif"], "a?.tif") == ["1"]
    assert keys(["a1.tif", "a10.tif", "a.tif"], "a??.tif") == ["10"]
    assert keys(["a1.tif", "a10.tif", "a.tif"], "a?*.tif") == ["1", "10"]


@pytest.mark.parametrize("glob", [".", "./", "x//"])
def test_a_glob_of_a_folder_alone_matches_nothing(glob: str) -> None:
    (problem,) = problems(["a.tif"], DNA=glob)
    assert problem.startswith(f"DNA={glob} matches none of 1 files; ")


@pytest.mark.parametrize("name", ["a[1].tif", "a+(b).tif", "a]b.tif", "a\\d.tif", "a&&b.tif", "[].tif", "a\nb.tif"])
def test_other_characters_mean_themselves(name: str) -> None:
    literal = name.replace("[1]", "[[]1]").replace("a]b", "a[]]b")
    assert pair_files([name, "other.tif"], {"DNA": literal}) == {"": {"DNA": name}}


@pytest.mark.parametrize("glob", ["a[&&]b.tif", "a[+--]b.tif", "a[[]b.tif", "a[\\d]b.tif", "a[]]b.tif", "a[~||]b.tif"])
def test_what_stands_in_brackets_is_no_expression(glob: str) -> None:
    assert problems(["a5b.tif"], DNA=glob)


def test_brackets_match_no_slash() -> None:
    assert problems(["a/b.tif"], DNA="a[!x]b.tif")


def test_hidden_files_are_passed_over() -> None:
    assert keys(["a.tif", "._a.tif", ".trash/b.tif"], "**/*.tif") == ["a"]


def test_identifiers_of_files_are_no_part_of_a_set() -> None:
    names = [
        "P_B03_s1_w1E94C24BD-45E4-450A-9919-257C714278F7.tif",
        "P_B03_s1_w2B14915F6-0679-4494-82D1-F80894B32A66.tif",
    ]
    expected = {"P_B03_s1": {"DNA": names[0], "RNA": names[1]}}
    assert pair_files(names, {"DNA": "*_w1*.tif", "RNA": "*_w2*.tif"}) == expected
    assert pair_files(names, {"DNA": "*_w1[!_]*.tif", "RNA": "*_w2[!_]*.tif"}) == expected


def test_a_folder_of_a_real_instrument_pairs() -> None:
    folder = Path(require("shared")) / "data" / "imagexpress_metaxpress" / "ImageXpress" / "Projection-Mix"
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.tif")]
    globs = {"DNA": "**/Projection-Mix_*_w1[!_]*.tif", "RNA": "**/Projection-Mix_*_w2[!_]*.tif"}
    found = pair_files(names, globs)
    places = ["2023-02-21/1334", "2023-02-21/1334/ZStep_1"]
    assert list(found) == [f"{place}/E07_{site}" for place in places for site in ("s1", "s2")]
    assert all(f"_{key[-2:]}_w1" in files["DNA"] and f"_{key[-2:]}_w2" in files["RNA"] for key, files in found.items())


def test_a_glob_without_a_match_says_what_comes_closest() -> None:
    names = ["plate_A01_w1.TIF", "plate_A01_w2.TIF", "notes.txt"]
    assert problems(names, DNA="*_w1.tif", RNA="*_v2.TIF") == (
        "DNA=*_w1.tif matches none of 3 files; with other capital letters it would match plate_A01_w1.TIF",
        "RNA=*_v2.TIF matches none of 3 files; the closest are plate_A01_w2.TIF, plate_A01_w1.TIF, notes.txt",
    )
    assert problems(["only.txt"], DNA="x*.tif") == ("DNA=x*.tif matches none of 1 files; the closest is only.txt",)
    assert problems(["s/a.tif"], DNA="*.tif") == ("DNA=*.tif matches none of 1 files; **/*.tif would match s/a.tif",)
    assert problems([".hidden"], DNA="*") == ("DNA=* matches none of 0 files",)


def test_two_files_for_one_channel_of_a_set_are_refused() -> None:
    (problem,) = problems(["a1.tif", "a2.tif", "b1.tif", "b2.tif"], DNA="*[12].tif")
    assert problem.startswith("a1.tif and a2.tif are both DNA of the image set 'a'; make the glob *[12].tif narrower")
    assert problem.endswith("(and 1 more)")


def test_one_file_for_two_channels_is_refused() -> None:
    assert problems(["a.tif", "b.tif"], DNA="*.tif", RNA="a*") == (
        "a.tif is DNA as well as RNA; make one glob narrower",
    )


def test_channels_that_never_meet_are_refused() -> None:
    (problem,) = problems(["a_w1.tif", "b_w2.tif"], DNA="*_w1.tif", RNA="*_w2.tif")
    assert problem.startswith("no two channels have an image set in common (DNA a_w1.tif, RNA b_w2.tif)")


@pytest.mark.parametrize("glob", ["/data/*.tif", "../*.tif", "a/../*.tif"])
def test_a_glob_stays_inside_the_folder(glob: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"DNA={glob}: a glob is a path inside IMAGES")):
        pair_files(["a.tif"], {"DNA": glob})


def test_a_range_that_runs_backwards_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"DNA=\[z-a\]: the glob cannot be read: bad character range z-a"):
        pair_files(["a.tif"], {"DNA": "[z-a]"})
