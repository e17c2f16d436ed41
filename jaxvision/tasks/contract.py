"""The types that a task shares with the step."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

Tree = Any
Batch = Mapping[str, jax.Array]
# (params, model_state, batch, key) -> (scalar, (model_state, sums))
TaskLoss = Callable[[Tree, Tree, Batch, jax.Array], tuple[jax.Array, Tree]]
