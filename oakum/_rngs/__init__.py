"""Random streams, and in `_verbs` what splits, forks and reseeds those of a model."""

from ._streams import Rngs as Rngs
from ._streams import RngStream as RngStream
