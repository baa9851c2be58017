"""Static values: part of the structure, compared by what they hold.

`Static` has a value with the key it is compared by; `_values` says how a class is
compared, `_globals` which globals of a function are settings, `_looks` the *parts* that
are looked at again in each call, `_casts` what JAX keeps of NumPy arrays, `_bypassed`
whether attributes are set past `__setattr__`, `_foreign` what no rule fits.

May import: _objects and what is left of it.
"""

from . import _foreign as _foreign
from ._bypassed import bypassed as bypassed
from ._casts import ON_STALE as ON_STALE
from ._casts import note_array as note_array
from ._copied import copied as copied
from ._globals import global_names as global_names
from ._globals import is_installed as is_installed
from ._globals import mentioned_names as mentioned_names
from ._looks import Part as Part
from ._looks import restore as restore
from ._looks import unchanged as unchanged
from ._static import Static as Static
from ._static import places_of as places_of
from ._static import static_key as static_key
