-- Everything of published plates whose verdict is not pass: plates, wells, sites and images, with the reasons.
SELECT
  experiment, plate, recipe, 'image' AS level, well, site, time_point, channel, verdict,
  ARRAY_TO_STRING(reasons, '; ') AS reasons
FROM images
WHERE verdict <> 'pass'
UNION ALL
SELECT
  experiment, plate, recipe, 'site' AS level, well, site, time_point, CAST(NULL AS STRING) AS channel, verdict,
  ARRAY_TO_STRING(reasons, '; ') AS reasons
FROM sites
WHERE verdict <> 'pass'
UNION ALL
SELECT
  experiment, plate, recipe, 'well' AS level, well, CAST(NULL AS INT64) AS site, time_point,
  CAST(NULL AS STRING) AS channel, verdict, ARRAY_TO_STRING(reasons, '; ') AS reasons
FROM wells
WHERE verdict <> 'pass'
UNION ALL
SELECT
  experiment, plate, recipe, 'plate' AS level, CAST(NULL AS STRING) AS well, CAST(NULL AS INT64) AS site,
  CAST(NULL AS INT64) AS time_point, CAST(NULL AS STRING) AS channel, verdict, ARRAY_TO_STRING(reasons, '; ') AS reasons
FROM plates
WHERE verdict <> 'pass'
