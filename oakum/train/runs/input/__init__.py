"""What a run is fed by: batches of arrays and loaders, drawn and moved ahead of it.

Words: a *source* gives the batches of an epoch; a *feed* has them drawn, and moved to
the devices, by a thread; the *state* of a loader is the place that it tells of itself.
"""
