"""Prefixes of keys that wrappers of a network add.

DataParallel, torch.compile, Lightning and trainers with a moving average add a
prefix to each key: `module.`, `_orig_mod.`, `model.`, `ema.`. If a file has the
network and its average, the average is used, as in timm. Any other prefix, such
as `backbone.`, is removed if all keys share it.

A checkpoint of a training is a nested dict, and the network is one of its
parts. The others, such as the state of an optimizer, are skipped. A part can
have arrays beside the network, such as the projection of a self-supervised
training; they are skipped, too.
"""

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Mapping

# Prefixes of averages; then all known prefixes.
_AVERAGES = (
  "ema",
  "ema_model",
  "model_ema",
  "ema_state_dict",
  "state_dict_ema",
  "module_ema",
  "params_ema",
  "ema_params",
  "averaged_model",
  "model_averaged",
  "swa_model",
  "ema_weights",
  "shadow",
  "shadow_params",
)
_PREFIXES = (
  *_AVERAGES,
  "module",
  "model",
  "_orig_mod",
  "state_dict",
  "model_state_dict",
  "model_state",
  "network",
  "net",
  "online_model",
  "ddp",
  "_forward_module",
  "_fsdp_wrapped_module",
)
_ORDERED = "|".join(sorted(_PREFIXES, key=len, reverse=True))
_DEEPEST_NETWORK = 3  # names before a network inside a part
_LONGEST_PREFIX = 8  # names before a network that has all keys
_SEPARATOR = re.compile(r"[./]")
_PREFIX = re.compile(rf"(?:(?:{_ORDERED})[./])+")
# Counters that averaging wrappers store next to the network.
_COUNTERS = re.compile(
  r"(?:.*[./])?(n_averaged|num_updates|decay|initted|step|updates|collected)"
)


def find(
  keys: Iterable[str],
  is_network: Callable[[list[str]], bool],
  *,
  parts: Collection[str] = (),
) -> tuple[str, list[str]]:
  """Returns the prefix of the network in a file, and the keys to skip.

  Args:
    keys: keys of the file.
    is_network: whether keys without a prefix belong to a network.
    parts: names of nested dicts; their keys start with the name and a dot.

  Returns:
    (prefix, keys of other copies of the network, of counters and of other
    parts). The prefix is "" if the keys have none, or if no prefix gives a
    network.

  Raises:
    ValueError: the file has several networks, and none is the average; or an
      unknown prefix gives a network, but not all keys have it.
  """
  nested = frozenset(parts)
  part_of = {key: _part(key, nested) for key in keys}
  shared = _shared(list(part_of), is_network)
  for depth in range(_DEEPEST_NETWORK + 1):
    groups = _grouped(part_of, depth)
    networks = [
      prefix
      for prefix, group in groups.items()
      if is_network([key[len(prefix) :] for key in group])
    ]
    if networks and (depth == 0 or parts):
      chosen = _chosen(networks)
      return chosen, _passed(groups, networks, chosen, part_of, depth)
    if networks and not shared:
      raise _ambiguous(networks)
  return shared, []


def _part(key: str, parts: Collection[str]) -> str:
  """Returns the innermost nested dict of a key; "" outside of all."""
  end = key.rfind(".")
  while end > 0:
    if key[:end] in parts:
      return key[:end]
    end = key.rfind(".", 0, end)
  return ""


def _grouped(part_of: Mapping[str, str], depth: int) -> dict[str, list[str]]:
  """Returns {prefix: keys}.

  A prefix is that of the part, then those of wrappers, then `depth` more names.
  """
  groups: dict[str, list[str]] = {}
  for key, part in part_of.items():
    start = len(part) + 1 if part else 0
    if match := _PREFIX.match(key, start):
      start = match.end()
    ends = [each.end() for each in _SEPARATOR.finditer(key, start)][:depth]
    groups.setdefault(key[: max((start, *ends))], []).append(key)
  return groups


def _passed(
  groups: Mapping[str, list[str]],
  networks: Collection[str],
  chosen: str,
  part_of: Mapping[str, str],
  depth: int,
) -> list[str]:
  """Returns the keys that are skipped because of the chosen network."""
  own = part_of[groups[chosen][0]]

  def is_outside(key: str) -> bool:
    return not key.startswith(f"{own}.") if own else bool(part_of[key])

  return [
    key
    for prefix, group in groups.items()
    for key in group
    if prefix != chosen
    and (
      depth > 0
      or prefix in networks
      or _COUNTERS.fullmatch(key)
      or is_outside(key)
    )
  ]


def _shared(keys: list[str], is_network: Callable[[list[str]], bool]) -> str:
  """Returns the common prefix of all keys that gives a network, or ""."""
  first = keys[0] if keys else ""
  ends = _SEPARATOR.finditer(first)
  for end in itertools.islice(ends, _LONGEST_PREFIX):
    prefix = first[: end.end()]
    if not all(key.startswith(prefix) for key in keys):
      break
    if is_network([key[len(prefix) :] for key in keys]):
      return prefix
  return ""


def _chosen(prefixes: list[str]) -> str:
  averages = [each for each in prefixes if _is_average(each)]
  found = averages or prefixes
  if len(found) > 1:
    raise _ambiguous(found)
  return found[0]


def _ambiguous(prefixes: list[str]) -> ValueError:
  several = (
    "several networks" if len(prefixes) > 1 else "a network among others"
  )
  return ValueError(
    f"it has {several}, with the prefixes {', '.join(map(repr, prefixes))}: "
    f"choose one by its name after the file, as FILE#{max(prefixes)[:-1]}"
  )


def _is_average(prefix: str) -> bool:
  return any(word in _AVERAGES for word in re.split(r"[./]", prefix))
