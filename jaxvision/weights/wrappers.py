"""Prefixes of keys that wrappers of a network add.

DataParallel, torch.compile, Lightning and trainers with a moving average add a
prefix to each key: `module.`, `_orig_mod.`, `model.`, `ema.`. If a file has the
network and its average, the average is used, as in timm. Any other prefix, such
as `backbone.`, is removed if all keys share it.
"""

import re
from collections.abc import Callable, Iterable

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
_PREFIX = re.compile(rf"(?:(?:{_ORDERED})[./])+")
# Counters that averaging wrappers store next to the network.
_COUNTERS = re.compile(
  r"(?:.*[./])?(n_averaged|num_updates|decay|initted|step|updates|collected)"
)


def find(
  keys: Iterable[str], is_network: Callable[[list[str]], bool]
) -> tuple[str, list[str]]:
  """Returns the prefix of the network in a file, and the keys to skip.

  Args:
    keys: keys of the file.
    is_network: whether keys without a prefix belong to a network.

  Returns:
    (prefix, keys of other copies of the network and of counters). The prefix is
    "" if the keys have none, or if no prefix gives a network.

  Raises:
    ValueError: the file has several networks, and none is the average.
  """
  groups: dict[str, list[str]] = {}
  for key in keys:
    match = _PREFIX.match(key)
    groups.setdefault(match[0] if match else "", []).append(key)
  networks = [
    prefix
    for prefix, group in groups.items()
    if is_network([key[len(prefix) :] for key in group])
  ]
  if not networks:
    everything = [key for group in groups.values() for key in group]
    return _shared(everything, is_network), []
  chosen = _chosen(networks)
  passed = [
    key
    for prefix, group in groups.items()
    for key in group
    if prefix != chosen and (prefix in networks or _COUNTERS.fullmatch(key))
  ]
  return chosen, passed


def _shared(keys: list[str], is_network: Callable[[list[str]], bool]) -> str:
  """Returns the common prefix of all keys that gives a network, or ""."""
  first = keys[0] if keys else ""
  for end in re.finditer(r"[./]", first):
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
    raise ValueError(
      f"it has several networks, with the prefixes "
      f"{', '.join(map(repr, found))}: save one of them to a separate file"
    )
  return found[0]


def _is_average(prefix: str) -> bool:
  return any(word in _AVERAGES for word in re.split(r"[./]", prefix))
