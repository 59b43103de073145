-- Analyses whose rows are all here, each once; the one with the highest number under a recipe is current.
SELECT
  loaded.* EXCEPT (loaded_at),
  loaded.number = MAX(loaded.number) OVER (PARTITION BY loaded.experiment, loaded.analysis_recipe) AS is_current
FROM (
  SELECT *
  FROM analyses_all
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY experiment, analysis_recipe, number ORDER BY loaded_at) = 1
) AS loaded
