"""What a module of the user's own takes."""

import oakum as nnx


class Model(nnx.Module):
    def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(4, width, rngs=rngs)


class Wide(Model):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        super().__init__(128, rngs=rngs)


class Bare(nnx.Module):
    pass


Model(3, rngs=nnx.Rngs(0))
Wide(rngs=nnx.Rngs(0))
Bare()
Model("3", rngs=nnx.Rngs(0))  # mistake
Model(3)  # mistake
Model(3, nnx.Rngs(0))  # mistake
Wide(3, rngs=nnx.Rngs(0))  # mistake
Bare(3)  # mistake
