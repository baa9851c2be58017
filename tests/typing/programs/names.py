"""Names that are not there."""

import oakum as nnx

nnx.Linear
nnx.Param
nnx.jit
nnx.metrics.Average
nnx.initializers.zeros
nnx.Linaer  # mistake
nnx.Dense  # mistake
nnx.jitt  # mistake
nnx.metrics.Avrage  # mistake
