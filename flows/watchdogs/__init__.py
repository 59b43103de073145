"""Watchdogs: what is wrong is said once, to whoever is to act, with what to do.

facts       what was seen: plates, cluster, runs, quality, disks
alerts      what of that is an alert, and its words; a pure function
memory      since when things are as they are, and which alerts were told: a projection in the store
gather      looks at all these parts
rounds      looks again and again, and tells what is new, changed or over
channels    where people are told: blocks and the automation on the Prefect server
"""
