-- Two recipes of a plate, feature by feature, over the plate's wells: one row per plate, time point, feature, recipe and
-- the recipe that it is held against, each pair in both directions, experimental recipes among them. correlation is
-- Pearson's over the n_wells wells that have both values; median_shift is the median over them of the difference, in
-- robust standard deviations (1.4826 times the median absolute deviation) of the other recipe's values, NULL where these
-- differ by no more than stored values are rounded (a millionth of their median); null_share and
-- against_null_share are the shares of wells without a value.
WITH measured AS (
  SELECT
    listed.experiment, listed.plate, listed.recipe, listed.well, listed.time_point,
    SPLIT(listed.pair, '":')[SAFE_OFFSET(0)] AS feature,
    SAFE_CAST(SPLIT(listed.pair, '":')[SAFE_OFFSET(1)] AS FLOAT64) AS value
  FROM (
    SELECT described.experiment, described.plate, described.recipe, described.well, described.time_point, pair
    FROM (
      SELECT
        wells_all.experiment, wells_all.plate, wells_all.recipe, wells_all.well,
        COALESCE(wells_all.time_point, 1) AS time_point,
        TO_JSON_STRING(wells_all) AS columns
      FROM wells_all
      INNER JOIN plate_runs
        ON wells_all.experiment = plate_runs.experiment
        AND wells_all.plate = plate_runs.plate
        AND wells_all.recipe = plate_runs.recipe
        AND wells_all.run = plate_runs.run
      WHERE plate_runs.is_current AND plate_runs.status <> 'withdrawn'
    ) AS described
    CROSS JOIN UNNEST(REGEXP_EXTRACT_ALL(
      described.columns,
      r'"((?:nuclei_count|cells_count|(?:(?:Mean|MAD|Count)_)?(?:Nuclei|Cells|Cytoplasm)_[A-Za-z0-9_]+)":(?:null|[-+.0-9eE]+))'
    )) AS pair
  ) AS listed
),
paired AS (
  SELECT
    measured.experiment, measured.plate, measured.time_point, measured.feature, measured.recipe,
    other.recipe AS against, measured.value, other.value AS other_value, measured.value - other.value AS difference,
    CASE WHEN measured.value IS NOT NULL THEN other.value END AS shared_value
  FROM measured
  INNER JOIN measured AS other
    ON measured.experiment = other.experiment
    AND measured.plate = other.plate
    AND measured.well = other.well
    AND measured.time_point = other.time_point
    AND measured.feature = other.feature
    AND measured.recipe <> other.recipe
),
centred AS (
  SELECT
    experiment, plate, time_point, feature, recipe, against, value, other_value, difference, shared_value,
    PERCENTILE_CONT(difference, 0.5) OVER (
      PARTITION BY experiment, plate, time_point, feature, recipe, against
    ) AS median_difference,
    PERCENTILE_CONT(shared_value, 0.5) OVER (
      PARTITION BY experiment, plate, time_point, feature, recipe, against
    ) AS other_median
  FROM paired
),
scaled AS (
  SELECT
    experiment, plate, time_point, feature, recipe, against, value, other_value, difference, median_difference,
    other_median,
    1.4826 * PERCENTILE_CONT(ABS(shared_value - other_median), 0.5) OVER (
      PARTITION BY experiment, plate, time_point, feature, recipe, against
    ) AS other_robust_sd
  FROM centred
)
SELECT
  experiment,
  plate,
  time_point,
  feature,
  recipe,
  against,
  COUNT(difference) AS n_wells,
  CASE WHEN NOT IS_NAN(CORR(value, other_value)) THEN CORR(value, other_value) END AS correlation,
  ANY_VALUE(
    SAFE_DIVIDE(median_difference, CASE WHEN other_robust_sd > 1e-6 * ABS(other_median) THEN other_robust_sd END)
  ) AS median_shift,
  ANY_VALUE(median_difference) AS median_difference,
  ANY_VALUE(other_robust_sd) AS against_robust_sd,
  SAFE_DIVIDE(COUNTIF(value IS NULL), COUNT(*)) AS null_share,
  SAFE_DIVIDE(COUNTIF(other_value IS NULL), COUNT(*)) AS against_null_share
FROM scaled
GROUP BY experiment, plate, time_point, feature, recipe, against
HAVING COUNT(value) + COUNT(other_value) > 0
