"""All comparisons and all counts, by name."""

import csv
import importlib
import pathlib

from parity.case import Case, Count

_HERE = pathlib.Path(__file__).parent
# The files that are not a family.
_OTHERS = ("__init__", "all_families", "case", "torch_side")
_FAMILIES = [
  importlib.import_module(f"parity.{path.stem}")
  for path in sorted(_HERE.glob("*.py"))
  if path.stem not in _OTHERS and not path.stem.startswith("test_")
]

CASES: dict[str, Case] = {
  name: case for each in _FAMILIES for name, case in each.CASES.items()
}
COUNTS: dict[str, Count] = {
  name: count for each in _FAMILIES for name, count in each.COUNTS.items()
}
GOLDEN_LOGITS = _HERE.parent / "golden" / "logits"
COUNTS_FILE = _HERE.parent / "golden" / "counts.csv"
PARITY_FILE = _HERE.parent / "golden" / "parity.csv"


def read_counts() -> dict[str, tuple[int, float, str]]:
  """{model: (parameters, GMACs, source)} of the last count."""
  with COUNTS_FILE.open(encoding="utf-8", newline="") as file:
    return {
      row["model"]: (int(row["parameters"]), float(row["gmacs"]), row["source"])
      for row in csv.DictReader(file)
    }


def against(case: Case) -> str:
  """Returns the reference of a case: package, version, name there."""
  return case.against or COUNTS[case.model].source


def read_parity() -> dict[str, tuple[str, str, int, float]]:
  """{case: (model, reference, image size, difference)} of the last run."""
  with PARITY_FILE.open(encoding="utf-8", newline="") as file:
    return {
      row["case"]: (
        row["model"],
        row["reference"],
        int(row["image_size"]),
        float(row["difference"]),
      )
      for row in csv.DictReader(file)
    }
