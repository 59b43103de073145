-- All that did not go to plan on published plates: files at fault, decisions, and sites that were not measured.
SELECT
  experiment, plate, recipe, 'fault' AS source, kind, well, site, time_point, channel, name, reason,
  CAST(NULL AS STRING) AS decided_by
FROM faults
UNION ALL
SELECT
  experiment, plate, recipe, 'decision' AS source, kind, well, site, time_point, channel,
  CAST(NULL AS STRING) AS name, reason,
  decided_by
FROM decisions
WHERE kind <> 'expected'
UNION ALL
SELECT
  experiment, plate, recipe, 'site' AS source, state AS kind, well, site, time_point, CAST(NULL AS STRING) AS channel,
  CAST(NULL AS STRING) AS name, ARRAY_TO_STRING(reasons, '; ') AS reason, CAST(NULL AS STRING) AS decided_by
FROM sites
WHERE state <> 'done'
