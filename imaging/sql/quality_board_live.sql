-- Images of plates in progress whose verdict is not pass so far; verdicts are provisional.
SELECT
  experiment, plate, recipe, well, site, channel, verdict, ARRAY_TO_STRING(reasons, '; ') AS reasons, is_published,
  arrived_at, finished_at
FROM images_live
WHERE verdict <> 'pass'
