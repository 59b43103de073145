"""AnnData files (.h5ad): features as X, metadata as obs, the dictionary of features as var.

X is written block by block into a file of AnnData's own layout; memory holds a block and the metadata of all rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from imaging.errors import ConfigurationError, MissingPartError
from imaging.export.rows import Rows, describe_feature, metadata_name, read_dictionary
from imaging.table_files import join_texts, staged, without_lists

REMEDY = "pip install 'platestream[anndata]'"
_CHUNK = (1024, 128)
_VAR = ("family", "objects", "channel", "unit", "statistic", "definition", "null_when", "source")


def require_anndata() -> Any:
    """The packages that write AnnData files.

    Raises
    ------
    MissingPartError
        If they are not installed.
    """
    try:
        import anndata.io
        import h5py
        import pandas
    except ModuleNotFoundError as error:
        raise MissingPartError(
            f"AnnData files need the package {error.name}, which is not installed: {REMEDY}"
        ) from error
    return anndata.io, h5py, pandas


def write_anndata(rows: Rows, out: Path) -> None:
    """Write rows as an AnnData file; a NULL feature is NaN in X.

    Raises
    ------
    MissingPartError
        If the package anndata is not installed.
    ConfigurationError
        If there are no features.
    StoredDataError
        If the published file is gone or damaged.
    StoreUnavailableError
        If the file cannot be written.
    """
    io, h5py, pandas = require_anndata()
    if not rows.features:
        message = f"{rows.table} holds no features, without which there is no AnnData; export it as parquet or csv"
        raise ConfigurationError(message, experiment=rows.published.experiment, plate=rows.published.plate)
    texts = without_lists(pa.schema(list(rows.schema)[: rows.n_metadata]))
    described: list[pa.Table] = []
    with staged(out) as path, h5py.File(path, "x") as file:
        shape = (rows.count, len(rows.features))
        values = file.create_dataset("X", shape, np.float32, **_packing(shape))
        values.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        start = 0
        for block in rows.blocks():
            values[start : start + block.num_rows] = _matrix(block, rows.features)
            described.append(join_texts(block.select(rows.metadata), texts))
            start += block.num_rows
        obs = _obs(pandas, pa.concat_tables([texts.empty_table(), *described]), rows.identity)
        empty: dict[str, Any] = {name: {} for name in ("layers", "obsm", "obsp", "varm", "varp")}
        for name, part in {"obs": obs, "var": _var(pandas, rows), "uns": _uns(rows), **empty}.items():
            io.write_elem(file, name, part)
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})


def _packing(shape: tuple[int, int]) -> dict[str, Any]:
    """How X is packed; what has no rows cannot be."""
    if not shape[0]:
        return {}
    chunks = tuple(min(pair) for pair in zip(shape, _CHUNK, strict=True))
    return {"chunks": chunks, "compression": "gzip", "compression_opts": 1, "shuffle": True}


def _matrix(block: pa.Table, features: list[str]) -> np.ndarray:
    """Features of a block, shape ``(n, features)``, float32; NULL is NaN."""
    values = np.empty((block.num_rows, len(features)), np.float32)
    for number, name in enumerate(features):
        values[:, number] = block[name].to_numpy()
    return values


def _obs(pandas: Any, rows: pa.Table, identity: list[str]) -> Any:
    """Metadata as a data frame whose index names each row, texts as categories (which may lack values)."""
    frame = pandas.DataFrame(index=pandas.Index(_names(rows, identity), dtype=object))
    for name in rows.column_names:
        column = rows[name]
        if pa.types.is_string(column.type):
            frame[name] = pandas.Categorical(column.to_pylist())
        elif pa.types.is_integer(column.type):
            frame[name] = pandas.array(column.to_pylist(), "Int64")
        else:
            frame[name] = column.to_numpy()
    return frame


def _names(rows: pa.Table, identity: list[str]) -> list[str]:
    """``P1_A01_1_7``: plate, well, site, cell; with ``t2`` after the well for rows of a second time point."""
    columns = [_parts(name, rows[name].to_pylist()) for name in identity]
    return ["_".join(filter(None, parts)) for parts in zip(*columns, strict=True)]


def _parts(name: str, values: list[Any]) -> list[str]:
    if name == metadata_name("time_point"):
        return [f"t{value}" if value and value > 1 else "" for value in values]
    return list(map(str, values))


def _var(pandas: Any, rows: Rows) -> Any:
    dictionary = read_dictionary(rows.published)
    said = [describe_feature(name, dictionary) for name in rows.features]
    columns = {name: pandas.Categorical([item.get(name) or None for item in said]) for name in _VAR}
    return pandas.DataFrame(columns, index=pandas.Index(rows.features, dtype=object))


def _uns(rows: Rows) -> dict[str, Any]:
    published = rows.published
    return {
        "experiment": published.experiment,
        "plate": published.plate,
        "recipe": published.recipe,
        "run": published.record["run"],
        "publication": published.number,
        "table": rows.table,
    }
