-- One row per well, channel and metric: the mean over the well's images; nuclei counts have no channel.
SELECT
  metrics.experiment,
  metrics.plate,
  metrics.recipe,
  metrics.well,
  wells.row,
  wells.column,
  metrics.channel,
  metrics.metric,
  AVG(metrics.value) AS value
FROM (
  SELECT experiment, plate, recipe, well, channel, metric, value
  FROM images
  UNPIVOT(
    value FOR metric IN (
      FocusScore, MeanIntensity, MedianIntensity, StdIntensity, MinIntensity, MaxIntensity, PercentMaximal,
      PercentSaturated, PowerLogLogSlope
    )
  )
) AS metrics
INNER JOIN wells
  ON metrics.experiment = wells.experiment
  AND metrics.plate = wells.plate
  AND metrics.recipe = wells.recipe
  AND metrics.well = wells.well
GROUP BY
  metrics.experiment, metrics.plate, metrics.recipe, metrics.well, wells.row, wells.column, metrics.channel,
  metrics.metric
UNION ALL
SELECT
  experiment,
  plate,
  recipe,
  well,
  wells.row,
  wells.column,
  CAST(NULL AS STRING) AS channel,
  'nuclei_count' AS metric,
  CAST(nuclei_count AS FLOAT64) AS value
FROM wells
WHERE nuclei_count IS NOT NULL
