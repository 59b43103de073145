-- Rows of the publications that are shown; rows_all stands for the table of all publications.
SELECT item.*
FROM rows_all AS item
INNER JOIN shown_runs
  ON item.experiment = shown_runs.experiment
  AND item.plate = shown_runs.plate
  AND item.recipe = shown_runs.recipe
  AND item.run = shown_runs.run
