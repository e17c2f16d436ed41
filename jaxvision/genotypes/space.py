"""A space of genotypes: a list of decisions."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping


@dataclasses.dataclass(frozen=True)
class Space:
  """Decisions, and the genotypes to which they lead.

  Attributes:
    name: as the user writes it: "nasnet(blocks=5)".
    decisions: name of the decision -> its labels, in the order in which a
      controller decides.
    write: {decision: label} -> genotype.
    identify: genotype -> short hash; it is equal for equivalent cells.
  """

  name: str
  decisions: Mapping[str, tuple[str, ...]]
  write: Callable[[Mapping[str, str]], str]
  identify: Callable[[str], str]


def digest(text: str) -> str:
  """Returns a hash of 12 hexadecimal digits."""
  return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
