"""Random streams, and verbs that split, fork and reseed those inside a model."""

from ._streams import Rngs as Rngs
from ._streams import RngStream as RngStream
from ._verbs import RngBackups as RngBackups
from ._verbs import fork_rngs as fork_rngs
from ._verbs import reseed as reseed
from ._verbs import restore_rngs as restore_rngs
from ._verbs import split_rngs as split_rngs
from ._verbs import with_rngs as with_rngs
