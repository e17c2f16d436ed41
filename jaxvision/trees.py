"""Trees of parameters by path: flatten them, match them with rules, count them.

The path of a leaf joins its keys with slashes, as in `layer1_0/conv1/kernel`.
A rule is `(pattern, value)`; the pattern is a regular expression that must
match a whole path (`re.fullmatch`), and the first rule that does wins.
"""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import lookup

_LISTED = 8  # paths shown in an error


class NotFinite(Exception):
  """Numbers that must be finite are not; the message says which."""


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


def check_finite(tree: Any, *, what: str) -> None:
  """Raises NotFinite, naming them, for leaves with a NaN or an infinity.

  Args:
    tree: of arrays.
    what: what the tree is called in the error.
  """
  if broken := not_finite(tree):
    raise NotFinite(f"{what} has NaN or infinity in {_some(broken)}")


def not_finite(tree: Any) -> list[str]:
  """Returns the paths of the leaves that hold a NaN or an infinity.

  Reads the tree once, where it lies, and waits for it.

  Args:
    tree: of arrays; integers are finite.
  """
  floating = _floating(tree)
  finite = _are_finite(list(floating.values()), first_axis=0)
  return [path for path, each in zip(floating, finite, strict=True) if not each]


def not_finite_of_each(tree: Any, *, count: int) -> list[list[str]]:
  """Returns `not_finite` of each of `count` trees that are stacked.

  Args:
    tree: of arrays (count, ...).
    count: how many trees there are.
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
  """(leaves,), or (leaves, trees) where the first axis is that of trees."""
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
  """Returns a tree like `tree` that holds the value of each leaf's first rule.

  Args:
    rules: `(pattern, value)` pairs, the first match wins.
    tree: leaves of any kind; only their paths matter.
    where: what the rules are called in errors, such as a config key.

  Returns:
    The tree of values. A value of None is kept as a leaf, so look at such a
    tree with `is_leaf=lambda value: value is None`.

  Raises:
    ValueError: a pattern is no regular expression, a path matches no rule, or a
      rule decides no path. Only a final catch-all `.*` may be left idle.
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
      f"{', '.join(pattern for pattern, _ in rules)}; end with one for '.*'"
    )
  for i, pattern in enumerate(patterns):
    last_catch_all = pattern.pattern == ".*" and i == len(rules) - 1
    if i not in winners and not last_catch_all:
      raise ValueError(f"{where}: {_why_idle(pattern, paths)}")
  values = [rules[winner][1] for winner in winners]
  return jax.tree.unflatten(jax.tree.structure(tree), values)


def matching(pattern: str, tree: Any, *, where: str) -> dict[str, Any]:
  """Returns by path the leaves that match `pattern`; there must be some.

  Args:
    pattern: a regular expression for whole paths.
    tree: leaves of any kind.
    where: what the pattern is called in errors, such as a config key.

  Raises:
    ValueError: `pattern` is no regular expression or matches no path.
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
      f"{where}: {pattern!r} is no regular expression ({error}); "
      "'anything' is written .*"
    ) from error


def _first_match(path: str, patterns: list[re.Pattern[str]]) -> int | None:
  matches = (i for i, each in enumerate(patterns) if each.fullmatch(path))
  return next(matches, None)


def _why_idle(pattern: re.Pattern[str], paths: list[str]) -> str:
  """Explains why a rule decides nothing: it comes too late or is misspelt."""
  text = pattern.pattern
  if any(pattern.fullmatch(path) for path in paths):
    return f"{text!r} comes after rules that take all it matches; move it up"
  # A pattern mostly names the end of a path, so compare it with all endings.
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
  """Returns the nested dictionaries that `flatten` makes `leaves` of."""
  tree: dict[str, Any] = {}
  for path, leaf in leaves.items():
    *folders, name = path.split("/")
    inner = tree
    for folder in folders:
      inner = inner.setdefault(folder, {})
    inner[name] = leaf
  return tree
