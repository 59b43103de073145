"""From wells to decisions: profiles, process failures, batch effects, hits; one analysis of an experiment.

    profiles, annotate                          wells by features, with what is known of each well
    published, profiles_file, plate_reader      where they come from
    recipe, declared_recipes                    what determines the values of an analysis
    normalize, select, correct, consensus       profiles in, profiles out
    participation, failures                     who takes part, and what failed for technical reasons, with its evidence
    variance, mixing                            how much of the signal is the process
    activity, replication, distances, effects, dose_response, viability, mechanisms    what a treatment does
    hits, control_checks                        which treatments meet the recipe's criteria, and whether controls would
    analysis                                    all of that: profiles and a recipe in, tables out
    reconcile, analysis_records, kept_plates    an experiment's analyses are what its publications are
    report, page, gallery, board                what people look at

The words are those of the field: a profile is what a well or a treatment is described by, one value per feature.
"""
