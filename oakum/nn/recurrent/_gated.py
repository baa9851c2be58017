"""Base of the cells with gates: what GRU and LSTM cells are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

from ..._arguments import with_arguments_of
from ..._typing import Dtype
from .._activations import sigmoid, tanh
from ._cells import CellArguments, DenseCell


class GateArguments(CellArguments, total=False):
    """What a cell with gates hands on to `GatedCell`, which documents it."""

    gate_fn: Callable[..., Any]
    activation_fn: Callable[..., Any]
    dtype: Dtype | None


class GatedCell(DenseCell):
    """Base of cells with gates; each makes its own Linears."""

    gate_fn: Callable[..., Any]
    activation_fn: Callable[..., Any]

    @with_arguments_of(DenseCell.__init__)
    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        gate_fn: Callable[..., Any] = sigmoid,
        activation_fn: Callable[..., Any] = tanh,
        dtype: Dtype | None = None,
        **others: Unpack[CellArguments],
    ):
        """Makes the cell.

        Args:
            in_features: size of the last axis of the input.
            hidden_features: size of each array of the carry, and of the output.
            gate_fn: activation of the gates.
            activation_fn: activation of what is stored, and of the memory of an LSTM.
            dtype: dtype of the computation and of the output; None infers it from input
                and parameters.
            **others: those of every cell: `DenseCell`.

        Raises:
            MissingRngError: no `rngs`.
        """
        self.gate_fn, self.activation_fn = gate_fn, activation_fn
        super().__init__(in_features, hidden_features, dtype=dtype, **others)
