"""Published plates as files for other programs: one module for each form that they can have.

    selection              which publication of each plate
    rows                   its tables under CellProfiler's names, block by block
    tabular                Parquet and CSV
    annotated              AnnData (.h5ad)
    gallery                folders as in the Cell Painting Gallery
    workbook               Excel sheets
    forms                  all of these by name, and the files that they write

No form holds the cells of a plate in memory. A file is there when it is whole.
"""
