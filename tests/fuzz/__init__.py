"""What foreign bytes may do to us: inputs of every kind, damaged at random, and the one thing that may come of each.

    damage       valid inputs changed: bits, cuts, lengths, odd numbers and words, other trees
    promise      what every case is held against: a value that keeps its contract, or a PlateError of one clear sentence
    pixels, folders, declarations, stored, asked
                 targets: what is read, from which inputs, and what must hold of what comes back
    test_fuzz    the short form, the same cases in every run
    campaign     the long form: `make fuzz CASES=10000`, each target in a process of its own with limits

Every crash that was found has a plain test beside the code that it was in.
"""
