"""docs/models.md and the table of models in the README, from the code."""

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType

from parity import all_families

from jaxvision import models

_HEAD = """# Models

`PYTHONPATH=tests python tests/docs/test_pages.py` writes this page from the
code. Edit the code instead.

`models.create(name, num_classes=10, **options)` creates a model.
`--config.model.name` and `--config.model.options.KEY=VALUE` choose the model of
a training. Images are (b, h, w, c) and normalised; logits are (b, num_classes)
float32. Parameters are float32, also with `dtype="bfloat16"`, the type of the
computation. `jaxvision models NAME` prints the layers of a model with their
output shapes, parameters and multiply-accumulates.

- Parameters and GMACs (10^9 multiply-accumulates of the forward pass of one
  image) are for 1000 classes at the native size. The last column names the
  public implementation that was counted, in
  [counts.csv](../tests/golden/counts.csv): parameters are equal, and GMACs are
  equal within 0.5 %.
- Top-1 is the published accuracy of published weights on ImageNet's validation
  split, in percent. It is not a result of a training here.
- The default "by name" means that the value differs between the names.
  [activations.md](activations.md) lists the activations.
- [A comparison](#comparison-with-public-implementations) has the differences of
  the logits.
"""
_PARITY = """## Comparison with public implementations

A public implementation and the model here get the same random weights and
images, in float32 on a CPU. The difference is the largest difference between
their logits, divided by the largest logit. `make test-parity` repeats the
comparison and requires less than 1e-4. `make test` compares some of the cases
with stored logits.
"""


def page() -> str:
  """Returns the text of docs/models.md."""
  sections = [_section(family) for family in _families()]
  return "\n".join([_HEAD, *sections, _PARITY, _parity_table() + "\n"])


def readme_table() -> str:
  """Returns a row per family: models, parameters and papers."""
  rows = []
  for family in _families():
    specs = [models.spec(name) for name in family.VARIANTS]
    counts = [spec.parameters for spec in specs]
    rows.append(
      (
        f"[{_stem(family)}](docs/models.md#{_stem(family)})",
        _code(family.VARIANTS),
        _millions(min(counts), max(counts)),
        "; ".join(dict.fromkeys(_authors(spec.paper) for spec in specs)),
      )
    )
  return _table(("family", "names", ">parameters", "from"), rows)


def _families() -> list[ModuleType]:
  """Returns the files of jaxvision/models, sorted by name."""
  modules = {each["module"].__module__ for each in models.VARIANTS.values()}
  return [sys.modules[name] for name in sorted(modules)]


def _stem(family: ModuleType) -> str:
  return family.__name__.rpartition(".")[2]


def _section(family: ModuleType) -> str:
  title, _, notes = inspect.getdoc(family).partition("\n")
  stem = _stem(family)
  parts = [
    f"## {stem}",
    title,
    notes.strip(),
    f"Source: [{stem}.py](../jaxvision/models/{stem}.py).",
    _variant_table(family),
    _papers(family),
  ]
  names = {}  # of the variants of each Linen module
  for name, variant in family.VARIANTS.items():
    names.setdefault(variant["module"], []).append(name)
  for module, variants in names.items():
    of = f" of {_code(variants)}" if len(names) > 1 else ""
    parts += [f"Options{of}:", _option_table(module, variants)]
  return "\n\n".join(part for part in parts if part) + "\n"


def _variant_table(family: ModuleType) -> str:
  counts = all_families.read_counts()
  rows = []
  for spec in map(models.spec, family.VARIANTS):
    rows.append(
      (
        f"`{spec.name}`",
        str(spec.image_size),
        f"{spec.parameters:,}",
        f"{spec.gmacs:,.4g}",
        "" if spec.top1 is None else str(spec.top1),
        spec.top1_source,
        counts[spec.name][2],
      )
    )
  header = ("name", ">image", ">parameters", ">GMACs", ">top-1")
  return _table((*header, "published by", "counted by"), rows)


def _papers(family: ModuleType) -> str:
  papers = {}
  for spec in map(models.spec, family.VARIANTS):
    papers.setdefault(spec.paper, []).append(spec.name)
  if len(papers) == 1:
    return f"From {next(iter(papers))}."
  lines = [f"- {_code(names)}: {paper}" for paper, names in papers.items()]
  return "\n".join(["From", "", *lines])


def _option_table(module: type, names: Sequence[str]) -> str:
  """A row per attribute, with its default if it is the same for all names."""
  meanings = _meanings(module)
  chosen = {key for name in names for key in models.VARIANTS[name]["options"]}
  rows = []
  for field in dataclasses.fields(module):
    if field.name in ("num_classes", "parent", "name"):
      continue
    default = "by name" if field.name in chosen else f"`{field.default!r}`"
    rows.append((f"`{field.name}`", default, meanings[field.name]))
  return _table(("option", "default", "meaning"), rows)


def _meanings(module: type) -> dict[str, str]:
  """{attribute: meaning} by the docstring, and the class it refers to."""
  text = inspect.getdoc(module).partition("\nAttributes:")[2]
  referred = re.match(r" as in `(\w+)`", text)
  known = {}
  if referred:
    known = _meanings(getattr(sys.modules[module.__module__], referred[1]))
  entries = re.findall(r"^  (\w+): (.*(?:\n    .*)*)", text, re.MULTILINE)
  return known | {name: " ".join(words.split()) for name, words in entries}


def _parity_table() -> str:
  parity = all_families.read_parity()
  rows = []
  for name, case in all_families.CASES.items():
    options = ", ".join(f"{k}={v!r}" for k, v in case.options.items())
    model, reference, image_size, difference = parity[name]
    rows.append(
      (
        f"`{name}`",
        f"`{model}`" + (f" with `{options}`" if options else ""),
        str(image_size),
        reference,
        f"{difference:.0e}",
      )
    )
  header = ("case", "model", ">image", "reference", ">difference")
  return _table(header, rows)


def _authors(paper: str) -> str:
  """ "Tan and Le 2019" of a paper; all of a source that has no year."""
  found = re.match(r".*?\b\d{4}\b", paper)
  return found[0] if found else paper


def _millions(least: int, most: int) -> str:
  texts = [f"{count / 1e6:,.1f} M" for count in (least, most)]
  return " to ".join(dict.fromkeys(texts))


def _code(names: Iterable[str]) -> str:
  return ", ".join(f"`{name}`" for name in names)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """Returns a Markdown table; columns that begin with ">" are numbers."""
  rule = ["---:" if name.startswith(">") else "---" for name in header]
  names = [name.removeprefix(">") for name in header]
  cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
  lines = [f"| {' | '.join(row)} |" for row in (names, *cells)]
  return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]])
