"""Trees of parameters by path: flatten, match rules, count, check for NaN.

The path of a leaf joins its keys with slashes, as in `layer1_0/conv1/kernel`.
A rule is `(pattern, value)`. The pattern is a regular expression for the
complete path (`re.fullmatch`). The first matching rule decides.
"""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from jaxvision import lookup

_LISTED = 8  # paths shown in an error


class NotFinite(Exception):
  """A number that must be finite is not; the message has the paths."""


def flatten(tree: Any) -> dict[str, Any]:
  """Returns the leaves of `tree` by path, in the order of `jax.tree.leaves`."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {
    jax.tree_util.keystr(keys, simple=True, separator="/"): leaf
    for keys, leaf in leaves
  }


def count(tree: Any) -> int:
  """Returns the number of elements in all leaves (arrays or their shapes)."""
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def shapes(tree: Any) -> Any:
  """The tree with shapes and types in place of arrays, without shardings."""
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree
  )


def check_finite(tree: Any, *, what: str) -> None:
  """Raises NotFinite if a leaf has NaN or infinity.

  Args:
    tree: tree of arrays.
    what: name of the tree in the message.
  """
  if broken := not_finite(tree):
    raise NotFinite(f"{what} has NaN or infinity in {_some(broken)}")


def not_finite(tree: Any) -> list[str]:
  """Returns the paths of the leaves that have NaN or infinity.

  The tree is read once on its devices, and this waits for the result.

  Args:
    tree: tree of arrays; integers are finite.
  """
  floating = _floating(tree)
  finite = _are_finite(list(floating.values()), first_axis=0)
  return [path for path, each in zip(floating, finite, strict=True) if not each]


def not_finite_of_each(tree: Any, *, count: int) -> list[list[str]]:
  """Returns `not_finite` for each tree of a stack.

  Args:
    tree: tree of arrays (count, ...).
    count: number of trees in the stack.
  """
  floating = _floating(tree)
  finite = _are_finite(list(floating.values()), first_axis=1)
  by_tree = np.broadcast_to(np.transpose(finite), (count, len(floating)))
  return [
    [path for path, each in zip(floating, row, strict=True) if not each]
    for row in by_tree
  ]


def _floating(tree: Any) -> dict[str, Any]:
  return {
    path: leaf
    for path, leaf in flatten(tree).items()
    if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
  }


def _are_finite(leaves: list[Any], *, first_axis: int) -> np.ndarray:
  """(leaves,) bool; (leaves, trees) if the first axis is a stack of trees."""
  if not leaves:
    return np.ones((0,) + (1,) * first_axis, bool)
  if all(isinstance(leaf, np.ndarray) for leaf in leaves):
    return np.stack(_reduced(leaves, first_axis, isfinite=np.isfinite))
  return np.asarray(_stacked(leaves, first_axis=first_axis))


@functools.partial(jax.jit, static_argnames="first_axis")
def _stacked(leaves: list[Any], *, first_axis: int) -> jax.Array:
  return jnp.stack(_reduced(leaves, first_axis, isfinite=jnp.isfinite))


def _reduced(
  leaves: list[Any], first_axis: int, *, isfinite: Callable[[Any], Any]
) -> list[Any]:
  return [
    isfinite(x).all(axis=tuple(range(first_axis, np.ndim(x)))) for x in leaves
  ]


def match_rules(
  rules: Sequence[tuple[str, Any]], tree: Any, *, where: str = "rules"
) -> Any:
  """Returns a tree of values: for each leaf the value of its first rule.

  Args:
    rules: `(pattern, value)` pairs; the first match decides.
    tree: a tree; only its paths are used.
    where: name of the rules in messages, such as a config key.

  Returns:
    The tree of values. None is a leaf, so use
    `is_leaf=lambda value: value is None` with such a tree.

  Raises:
    ValueError: a pattern is not a regular expression, a path has no rule, or a
      rule decides no path. Only a final `.*` may decide no path.
  """
  paths = list(flatten(tree))
  patterns = [_compiled(pattern, where) for pattern, _ in rules]
  winners = [_first_match(path, patterns) for path in paths]
  lost = [
    path for path, rule in zip(paths, winners, strict=True) if rule is None
  ]
  if lost:
    raise ValueError(
      f"{where}: no rule for {_some(lost)}; rules: "
      f"{', '.join(pattern for pattern, _ in rules)}; add a last rule for '.*'"
    )
  for i, pattern in enumerate(patterns):
    last_catch_all = pattern.pattern == ".*" and i == len(rules) - 1
    if i not in winners and not last_catch_all:
      raise ValueError(f"{where}: {_why_idle(pattern, paths)}")
  values = [rules[winner][1] for winner in winners]
  return jax.tree.unflatten(jax.tree.structure(tree), values)


def matching(pattern: str, tree: Any, *, where: str) -> dict[str, Any]:
  """Returns {path: leaf} of the leaves that match `pattern`, at least one.

  Args:
    pattern: a regular expression for complete paths.
    tree: a tree.
    where: name of the pattern in messages, such as a config key.

  Raises:
    ValueError: `pattern` is not a regular expression or matches no path.
  """
  leaves = flatten(tree)
  compiled = _compiled(pattern, where)
  found = {k: leaf for k, leaf in leaves.items() if compiled.fullmatch(k)}
  if not found:
    raise ValueError(f"{where}: {_why_idle(compiled, list(leaves))}")
  return found


def _compiled(pattern: str, where: str) -> re.Pattern[str]:
  try:
    return re.compile(pattern)
  except re.error as error:
    raise ValueError(
      f"{where}: {pattern!r} is not a regular expression ({error}); "
      "use .* for any text"
    ) from error


def _first_match(path: str, patterns: list[re.Pattern[str]]) -> int | None:
  matches = (i for i, each in enumerate(patterns) if each.fullmatch(path))
  return next(matches, None)


def _why_idle(pattern: re.Pattern[str], paths: list[str]) -> str:
  """The reason that a rule decides no path: its position or its spelling."""
  text = pattern.pattern
  if any(pattern.fullmatch(path) for path in paths):
    return f"{text!r} comes after rules that match the same paths; move it up"
  # Most patterns name the end of a path, so compare with all suffixes.
  endings = {
    path.split("/", i)[-1] for path in paths for i in range(path.count("/") + 1)
  }
  written = re.sub(r"[^\w/]", "", text)
  alike = lookup.nearest(written, sorted(endings))
  question = f"did you mean {alike}? " if alike else ""
  return f"{text!r} matches no path; {question}paths: {_some(paths)}"


def _some(paths: list[str]) -> str:
  rest = f", ... ({len(paths)} in all)" if len(paths) > _LISTED else ""
  return ", ".join(paths[:_LISTED]) + rest


def unflatten(leaves: dict[str, Any]) -> dict[str, Any]:
  """The inverse of `flatten`: nested dictionaries from {path: leaf}."""
  return traverse_util.unflatten_dict(leaves, sep="/")
