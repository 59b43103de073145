"""Every form that published plates can be exported in, and the files that it writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imaging.errors import ConfigurationError, StoreUnavailableError
from imaging.export import gallery
from imaging.export.annotated import require_anndata, write_anndata
from imaging.export.gallery import Gallery
from imaging.export.rows import WHAT, open_rows
from imaging.export.selection import Published
from imaging.export.tabular import write_csv, write_parquet

TABULAR = {"parquet": ".parquet", "csv": ".csv", "csv.gz": ".csv.gz", "anndata": ".h5ad"}
"""Forms with one file per plate and table, and the endings of their names."""
FORMS = (*TABULAR, "cpg", "xlsx")
_SHOWN = 5


@dataclass(frozen=True)
class Written:
    """A file that was written, or a folder of images: how many rows or images it has, and its size in bytes.

    ``remark`` says what is not in it, in a sentence, or is empty.
    """

    path: Path
    rows: int
    size: int
    remark: str = ""


@dataclass(frozen=True)
class Export:
    """What is exported, in which form, and where to.

    Parameters
    ----------
    form
        One of ``FORMS``.
    what
        One of ``rows.WHAT``; the forms cpg and xlsx hold profiles.
    out
        Folder that takes the files.
    gallery
        Where plates lie in the form cpg.

    Raises
    ------
    ConfigurationError
        If the form cannot hold what is asked for, or ``out`` is no folder.
    MissingPartError
        If it needs a package that is not installed.
    """

    form: str
    what: str
    out: Path
    gallery: Gallery | None = None

    def __post_init__(self) -> None:
        if self.form not in FORMS or self.what not in WHAT:
            raise ConfigurationError(f"there is no export of {self.what!r} as {self.form!r}")
        if self.form not in TABULAR and self.what != "profiles":
            raise ConfigurationError(
                f"the format {self.form} holds profiles; export {self.what} as parquet, csv or anndata"
            )
        if self.out.exists() and not self.out.is_dir():
            raise ConfigurationError(f"{self.out} is a file; give a folder")
        if self.form == "anndata":
            require_anndata()

    def files(self, published: Published) -> list[Path]:
        """Files of a plate that must not be there yet."""
        if self.form == "cpg":
            return gallery.plate_files(self._gallery, published.plate)
        return [self._file(published)]

    def write(self, published: Published) -> Iterator[Written]:
        """Write the files of a plate, one after the other, and tell of each.

        Raises
        ------
        StoredDataError
            If a published table is gone or damaged.
        StoreUnavailableError
            If a file cannot be written.
        """
        if self.form == "cpg":
            for path, rows, remark in gallery.write_plate(self._gallery, published):
                yield _written(path, rows, remark)
            return
        path = self._file(published)
        _make_folder(path.parent)
        if self.form == "xlsx":
            from imaging.export.workbook import write_workbook

            yield _written(path, write_workbook(published, path))
            return
        rows = open_rows(published, self.what)
        {"parquet": write_parquet, "anndata": write_anndata}.get(self.form, write_csv)(rows, path)
        yield _written(path, rows.count)

    @property
    def _gallery(self) -> Gallery:
        if self.gallery is None:
            raise ConfigurationError("the format cpg needs the names of project and batch")
        return self.gallery

    def _file(self, published: Published) -> Path:
        if self.form == "xlsx":
            return self.out / f"{published.plate}.xlsx"
        return self.out / self.what / f"{published.plate}{TABULAR[self.form]}"


def refuse_overwriting(export: Export, plates: Sequence[Published]) -> None:
    """Refuse an export whose files are there, before anything is written.

    Raises
    ------
    ConfigurationError
        If any is.
    """
    there = [str(path) for published in plates for path in export.files(published) if path.exists()]
    if there:
        more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
        raise ConfigurationError(
            f"these files are there already: {', '.join(there[:_SHOWN])}{more}; replace them by --force, or give "
            "another folder"
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreUnavailableError(f"the folder {folder} cannot be made: {reason}; choose another --out") from error


def _written(path: Path, rows: int, remark: str = "") -> Written:
    files = path.rglob("*") if path.is_dir() else [path]
    return Written(path, rows, sum(file.stat().st_size for file in files if file.is_file()), remark)
