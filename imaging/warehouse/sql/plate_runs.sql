-- Publications whose rows are all here, each once; the one with the highest number of a plate is current, and the
-- acquisition that was chosen of a barcode's.
SELECT
  runs.* EXCEPT (measured_until, manifests, loaded_at),
  runs.number = MAX(runs.number) OVER (PARTITION BY runs.experiment, runs.plate, runs.recipe) AS is_current,
  COALESCE(decided.is_chosen, TRUE) AS is_current_acquisition,
  runs.recipe LIKE '%+experimental-%' AS is_experimental
FROM (
  SELECT *
  FROM plate_runs_all
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY experiment, plate, recipe, number ORDER BY loaded_at) = 1
) AS runs
LEFT JOIN acquisition_decisions AS decided
  ON runs.experiment = decided.experiment
  AND runs.plate = decided.plate
  AND COALESCE(runs.barcode, runs.plate) = decided.barcode
