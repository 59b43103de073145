"""The pipeline's orchestration: flows, services and the command line; the only code that knows Prefect and Dask."""

__version__ = "0.1.0"
