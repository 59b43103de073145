-- What was expected, what arrived, what was processed, what was loaded, in planes of images, and why they differ: one
-- row per plate (level plate) and one per site (level site). Plates that are not published yet show the sites measured
-- so far. Files that count for no site, such as unknown names, stand in the plate's row; warnings about plate maps do not:
-- they change no image.
WITH planes AS (
  SELECT
    experiment, plate, recipe, well, site, time_point, TRUE AS is_loaded,
    COALESCE(planes_expected, 1) AS expected,
    COALESCE(planes_arrived, CASE WHEN state = 'missing' THEN 0 ELSE 1 END) AS arrived,
    COALESCE(planes_measured, CASE WHEN digest IS NULL THEN 0 ELSE 1 END) AS processed
  FROM images
  UNION ALL
  SELECT
    images_live.experiment, images_live.plate, images_live.recipe, well, site, COALESCE(time_point, 1) AS time_point,
    FALSE AS is_loaded,
    COALESCE(planes_expected, 1) AS expected,
    COALESCE(planes_arrived, CASE WHEN state = 'missing' THEN 0 ELSE 1 END) AS arrived,
    COALESCE(planes_measured, CASE WHEN digest IS NULL THEN 0 ELSE 1 END) AS processed
  FROM images_live
  LEFT JOIN plate_runs
    ON images_live.experiment = plate_runs.experiment
    AND images_live.plate = plate_runs.plate
    AND images_live.recipe = plate_runs.recipe
    AND plate_runs.is_current
  WHERE plate_runs.run IS NULL
),
unreadable AS (
  SELECT DISTINCT experiment, plate, recipe, well, site, time_point, channel
  FROM faults
  WHERE kind = 'unreadable'
),
found AS (
  SELECT
    experiment, plate, recipe, well, site, time_point, kind,
    CONCAT(COALESCE(CONCAT(channel, ' '), ''), kind, ' ', name, ': ', reason) AS reason
  FROM faults
  WHERE kind <> 'plate map'
  UNION ALL
  SELECT
    decided.experiment, decided.plate, decided.recipe, decided.well, decided.site, decided.time_point, decided.kind,
    CONCAT(
      COALESCE(CONCAT(decided.channel, ' '), ''), decided.kind,
      COALESCE(CONCAT(' plane ', CAST(decided.plane AS STRING)), ''),
      ': ', decided.reason, ' (', decided.decided_by, ')'
    ) AS reason
  FROM decisions AS decided
  LEFT JOIN unreadable
    ON decided.experiment = unreadable.experiment
    AND decided.plate = unreadable.plate
    AND decided.recipe = unreadable.recipe
    AND decided.well = unreadable.well
    AND decided.site = unreadable.site
    AND decided.time_point = unreadable.time_point
    AND decided.channel = unreadable.channel
  WHERE unreadable.well IS NULL
  UNION ALL
  SELECT
    experiment, plate, recipe, well, site, time_point, 'failed' AS kind, ARRAY_TO_STRING(reasons, '; ') AS reason
  FROM sites
  WHERE state = 'failed'
),
of_sites AS (
  SELECT
    experiment, plate, recipe, well, site, time_point,
    STRING_AGG(reason, '; ' ORDER BY reason) AS reasons
  FROM found
  WHERE site IS NOT NULL
  GROUP BY experiment, plate, recipe, well, site, time_point
),
of_kinds AS (
  SELECT
    experiment, plate, recipe,
    CASE
      WHEN site IS NULL THEN reason
      ELSE CONCAT(CAST(COUNT(*) OVER (PARTITION BY experiment, plate, recipe, kind) AS STRING), ' x ', kind)
    END AS reason
  FROM found
),
of_plates AS (
  SELECT experiment, plate, recipe, STRING_AGG(reason, '; ' ORDER BY reason) AS reasons
  FROM (SELECT DISTINCT experiment, plate, recipe, reason FROM of_kinds) AS kinds
  GROUP BY experiment, plate, recipe
),
counted AS (
  SELECT
    experiment, plate, recipe, well, site, time_point, is_loaded,
    SUM(expected) AS expected,
    SUM(arrived) AS arrived,
    SUM(processed) AS processed
  FROM planes
  GROUP BY experiment, plate, recipe, well, site, time_point, is_loaded
)
SELECT
  counted.experiment, counted.plate, counted.recipe, 'site' AS level, counted.well, counted.site, counted.time_point,
  counted.expected, counted.arrived, counted.processed,
  CASE WHEN counted.is_loaded THEN counted.processed ELSE 0 END AS loaded,
  CASE WHEN counted.is_loaded THEN of_sites.reasons ELSE 'not loaded: not published yet' END AS reasons
FROM counted
LEFT JOIN of_sites
  ON counted.experiment = of_sites.experiment
  AND counted.plate = of_sites.plate
  AND counted.recipe = of_sites.recipe
  AND counted.well = of_sites.well
  AND counted.site = of_sites.site
  AND counted.time_point = of_sites.time_point
UNION ALL
SELECT
  summed.experiment, summed.plate, summed.recipe, 'plate' AS level, CAST(NULL AS STRING) AS well,
  CAST(NULL AS INT64) AS site, CAST(NULL AS INT64) AS time_point, summed.expected, summed.arrived, summed.processed,
  summed.loaded,
  CASE WHEN summed.is_loaded THEN of_plates.reasons ELSE 'not loaded: not published yet' END AS reasons
FROM (
  SELECT
    experiment, plate, recipe, is_loaded,
    SUM(expected) AS expected,
    SUM(arrived) AS arrived,
    SUM(processed) AS processed,
    SUM(CASE WHEN is_loaded THEN processed ELSE 0 END) AS loaded
  FROM counted
  GROUP BY experiment, plate, recipe, is_loaded
) AS summed
LEFT JOIN of_plates
  ON summed.experiment = of_plates.experiment
  AND summed.plate = of_plates.plate
  AND summed.recipe = of_plates.recipe
