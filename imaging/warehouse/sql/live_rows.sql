-- The newest row of each image or site of plates with a site that no current publication holds; verdicts are provisional.
-- rows_live stands for the table of rows as they came; where it has no channels, there is a row per site. A publication
-- holds a measurement when it counts the site's manifest.
SELECT
  live.experiment, live.plate, live.recipe, live.is_published,
  live.* EXCEPT (experiment, plate, recipe, is_published, manifest, observed_at)
FROM (
  SELECT newest.*, COALESCE(newest.manifest IN UNNEST(current_runs.manifests), FALSE) AS is_published
  FROM (
    SELECT *
    FROM rows_live
    WHERE TRUE
    QUALIFY ROW_NUMBER() OVER (
      PARTITION BY experiment, plate, recipe, well, site, COALESCE(time_point, 1), channel ORDER BY observed_at DESC
    ) = 1
  ) AS newest
  LEFT JOIN (
    SELECT experiment, plate, recipe, status, manifests
    FROM plate_runs_all
    WHERE TRUE
    QUALIFY ROW_NUMBER() OVER (PARTITION BY experiment, plate, recipe ORDER BY number DESC, loaded_at) = 1
  ) AS current_runs
    ON newest.experiment = current_runs.experiment
    AND newest.plate = current_runs.plate
    AND newest.recipe = current_runs.recipe
  WHERE COALESCE(current_runs.status, '') <> 'withdrawn'
) AS live
WHERE TRUE
QUALIFY MIN(CAST(live.is_published AS INT64)) OVER (PARTITION BY live.experiment, live.plate, live.recipe) = 0
