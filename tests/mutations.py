"""Damaged copies of files, as from faulty disks and networks, or attackers.

Every function is pure: the same generator makes the same damage.
"""

import numpy as np

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
  """Returns the content with one to three kinds of damage."""
  for _ in range(rng.integers(1, 4)):
    content = _DAMAGES[rng.integers(len(_DAMAGES))](content, rng)
  return content


def _flip(content: bytes, rng: np.random.Generator) -> bytes:
  """Flips a few bits, more often near the beginning, where headers are."""
  changed = bytearray(content)
  for _ in range(rng.integers(1, 9)):
    if changed:
      place = int(len(changed) * rng.random() ** 3)
      changed[place] ^= 1 << rng.integers(8)
  return bytes(changed)


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
  return content[: rng.integers(len(content) + 1)]


def _extreme(content: bytes, rng: np.random.Generator) -> bytes:
  """Replaces a number of one to eight bytes by an extreme value."""
  place = int(len(content) * rng.random() ** 3)
  width = int(2 ** rng.integers(4))
  value = bytes([_EXTREMES[rng.integers(len(_EXTREMES))]]) * width
  return content[:place] + value + content[place + width :]


def _without(content: bytes, rng: np.random.Generator) -> bytes:
  first, last = sorted(rng.integers(len(content) + 1, size=2).tolist())
  return content[:first] + content[last:]


def _twice(content: bytes, rng: np.random.Generator) -> bytes:
  first, last = sorted(rng.integers(len(content) + 1, size=2).tolist())
  return content[:last] + content[first:]


def _noise(content: bytes, rng: np.random.Generator) -> bytes:
  place = rng.integers(len(content) + 1)
  noise = rng.bytes(int(rng.integers(1, 64)))
  return content[:place] + noise + content[place + len(noise) :]


_DAMAGES = (_flip, _flip, _cut, _extreme, _extreme, _without, _twice, _noise)
