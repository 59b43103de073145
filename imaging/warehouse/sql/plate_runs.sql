-- Publications whose rows are all here, each once; the one with the highest number of a plate is current.
SELECT
  runs.* EXCEPT (measured_until, manifests, loaded_at),
  runs.number = MAX(runs.number) OVER (PARTITION BY runs.experiment, runs.plate, runs.recipe) AS is_current,
  runs.recipe LIKE '%+experimental-%' AS is_experimental
FROM (
  SELECT *
  FROM plate_runs_all
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY experiment, plate, recipe, number ORDER BY loaded_at) = 1
) AS runs
