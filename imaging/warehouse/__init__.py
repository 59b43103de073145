"""The warehouse: publications and plates in progress as tables of a BigQuery dataset, a projection of the store.

    connection     a dataset, questions to it, and Google's errors in our words
    jobs           load and query jobs under names of their own: whoever repeats one finds it
    schemas        the tables, made and widened from ``imaging.tables``
    views          the views, under the names they have on DuckDB
    sheets         published Parquet files, held against the rules before a job is made of them
    fingerprints   counts and sums of a run's rows, computed alike from Parquet and by BigQuery
    rows           the rows of one table of a publication or an analysis, there once
    publications   what is published and not yet loaded, and loading it
    analyses       the same of analyses, and which recipe counts
    live           rows of plates in progress
    rounds         all plates again and again

Publications are the truth: each can be loaded by anybody, at any time, again. The row in ``plate_runs_all`` comes
last, when the run's rows are counted and compared, and every view joins it: what is half loaded or doubled is not seen.
"""
