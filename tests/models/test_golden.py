"""Our logits equal the stored logits of public implementations.

`PYTHONPATH=tests python tests/parity/test_models.py` stores the logits if these
implementations are installed.
"""

import numpy as np
import pytest
from parity import all_families, case

from jaxvision import models

GOLDEN = [name for name, each in all_families.CASES.items() if each.golden]


# NASNet takes long to compile, however small.
@pytest.mark.matrix(every=4)
@pytest.mark.parametrize(
  "name",
  [
    pytest.param(name, marks=[pytest.mark.slow] if "nasnet" in name else [])
    for name in GOLDEN
  ],
)
def test_logits_are_the_stored_ones(name):
  stored = np.load(all_families.GOLDEN_LOGITS / f"{name}.npy")
  ours = case.our_logits(all_families.CASES[name])
  assert case.difference(ours, stored) < 1e-4


def test_every_stored_file_is_compared():
  stored = {path.stem for path in all_families.GOLDEN_LOGITS.glob("*.npy")}
  assert stored == set(GOLDEN)


def test_every_model_is_counted():
  assert set(all_families.read_counts()) == set(models.names())


def test_every_case_was_compared():
  compared = {k: row[:3] for k, row in all_families.read_parity().items()}
  assert compared == {
    name: (each.model, all_families.against(each), each.image_size)
    for name, each in all_families.CASES.items()
  }
