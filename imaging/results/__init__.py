"""Results for those who compute with them: every table as frames of Arrow, pandas, Polars and Dask.

    entry           `imaging.open_results`: which table, experiment, plate and recipe
    frames          rows of a table in the form of a library
    published       rows straight from the Parquet files of publications, a row group at a time
    sources         one such file, its columns as they are declared today
    aggregation     statistics of cells per well, or per anything else, without holding the cells
    dask_frames     frames larger than memory; the only module of this package that knows Dask

Which publication of a plate counts is decided by ``imaging.export.selection``, as for exports and views.
"""
