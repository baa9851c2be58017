"""Runs: a loop over batches that shows, saves, measures, stops and resumes itself.

Words: a *step* is one batch; the *place* is how far a run is (epoch, batch, step); a
*measure* is a number by name, logged at a step or recorded at the end of an epoch; the
*best* record is that of the lowest, or highest, of one measure.
"""
