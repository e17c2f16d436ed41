"""The scores of a file of captions against files of references."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence

from jaxvision import data, lookup
from jaxvision.metrics import text

_SPLIT = "test"  # of files with splits

# Id or file name of an image -> its captions.
Captions = Mapping[str, Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Scores:
  """The scores of captions.

  Attributes:
    images: number of images.
    references: smallest and largest number of references of an image.
    empty: ids of the images whose caption is empty; each scores 0.
    values: "bleu1" to "bleu4", "rouge_l" and "cider" as in COCO's evaluation;
      "sacrebleu"; "rouge1", "rouge2", "rougeL" and "rougeLsum", mean F1.
      All are in [0, 1], CIDEr-D in [0, 10].
    signatures: the settings of the first six, of "sacrebleu" and of the last
      four, by "coco", "sacrebleu" and "rouge".
  """

  images: int
  references: tuple[int, int]
  empty: tuple[str, ...]
  values: dict[str, float]
  signatures: dict[str, str]


def score(
  hypotheses: str | os.PathLike,
  references: Sequence[str | os.PathLike],
  *,
  split: str = "",
  stem: bool = False,
) -> Scores:
  """Scores captions in a file against references in one or more files.

  Args:
    hypotheses: a file with one caption for each image, in a form that
      `data.read_captions` reads.
    references: files of the same images with one or more captions.
    split: of references with splits, such as dataset_coco.json; "" is "test".
    stem: whether ROUGE compares stems of words, see `text.rouge`.

  Raises:
    FileNotFoundError: a file does not exist.
    ValueError: a file is damaged, or the files do not fit each other. The
      message lists the images.
  """
  given = _one_each(data.read_captions(pathlib.Path(hypotheses)), hypotheses)
  expected = _merged(references, split, given)
  _check_same(given, expected, os.fspath(hypotheses), references)
  texts = [given[key] for key in expected]
  others = list(expected.values())
  numbers = list(map(len, others))
  means = text.mean_rouge(texts, others, stem=stem)
  return Scores(
    images=len(texts),
    references=(min(numbers), max(numbers)),
    empty=tuple(key for key in expected if not given[key]),
    values={
      **text.caption_scores(texts, others),
      "sacrebleu": text.corpus_bleu(texts, others).score,
      **{kind: each.f1 for kind, each in means.items()},
    },
    signatures={
      "coco": text.signature(others, tokenizer="coco", smoothing="none"),
      "sacrebleu": text.signature(others),
      "rouge": f"f1|stem:{'yes' if stem else 'no'}",
    },
  )


def _one_each(
  found: Sequence[data.Captioned], path: str | os.PathLike
) -> dict[str, str]:
  several = [each.key for each in found if len(each.captions) != 1]
  if several:
    raise ValueError(
      f"{path}: {len(several):,} of {len(found):,} images have not one caption "
      f"to score, but none or several: {data.listed(several)}; give one for "
      "each"
    )
  return {each.key: each.captions[0] for each in found}


def _merged(
  paths: Sequence[str | os.PathLike], split: str, given: Iterable[str]
) -> dict[str, list[str]]:
  """The references of all files, which must have the same images."""
  merged: dict[str, list[str]] = {}
  for path in paths:
    found = _references(pathlib.Path(path), split, set(given))
    if merged and merged.keys() != found.keys():
      different = sorted(merged.keys() ^ found.keys())
      raise ValueError(
        f"{paths[0]} and {path} have references of different images: "
        f"{len(different):,} are in one of them only: {data.listed(different)}"
      )
    for key, captions in found.items():
      merged.setdefault(key, []).extend(captions)
  return merged


def _references(
  path: pathlib.Path, split: str, given: set[str]
) -> dict[str, Sequence[str]]:
  """The references of a file, by id, or by file name if `given` has those."""
  found = data.read_captions(path)
  splits = sorted({each.split for each in found} - {""})
  if splits:
    split = split or _SPLIT
    if split not in splits:
      raise ValueError(f"{path}: {lookup.unknown('split', split, splits)}")
    found = [each for each in found if each.split == split]
  elif split:
    raise ValueError(f"{path} has no splits, but --split is {split!r}; omit it")
  data.check_captions(found, where=os.fspath(path))
  by_id = {each.key: each.captions for each in found}
  by_name = {pathlib.PurePath(each.file).name: each.captions for each in found}
  are_names = by_name.keys() & given and not by_id.keys() & given
  return by_name if are_names else by_id


def _check_same(
  given: Captions,
  expected: Captions,
  hypotheses: str,
  references: Sequence[str | os.PathLike],
) -> None:
  missing = [key for key in expected if key not in given]
  unknown = [key for key in given if key not in expected]
  where = ", ".join(map(os.fspath, references))
  problems = []
  if missing:
    problems.append(
      f"{hypotheses} has no caption for {len(missing):,} of {len(expected):,} "
      f"images of {where}: {data.listed(missing)}"
    )
  if unknown:
    problems.append(
      f"{len(unknown):,} of the {len(given):,} images of {hypotheses} have no "
      f"reference in {where}: {data.listed(unknown)}"
    )
  if problems:
    raise ValueError(f"{'; '.join(problems)}; both must have the same images")
