"""Metadata of Variables."""

import jax.numpy as jnp

import oakum as nnx

param = nnx.Param(jnp.ones(3), sharding=("data",), note="first")
param.set_metadata(note="second")
known: bool = param.has_metadata("note")
other = param.replace(jnp.zeros(3))
again: nnx.Param[object] | nnx.Variable[object] | object = other
param.has_metadata(3)  # mistake
param.has_metadata()  # mistake
text: str = param.has_metadata("note")  # mistake
