-- One row per well, time point, channel and image metric, the mean over the well's images; and per well, time point
-- and count of objects (which has no channel), the mean over its measured sites, so that a well that lacks a site does
-- not look emptier.
SELECT
  measured.experiment,
  measured.plate,
  measured.recipe,
  measured.well,
  measured.time_point,
  wells.row,
  wells.column,
  wells.control,
  measured.channel,
  measured.metric,
  AVG(measured.value) AS value
FROM (
  SELECT experiment, plate, recipe, well, time_point, channel, metric, value
  FROM (SELECT * FROM images)
  UNPIVOT(
    value FOR metric IN (
      FocusScore, LocalFocusScore_5, LocalFocusScore_10, LocalFocusScore_20, LocalFocusScore_50,
      Correlation_5, Correlation_10, Correlation_20, Correlation_50, PowerLogLogSlope,
      MeanIntensity, MedianIntensity, StdIntensity, MADIntensity, MinIntensity, MaxIntensity, TotalIntensity,
      PercentMaximal, PercentMinimal, PercentSaturated, ThresholdOtsu_2W, ThresholdOtsu_3FW, ThresholdOtsu_3BW,
      BackgroundLevel, BackgroundGradient, PercentDebris, EmptyImage
    )
  )
  UNION ALL
  SELECT
    experiment, plate, recipe, well, time_point, CAST(NULL AS STRING) AS channel, metric,
    CAST(objects AS FLOAT64) AS value
  FROM (SELECT * FROM sites)
  UNPIVOT(objects FOR metric IN (nuclei_count, cells_count))
) AS measured
INNER JOIN wells
  ON measured.experiment = wells.experiment
  AND measured.plate = wells.plate
  AND measured.recipe = wells.recipe
  AND measured.well = wells.well
  AND measured.time_point = wells.time_point
GROUP BY
  measured.experiment, measured.plate, measured.recipe, measured.well, measured.time_point, wells.row, wells.column,
  wells.control, measured.channel, measured.metric
