-- Sites and images of plates in progress whose verdict is not pass so far; verdicts are provisional.
SELECT
  experiment, plate, recipe, 'image' AS level, well, site, time_point, channel, verdict,
  ARRAY_TO_STRING(reasons, '; ') AS reasons,
  is_published, arrived_at, finished_at
FROM images_live
WHERE verdict <> 'pass'
UNION ALL
SELECT
  experiment, plate, recipe, 'site' AS level, well, site, time_point, CAST(NULL AS STRING) AS channel, verdict,
  ARRAY_TO_STRING(reasons, '; ') AS reasons, is_published, CAST(NULL AS TIMESTAMP) AS arrived_at, finished_at
FROM sites_live
WHERE verdict <> 'pass'
