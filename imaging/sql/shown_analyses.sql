-- The analyses whose rows the tables show: of each experiment the current one under the recipe that counts, unless it
-- failed.
SELECT
  analyses.experiment, analyses.analysis_recipe, analyses.analysis, analyses.number, analyses.analysed_at
FROM analyses
INNER JOIN analysis_choices
  ON analyses.experiment = analysis_choices.experiment
  AND analyses.analysis_recipe = analysis_choices.analysis_recipe
WHERE analyses.is_current AND analysis_choices.is_current AND analyses.status = 'analysed'
