-- One row per plate, treatment and concentration: its wells, and their nuclei against those of the negative controls.
SELECT
  wells.experiment,
  wells.plate,
  wells.recipe,
  wells.treatment,
  wells.concentration,
  wells.concentration_unit,
  wells.control,
  COUNT(*) AS n_wells,
  COUNTIF(wells.verdict = 'fail') AS n_wells_failed,
  AVG(wells.nuclei_count) AS nuclei_mean,
  STDDEV_SAMP(wells.nuclei_count) AS nuclei_sd,
  100 * SAFE_DIVIDE(AVG(wells.nuclei_count), ANY_VALUE(negcon.nuclei_mean)) AS nuclei_percent_of_negcon
FROM wells
LEFT JOIN (
  SELECT experiment, plate, recipe, AVG(nuclei_count) AS nuclei_mean
  FROM wells
  WHERE control = 'negcon'
  GROUP BY experiment, plate, recipe
) AS negcon
  ON wells.experiment = negcon.experiment AND wells.plate = negcon.plate AND wells.recipe = negcon.recipe
WHERE wells.treatment IS NOT NULL OR wells.control IS NOT NULL
GROUP BY
  wells.experiment, wells.plate, wells.recipe, wells.treatment, wells.concentration, wells.concentration_unit,
  wells.control
