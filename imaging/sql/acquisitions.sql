-- One row per published acquisition and recipe: whether it is the one of its barcode that views show, who decided that,
-- when and why. A barcode with one acquisition needs no decision.
SELECT
  plate_runs.experiment,
  plate_runs.plate,
  COALESCE(plate_runs.barcode, plate_runs.plate) AS barcode,
  plate_runs.recipe,
  plate_runs.status,
  COALESCE(decided.first_image_at, plate_runs.first_image_at) AS first_image_at,
  plate_runs.is_current_acquisition AS is_current,
  COALESCE(decided.acquisitions, 1) AS acquisitions,
  COALESCE(decided.reason, 'it is the only acquisition') AS reason,
  decided.decided_by,
  decided.decided_at,
  decided.warning
FROM plate_runs
LEFT JOIN acquisition_decisions AS decided
  ON plate_runs.experiment = decided.experiment
  AND plate_runs.plate = decided.plate
  AND COALESCE(plate_runs.barcode, plate_runs.plate) = decided.barcode
WHERE plate_runs.is_current AND NOT plate_runs.is_experimental
