-- Rows of the current publications of current acquisitions; rows_all stands for the table of all publications.
SELECT item.*
FROM rows_all AS item
INNER JOIN plate_runs
  ON item.experiment = plate_runs.experiment
  AND item.plate = plate_runs.plate
  AND item.recipe = plate_runs.recipe
  AND item.run = plate_runs.run
WHERE plate_runs.is_current AND plate_runs.status <> 'withdrawn' AND plate_runs.is_current_acquisition
