"""From wells to decisions: profiles, process failures, batch effects, hits; one analysis of an experiment.

    profiles        wells by features, with what is known of each well
    recipe          what determines the values of an analysis, as YAML and as a hash
    normalize, select, correct, consensus       profiles in, profiles out
    failures        what failed for technical reasons, with its evidence
    variance, mixing                            how much of the signal is the process
    activity, replication, distances, effects, dose_response, mechanisms, viability    what a treatment does
    hits            which treatments meet the recipe's criteria

The words are those of the field: a profile is what a well or a treatment is described by, one value per feature.
"""
