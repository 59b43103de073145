"""Copying an acquisition from the microscope's computer into the store while the microscope still writes.

    source          what lies in the folder, and which names are refused
    watched         the folder as it is now, or since when it cannot be read
    completeness    whether an image's own structure has its end
    sums            MD5 and CRC32C of what is sent
    ledger          which file is settling, ready, in flight, done or failed
    journal         what was found equal before: saves reading it again, and may be lost
    destinations    a folder or a bucket: what is there, put, compare
    transfer        one file's way
    backoff         when a store that does not answer is asked again
    uploader        the loop
    options         how it goes about it
    tally           what it did so far, counted
    record          the list of names and sums that is kept in the store
    summary         what is said about it

The store alone decides what is there. Nothing here deletes anything, at either end. It runs on Windows as well, and
imports neither an orchestrator nor an array library.
"""
