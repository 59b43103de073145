-- Every version of an uploaded file that was found unusable, once.
SELECT * EXCEPT (observed_at)
FROM fault_records_all
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY experiment, plate, recipe, name, token ORDER BY observed_at) = 1
