"""What looks wrong with a plate as a whole though each of its images is fine: warnings with evidence.

    declared    the section of experiment.yaml: thresholds, and which checks are off
    suspicion   one suspicion: its kind, what it points to, the evidence in words, score and threshold
    channels    the channel declared as nuclei does not look like nuclei, and another one does
    places      the plate lies rotated by 180 degrees, or shifted by a row or column, against its plate map
    twins       the plate shows the same images, or the same cells, as another one
    portrait    what of a plate the next ones are compared with: a small record of its own
    gathering   reads what the checks need, and calls them

Nothing is corrected. The checks are pure functions of what is stored; what of other plates they used is named by the
publication, and later publications of the plate keep to it, so that no plate is published again because others were.
"""
