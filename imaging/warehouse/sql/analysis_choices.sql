-- Choices of the analysis recipe that counts, each once; the one with the highest number of an experiment is current.
SELECT
  loaded.* EXCEPT (loaded_at),
  loaded.number = MAX(loaded.number) OVER (PARTITION BY loaded.experiment) AS is_current
FROM (
  SELECT *
  FROM analysis_choices_all
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY experiment, number ORDER BY loaded_at) = 1
) AS loaded
