-- One row per published plate, time point and feature of the declared statistics, in the order of the plates' first
-- publication: how well the controls are separated, and how much each of them varies (CV: standard deviation over
-- mean, in %).
SELECT
  statistics.experiment,
  statistics.plate,
  statistics.recipe,
  statistics.time_point,
  first_runs.first_published_at,
  ROW_NUMBER() OVER (
    PARTITION BY statistics.experiment, statistics.recipe, statistics.time_point, statistics.feature
    ORDER BY first_runs.first_published_at, statistics.plate
  ) AS plate_number,
  statistics.feature,
  statistics.z_prime,
  statistics.robust_z_prime,
  statistics.ssmd,
  statistics.z_prime - LAG(statistics.z_prime) OVER (
    PARTITION BY statistics.experiment, statistics.recipe, statistics.time_point, statistics.feature
    ORDER BY first_runs.first_published_at, statistics.plate
  ) AS z_prime_change_from_previous,
  statistics.n_negcon,
  statistics.negcon_mean,
  100 * SAFE_DIVIDE(statistics.negcon_sd, ABS(statistics.negcon_mean)) AS negcon_cv_percent,
  statistics.n_poscon,
  statistics.poscon_mean,
  100 * SAFE_DIVIDE(statistics.poscon_sd, ABS(statistics.poscon_mean)) AS poscon_cv_percent,
  statistics.reason
FROM statistics
INNER JOIN (
  SELECT experiment, plate, recipe, MIN(published_at) AS first_published_at
  FROM plate_runs
  GROUP BY experiment, plate, recipe
) AS first_runs
  ON statistics.experiment = first_runs.experiment
  AND statistics.plate = first_runs.plate
  AND statistics.recipe = first_runs.recipe
