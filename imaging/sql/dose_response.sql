-- One row per plate, time point, treatment and concentration: nuclei per measured site (so that a well that lacks a
-- site does not look emptier), mean and standard deviation over its wells, and their mean in % of that of the negative
-- controls.
SELECT
  counted.experiment,
  counted.plate,
  counted.recipe,
  counted.time_point,
  counted.treatment,
  counted.concentration,
  counted.concentration_unit,
  counted.control,
  COUNT(*) AS n_wells,
  COUNTIF(COALESCE(counted.verdict, '') = 'fail') AS n_wells_failed,
  AVG(counted.nuclei_per_site) AS nuclei_per_site_mean,
  STDDEV_SAMP(counted.nuclei_per_site) AS nuclei_per_site_sd,
  100 * SAFE_DIVIDE(AVG(counted.nuclei_per_site), ANY_VALUE(counted.negcon_mean)) AS nuclei_percent_of_negcon
FROM (
  SELECT
    experiment, plate, recipe, time_point, treatment, concentration, concentration_unit, control, verdict,
    nuclei_per_site,
    AVG(CASE WHEN control = 'negcon' THEN nuclei_per_site END) OVER (
      PARTITION BY experiment, plate, recipe, time_point
    ) AS negcon_mean
  FROM (
    SELECT
      experiment, plate, recipe, time_point, treatment, concentration, concentration_unit, control, verdict,
      SAFE_DIVIDE(nuclei_count, sites_done) AS nuclei_per_site
    FROM wells
  ) AS wells_by_site
) AS counted
WHERE counted.treatment IS NOT NULL OR counted.control IS NOT NULL
GROUP BY
  counted.experiment, counted.plate, counted.recipe, counted.time_point, counted.treatment, counted.concentration,
  counted.concentration_unit, counted.control
