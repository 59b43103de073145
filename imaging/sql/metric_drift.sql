-- One row per published plate, time point, channel and metric, for charts over plates in the order of their first
-- publication.
SELECT
  plate_metrics.experiment,
  plate_metrics.plate,
  plate_metrics.recipe,
  plate_metrics.time_point,
  first_runs.first_published_at,
  plate_metrics.channel,
  plate_metrics.metric,
  plate_metrics.n_wells,
  plate_metrics.median,
  plate_metrics.robust_sd,
  plate_metrics.median - LAG(plate_metrics.median) OVER (
    PARTITION BY plate_metrics.experiment, plate_metrics.recipe, plate_metrics.time_point, plate_metrics.channel,
      plate_metrics.metric
    ORDER BY first_runs.first_published_at, plate_metrics.plate
  ) AS change_from_previous,
  plate_metrics.history_plates,
  plate_metrics.history_median,
  plate_metrics.history_robust_sd,
  plate_metrics.robust_z,
  plates.verdict AS plate_verdict
FROM plate_metrics
INNER JOIN (
  SELECT experiment, plate, recipe, MIN(published_at) AS first_published_at
  FROM plate_runs
  GROUP BY experiment, plate, recipe
) AS first_runs
  ON plate_metrics.experiment = first_runs.experiment
  AND plate_metrics.plate = first_runs.plate
  AND plate_metrics.recipe = first_runs.recipe
INNER JOIN plates
  ON plate_metrics.experiment = plates.experiment
  AND plate_metrics.plate = plates.plate
  AND plate_metrics.recipe = plates.recipe
