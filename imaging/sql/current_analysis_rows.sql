-- Rows of the analyses that are shown; rows_all stands for the table of all analyses.
SELECT item.*
FROM rows_all AS item
INNER JOIN shown_analyses
  ON item.experiment = shown_analyses.experiment
  AND item.analysis_recipe = shown_analyses.analysis_recipe
  AND item.analysis = shown_analyses.analysis
