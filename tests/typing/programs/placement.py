"""shard, layout, and names of axes."""

import jax
from jax.sharding import NamedSharding, PartitionSpec

import oakum as nnx

mesh = jax.make_mesh((1,), ("data",))
model = nnx.Linear(2, 4, rngs=nnx.Rngs(0))
nnx.shard(model, mesh, {"kernel": (None, "data"), ...: ()})
init = nnx.with_partitioning(nnx.initializers.lecun_normal(), (None, "data"))
named = nnx.Linear(2, 4, kernel_init=init, rngs=nnx.Rngs(0))
specs: nnx.State = nnx.get_partition_spec(nnx.state(named))
shardings = nnx.get_named_sharding(nnx.state(named), mesh)
kernel = nnx.Param(
    model.kernel.value,
    sharding=NamedSharding(mesh, PartitionSpec(None, "data")),
)
shape: tuple[int, ...] = kernel.value.shape
nnx.shard(model, mesh, nnx.fsdp("data"))
print(nnx.layout(model, mesh))
nnx.shard(model)  # mistake
nnx.shard(model, "data")  # mistake
nnx.with_partitioning("lecun", (None, "data"))  # mistake
nnx.get_named_sharding(nnx.state(named))  # mistake
nnx.fsdp()  # mistake
kernel.value.shapes  # mistake
