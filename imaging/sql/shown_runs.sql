-- The publications whose rows the tables show: the current ones of current acquisitions that are neither withdrawn nor
-- experimental. Where a recipe of the experiment was promoted, one per plate: that of the recipe which was promoted last
-- among those that the plate has; shown_instead_of then names the promoted recipe that it lacks.
SELECT
  ranked.experiment,
  ranked.plate,
  ranked.recipe,
  ranked.run,
  ranked.number,
  ranked.status,
  ranked.published_at,
  ranked.recipe = ranked.promoted AS is_promoted,
  CASE WHEN ranked.recipe <> ranked.promoted THEN ranked.promoted END AS shown_instead_of
FROM (
  SELECT
    plate_runs.experiment, plate_runs.plate, plate_runs.recipe, plate_runs.run, plate_runs.number, plate_runs.status,
    plate_runs.published_at, latest.recipe AS promoted,
    ROW_NUMBER() OVER (
      PARTITION BY plate_runs.experiment, plate_runs.plate
      ORDER BY COALESCE(known.number, -1) DESC, plate_runs.published_at DESC, plate_runs.recipe
    ) AS choice
  FROM plate_runs
  LEFT JOIN (
    SELECT experiment, recipe FROM promotions WHERE is_current
  ) AS latest
    ON plate_runs.experiment = latest.experiment
  LEFT JOIN (
    SELECT experiment, recipe, MAX(number) AS number
    FROM (
      SELECT experiment, recipe, number FROM promotions
      UNION ALL
      SELECT experiment, instead_of AS recipe, number - 1 AS number FROM promotions
    ) AS promoted_or_replaced
    GROUP BY experiment, recipe
  ) AS known
    ON plate_runs.experiment = known.experiment
    AND plate_runs.recipe = known.recipe
  WHERE plate_runs.is_current AND plate_runs.is_current_acquisition AND plate_runs.status <> 'withdrawn'
    AND NOT plate_runs.is_experimental
) AS ranked
WHERE ranked.promoted IS NULL OR ranked.choice = 1
