-- One row per published plate: what came, what was measured, how good it is.
SELECT
  plates.experiment,
  plates.plate,
  plates.recipe,
  shown_runs.is_promoted,
  shown_runs.shown_instead_of,
  plates.status,
  shown_runs.number AS publication,
  shown_runs.published_at,
  plates.is_declared,
  plates.images_expected,
  plates.images_arrived,
  ROUND(100 * SAFE_DIVIDE(plates.images_arrived, plates.images_expected), 2) AS images_arrived_percent,
  plates.images_faulted,
  plates.images_missing,
  plates.sites_expected,
  plates.sites_done,
  plates.sites_failed,
  plates.sites_missing,
  plates.nuclei_count,
  plates.z_prime,
  plates.z_prime_feature,
  plates.verdict,
  ARRAY_TO_STRING(plates.reasons, '; ') AS reasons,
  ARRAY_TO_STRING(plates.not_judged, '; ') AS not_judged
FROM plates
INNER JOIN shown_runs
  ON plates.experiment = shown_runs.experiment
  AND plates.plate = shown_runs.plate
  AND plates.recipe = shown_runs.recipe
