-- The last decision about the acquisitions of each barcode, its rows once.
SELECT * EXCEPT (observed_at)
FROM acquisition_decisions_all
WHERE TRUE
QUALIFY
  ROW_NUMBER() OVER (PARTITION BY experiment, barcode, number, plate ORDER BY observed_at) = 1
  AND number = MAX(number) OVER (PARTITION BY experiment, barcode)
