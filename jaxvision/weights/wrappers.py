"""What stands before the names of a network where something wraps it.

DataParallel, torch.compile, Lightning and trainers that keep an average put a
word in front of every key: `module.`, `_orig_mod.`, `model.`, `ema.`. Where a
file holds the network and its average, the average is taken, as timm does. Of
any other name are words that all keys share, such as `backbone.`.
"""

import re
from collections.abc import Callable, Iterable

# Words that mean an average; then those that mean nothing here.
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
_WORDS = (
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
_ORDERED = "|".join(sorted(_WORDS, key=len, reverse=True))
_PREFIX = re.compile(rf"(?:(?:{_ORDERED})[./])+")
# Counters that keepers of averages have beside the network.
_COUNTERS = re.compile(
  r"(?:.*[./])?(n_averaged|num_updates|decay|initted|step|updates|collected)"
)


def find(
  keys: Iterable[str], is_network: Callable[[list[str]], bool]
) -> tuple[str, list[str]]:
  """Returns the prefix of a network in a file, and the keys that are passed by.

  Args:
    keys: of the file.
    is_network: whether keys without a prefix are those of a network.

  Returns:
    (prefix, keys of another copy of the network and of counters); the prefix is
    "" where the keys have none, or none makes them those of a network.

  Raises:
    ValueError: there are several networks, of which none is the average.
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
  """Returns the words, of any name, before all keys of a network; else ""."""
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
      f"it holds several networks, under {', '.join(map(repr, found))}: keep "
      "one of them in a file of its own"
    )
  return found[0]


def _is_average(prefix: str) -> bool:
  return any(word in _AVERAGES for word in re.split(r"[./]", prefix))
