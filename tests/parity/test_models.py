"""Compares our logits and counts with those of public implementations.

Needs `requirements-parity.txt`, which `make test-parity` installs. As a script
it rewrites the references of other tests: the stored logits, and the tables of
counts and of differences. Arguments are the names of cases and models; without
arguments all are used:

  PYTHONPATH=tests python tests/parity/test_models.py [NAME...]
"""

import csv
import pathlib
import sys
from collections.abc import Container, Mapping

import numpy as np
import pytest

from parity import all_families, case

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("name", all_families.CASES)
def test_logits_are_those_of_the_public_implementation(name, record_property):
  each = all_families.CASES[name]
  difference = case.difference(
    case.our_logits(each), case.reference_logits(each)
  )
  record_property("max relative difference", difference)
  assert difference < 1e-4


@pytest.mark.parametrize("name", all_families.COUNTS)
def test_counts_are_those_of_the_public_implementation(name):
  parameters, gmacs, source = all_families.read_counts()[name]
  count = all_families.COUNTS[name]
  assert source == count.source
  counted_parameters, macs = count.measure()
  assert parameters == counted_parameters
  assert gmacs == pytest.approx(macs / 1e9, abs=1e-4)


def _write_logits(names: list[str]) -> None:
  compared = {}
  for name in names:
    each = all_families.CASES[name]
    logits = case.reference_logits(each)
    difference = case.difference(case.our_logits(each), logits)
    print(f"{name}: max relative difference {difference:.1e}")
    if each.golden:
      np.save(all_families.GOLDEN_LOGITS / f"{name}.npy", logits)
    reference = all_families.against(each)
    # More digits differ from machine to machine.
    rounded = float(f"{difference:.0e}")
    compared[name] = (each.model, reference, each.image_size, rounded)
  _update(
    all_families.PARITY_FILE,
    ("case", "model", "reference", "image_size", "difference"),
    all_families.read_parity() | compared,
    known=all_families.CASES,
  )


def _write_counts(names: list[str]) -> None:
  counted = {}
  for name in names:
    count = all_families.COUNTS[name]
    parameters, macs = count.measure()
    counted[name] = (parameters, round(macs / 1e9, 5), count.source)
    print(f"{name}: {parameters:,} parameters, {macs / 1e9:.4f} GMACs")
  _update(
    all_families.COUNTS_FILE,
    ("model", "parameters", "gmacs", "source"),
    all_families.read_counts() | counted,
    known=all_families.COUNTS,
  )


def _update(
  path: pathlib.Path,
  header: tuple[str, ...],
  rows: Mapping[str, tuple],
  *,
  known: Container[str],
) -> None:
  """Writes all known rows, sorted by name."""
  with path.open("w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows((n, *rows[n]) for n in sorted(rows) if n in known)


if __name__ == "__main__":
  case.require("torch", "torchvision", "timm")
  chosen = set(sys.argv[1:])
  for write, known in (
    (_write_logits, all_families.CASES),
    (_write_counts, all_families.COUNTS),
  ):
    write([name for name in known if not chosen or name in chosen])
