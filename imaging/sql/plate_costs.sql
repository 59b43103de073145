-- One row per published plate: the worker time that its sites took, and what that cost. A site's seconds count once,
-- however many sites its worker had in hand. Without any price the cost is NULL; with prices for some sites it is the
-- sum of those, and sites_without_price says how many are not in it. Work that came to nothing is in neither.
SELECT
  experiment,
  plate,
  recipe,
  COUNT(*) AS sites,
  SUM(COALESCE(machine_seconds, seconds)) AS machine_seconds,
  COUNTIF(cost IS NULL) AS sites_without_price,
  SUM(cost) AS cost,
  SAFE_DIVIDE(SUM(cost), COUNT(cost)) AS cost_per_site,
  'USD' AS currency,
  MIN(started_at) AS first_started_at,
  MAX(started_at) AS last_started_at
FROM site_runs
GROUP BY experiment, plate, recipe
