"""Agreement of a student with its teacher: sums over examples.

An example agrees if student and teacher give the highest logit to the same
class. "agreement_top5" counts examples in which the teacher's class is among
the 5 highest logits of the student (big_vision, `agree` with k = 5). Of equal
logits the lower class ranks first. Examples with mask 0 are not counted.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Sums = dict[str, Any]


def training_sums(
  student: jax.Array, teacher: jax.Array, mask: jax.Array
) -> Sums:
  """Returns {count, agreement}, int32 scalars.

  Args:
    student, teacher: (b, k), logits.
    mask: (b,), 1 for examples that count and 0 for padding.
  """
  counted = mask.astype(jnp.int32)
  agrees = counted * _agrees(student, teacher, 1)
  return {"count": jnp.sum(counted), "agreement": jnp.sum(agrees)}


def sums(student: jax.Array, teacher: jax.Array, mask: jax.Array) -> Sums:
  """Returns the sums of a batch for an evaluation.

  Args:
    student, teacher, mask: as in `training_sums`.

  Returns:
    count, agreement: int32 scalars;
    agreement_top5: likewise; only if there are more than 5 classes;
    by_class: chosen (k,) int32, the examples of each class according to the
      teacher, and agreed (k,), those of them in which the student agrees.
  """
  counted, num_classes = mask.astype(jnp.int32), teacher.shape[-1]
  agrees = counted * _agrees(student, teacher, 1)
  chosen = jnp.argmax(teacher, axis=-1)
  zeros = jnp.zeros(num_classes, jnp.int32)
  tree = {
    **training_sums(student, teacher, mask),
    "by_class": {
      "chosen": zeros.at[chosen].add(counted),
      "agreed": zeros.at[chosen].add(agrees),
    },
  }
  if num_classes > 5:
    tree["agreement_top5"] = jnp.sum(counted * _agrees(student, teacher, 5))
  return tree


def per_class(tree: Sums) -> dict[str, np.ndarray]:
  """Returns chosen (k,) and agreement (k,), NaN for a class never chosen.

  Args:
    tree: from `sums`.
  """
  chosen, agreed = (tree["by_class"][name] for name in ("chosen", "agreed"))
  with np.errstate(invalid="ignore"):
    return {"chosen": chosen, "agreement": agreed / chosen}


def _agrees(student: jax.Array, teacher: jax.Array, k: int) -> jax.Array:
  """(b,) whether the teacher's class is among the student's first k."""
  chosen = jnp.argmax(teacher, axis=-1)[:, None]
  return jnp.any(jax.lax.top_k(student, k)[1] == chosen, axis=-1)
