"""Plates as AnnData files, read back by AnnData itself."""

from __future__ import annotations

import sys

import anndata
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imaging.errors import ConfigurationError, MissingPartError
from imaging.export.forms import Export
from tests.imaging import small_screen
from tests.imaging.small_export import export, published
from tests.imaging.small_screen import AREA, RATIO


def test_cells_are_read_back_by_anndata(store, tmp_path):
    (written,) = export(published(store), "anndata", tmp_path, "cells")
    read = anndata.read_h5ad(written.path)
    assert written.path == tmp_path / "cells" / "P1.h5ad"
    assert read.shape == (written.rows, 2) == (36, 2)
    assert read.X.dtype == np.float32
    assert list(read.var_names) == [AREA, RATIO]
    assert list(read.obs_names[:4]) == ["P1_A01_1_1", "P1_A01_1_2", "P1_A01_1_3", "P1_A01_2_1"]
    assert read.obs_names.is_unique
    np.testing.assert_array_equal(np.asarray(read.X)[:2], np.array([[111, np.nan], [112, 1.5]], np.float32))
    row = read.obs.iloc[-1]
    assert (row["Metadata_Well"], row["Metadata_Site"], row["Metadata_ObjectNumber"]) == ("B03", 2, 3)
    assert row["Metadata_control"] == "empty"
    assert read.obs["Metadata_treatment"].isna().sum() == 6
    assert read.uns["run"] == "run1"
    assert (read.uns["plate"], read.uns["table"], read.uns["publication"]) == ("P1", "cells", 1)


def test_features_are_described_as_in_their_dictionary(folder_store, tmp_path):
    (written,) = export(published(folder_store), "anndata", tmp_path)
    var = anndata.read_h5ad(written.path).var
    assert var.loc[AREA, "definition"] == "number of pixels of the nucleus"
    assert var.loc[[RATIO], ["family", "objects", "channel"]].values.tolist() == [["Intensity", "Cells", "RNA"]]
    assert var["channel"].isna().tolist() == [True, False]


def test_a_statistic_of_the_cells_is_told_from_their_median(folder_store, tmp_path):
    yaml = small_screen.YAML.replace(b"analysis:\n", b"analysis:\n  wells: [median, mad]\n")
    (written,) = export(published(folder_store, experiment=small_screen.experiment(yaml)), "anndata", tmp_path)
    var = anndata.read_h5ad(written.path).var
    assert var.loc[f"MAD_{AREA}", "statistic"] == "mad"
    assert var.loc[AREA, "unit"] == var.loc[f"MAD_{AREA}", "unit"] == "px"


def test_files_can_be_used_without_being_read_whole(folder_store, tmp_path):
    (written,) = export(published(folder_store), "anndata", tmp_path)
    backed = anndata.read_h5ad(written.path, backed="r")
    assert isinstance(backed.file._file["X"], h5py.Dataset)
    assert np.asarray(backed[backed.obs["Metadata_Well"] == "A03"].X)[0, 0] == 317
    backed.file.close()


def test_rows_of_a_second_time_point_have_names_of_their_own(folder_store, tmp_path):
    chosen = published(folder_store)
    cells = folder_store.local_path(chosen.key("cells"))
    rows = pq.read_table(cells)
    place = rows.column_names.index("time_point")
    later = rows.set_column(place, "time_point", pa.array([2] * rows.num_rows))
    pq.write_table(pa.concat_tables([rows, later]), cells)
    (written,) = export(chosen, "anndata", tmp_path, "cells")
    names = anndata.read_h5ad(written.path).obs_names
    assert names.is_unique
    assert (names[0], names[36]) == ("P1_A01_1_1", "P1_A01_t2_1_1")


def test_a_plate_with_no_cell_is_an_empty_file(folder_store, tmp_path):
    empty = tuple({**item, "counts": {"Nuclei": 0, "Cells": 0}} for item in small_screen.manifests())
    (written,) = export(published(folder_store, manifests=empty), "anndata", tmp_path, "cells")
    assert anndata.read_h5ad(written.path).shape == (0, 2)


def test_rows_without_features_are_refused(folder_store, tmp_path):
    chosen = published(folder_store, feature_descriptions=[], manifests=())
    with pytest.raises(ConfigurationError, match="wells holds no features, without which") as caught:
        export(chosen, "anndata", tmp_path)
    assert caught.value.plate == "P1"
    assert list((tmp_path / "profiles").iterdir()) == []


def test_a_missing_package_is_named_before_anything_is_written(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "anndata", None)
    monkeypatch.delitem(sys.modules, "anndata.io", raising=False)
    with pytest.raises(MissingPartError, match=r"pip install 'platestream\[anndata\]'"):
        Export("anndata", "profiles", tmp_path)
