"""The command `jaxvision score`."""

import argparse

from jaxvision import files
from jaxvision.cli import parsing
from jaxvision.files import paths
from jaxvision.processes import console

_FORMS = (
  "Files are COCO's annotations or results, the output of predict --json, "
  "dataset_coco.json, Flickr8k.token.txt, {id: caption} or "
  "{id: [caption, ...]} in JSON, or text (.txt) with a caption a line."
)
# The signature of each group of values.
_GROUPS = {
  "coco": ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider"),
  "sacrebleu": ("sacrebleu",),
  "rouge": ("rouge1", "rouge2", "rougeL", "rougeLsum"),
}


def add(commands) -> None:
  """Declares the command."""
  command = parsing.add(
    commands,
    "score",
    _score,
    "score captions against references: BLEU, ROUGE and CIDEr-D",
    examples=(
      "score results.json coco/annotations/captions_val2017.json",
      "score captions.json coco/dataset_coco.json --split test --json",
      "score hypotheses.txt first.txt second.txt --stem",
    ),
    note=_FORMS,
  )
  command.add_argument(
    "hypotheses",
    type=paths.expanded,
    metavar="HYPOTHESES",
    help="file with one caption for each image",
  )
  command.add_argument(
    "references",
    type=paths.expanded,
    nargs="+",
    metavar="REFERENCES",
    help="files with the references of these images",
  )
  command.add_argument(
    "--split",
    default="",
    help="of references with splits: train, validation or test (default)",
  )
  command.add_argument(
    "--stem",
    action="store_true",
    help="ROUGE of stems of words; needs jaxvision[text]",
  )
  command.add_argument("--json", action="store_true", help="print JSON")


def _score(options: argparse.Namespace) -> None:
  from jaxvision import data
  from jaxvision.evaluation import captions

  found = captions.score(
    options.hypotheses,
    options.references,
    split=options.split,
    stem=options.stem,
  )
  if options.json:
    about = {"images": found.images, "references": list(found.references)}
    about["empty"] = list(found.empty)
    signatures = {"signatures": found.signatures}
    console.say(files.to_json({**about, **found.values, **signatures}))
    return
  least, most = found.references
  numbers = f"{least}" if least == most else f"{least} to {most}"
  console.say(f"{found.images:,} images, {numbers} references for each")
  if found.empty:
    console.say(
      f"empty captions, which score 0: {len(found.empty):,}, of "
      f"{data.listed(found.empty)}"
    )
  for group, names in _GROUPS.items():
    console.say(f"{group} {found.signatures[group]}")
    for name in names:
      console.say(f"  {name:<10} {found.values[name]:.4f}")
