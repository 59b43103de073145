-- Does the place on the plate matter? One row per plate, time point, channel, metric (or count) and position: the
-- median of the wells there, how far that is from the median of the plate (difference, in the metric's unit), and the
-- same in robust standard deviations of the plate's wells (effect, with its sign). axis says what position is:
--
--     edge      edge or interior: edge wells are those of the outermost ring that was imaged
--     row       A to AF
--     column    1 to 48
--
-- Rings are counted inward from the rim of the smallest usual plate, of 6 to 1,536 wells, that has all wells imaged.
-- Empty wells and positive controls differ on purpose and are left out. Treatments that are laid out by row or column
-- look like effects of it.
WITH numbered AS (
  SELECT
    experiment, plate, recipe, well, time_point, wells.row, wells.column, control,
    CASE
      WHEN LENGTH(wells.row) = 1 THEN ASCII(wells.row) - 64
      ELSE 26 * (ASCII(wells.row) - 64) + ASCII(SUBSTR(wells.row, 2)) - 64
    END AS row_number
  FROM wells
),
formats AS (
  SELECT 2 AS n_rows, 3 AS n_columns UNION ALL
  SELECT 3, 4 UNION ALL
  SELECT 4, 6 UNION ALL
  SELECT 6, 8 UNION ALL
  SELECT 8, 12 UNION ALL
  SELECT 16, 24 UNION ALL
  SELECT 32, 48
),
extents AS (
  SELECT experiment, plate, recipe, MAX(row_number) AS last_row, MAX(numbered.column) AS last_column
  FROM numbered
  GROUP BY experiment, plate, recipe
),
layouts AS (
  SELECT experiment, plate, recipe, MIN(formats.n_rows) AS n_rows, MIN(formats.n_columns) AS n_columns
  FROM extents
  INNER JOIN formats ON formats.n_rows >= extents.last_row AND formats.n_columns >= extents.last_column
  GROUP BY experiment, plate, recipe
),
ringed AS (
  SELECT
    numbered.experiment, numbered.plate, numbered.recipe, numbered.well, numbered.time_point, numbered.row,
    numbered.column, numbered.control,
    LEAST(
      numbered.row_number, layouts.n_rows + 1 - numbered.row_number,
      numbered.column, layouts.n_columns + 1 - numbered.column
    ) AS ring
  FROM numbered
  INNER JOIN layouts
    ON numbered.experiment = layouts.experiment
    AND numbered.plate = layouts.plate
    AND numbered.recipe = layouts.recipe
),
placed AS (
  SELECT
    experiment, plate, recipe, well, time_point, control,
    CASE WHEN ring = MIN(ring) OVER (PARTITION BY experiment, plate, recipe) THEN 'edge' ELSE 'interior' END AS edge,
    ringed.row,
    CAST(ringed.column AS STRING) AS column
  FROM ringed
),
centred AS (
  SELECT
    well_heatmap.experiment, well_heatmap.plate, well_heatmap.recipe, well_heatmap.time_point, well_heatmap.channel,
    well_heatmap.metric, placed.edge, placed.row, placed.column, well_heatmap.value,
    PERCENTILE_CONT(well_heatmap.value, 0.5) OVER (
      PARTITION BY well_heatmap.experiment, well_heatmap.plate, well_heatmap.recipe, well_heatmap.time_point,
        well_heatmap.channel, well_heatmap.metric
    ) AS plate_median
  FROM well_heatmap
  INNER JOIN placed
    ON well_heatmap.experiment = placed.experiment
    AND well_heatmap.plate = placed.plate
    AND well_heatmap.recipe = placed.recipe
    AND well_heatmap.well = placed.well
    AND well_heatmap.time_point = placed.time_point
  WHERE placed.control IS NULL OR placed.control NOT IN ('empty', 'poscon')
),
scaled AS (
  SELECT
    experiment, plate, recipe, time_point, channel, metric, edge, centred.row, centred.column, value, plate_median,
    1.4826 * PERCENTILE_CONT(ABS(value - plate_median), 0.5) OVER (
      PARTITION BY experiment, plate, recipe, time_point, channel, metric
    ) AS plate_robust_sd
  FROM centred
),
positioned AS (
  SELECT
    experiment, plate, recipe, time_point, channel, metric, axis, position, plate_median, plate_robust_sd,
    PERCENTILE_CONT(value, 0.5) OVER (
      PARTITION BY experiment, plate, recipe, time_point, channel, metric, axis, position
    ) AS median
  FROM scaled
  UNPIVOT(position FOR axis IN (edge, row, column))
)
SELECT
  experiment,
  plate,
  recipe,
  time_point,
  channel,
  metric,
  axis,
  position,
  COUNT(*) AS n_wells,
  ANY_VALUE(median) AS median,
  ANY_VALUE(plate_median) AS plate_median,
  ANY_VALUE(plate_robust_sd) AS plate_robust_sd,
  ANY_VALUE(median - plate_median) AS difference,
  ANY_VALUE(SAFE_DIVIDE(median - plate_median, plate_robust_sd)) AS effect
FROM positioned
GROUP BY experiment, plate, recipe, time_point, channel, metric, axis, position
