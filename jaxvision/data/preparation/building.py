"""Builds a prepared data set; it appears on disk only when it is complete.

Unfinished work is in DATA_DIR/NAME/VERSION.unfinished; the same call resumes
it. Examples are ordered by the hashes of their file names. So they are
shuffled, and the order is the same for archives and folders.
"""

import hashlib
import logging
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxvision import files
from jaxvision.data import dataset
from jaxvision.data.preparation import encoding, recipe, shards, unfinished
from jaxvision.data.sources import splits as slices
from jaxvision.processes import progress

_LOGGER = logging.getLogger(__name__)
# The record of the options and problems of the preparation.
_REPORT = "preparation.json"
_INFO = "dataset_info.json"
_LISTED = 5  # images in a message


def build(
  of: recipe.Recipe,
  load: Callable[[pathlib.Path], recipe.Splits],
  data_dir: pathlib.Path,
  *,
  resize_small: int,
  quality: int,
  threads: int,
  allow_partial: bool,
) -> pathlib.Path:
  """Writes a data set, or its missing parts, as array_record.

  Several processes may call it at the same time: one writes, the others wait.

  Args:
    of: the recipe.
    load: (a folder for unpacked files) -> the splits.
    data_dir: of all data sets.
    resize_small, quality: see `encoding.make_encoder`.
    threads: number of threads that write shards.
    allow_partial: accepts fewer examples than were published, and skips
      unreadable images.

  Returns:
    DATA_DIR/NAME/VERSION.

  Raises:
    ValueError: there are too few or too many examples, images cannot be read,
      or the unfinished work has other files or options.
  """
  options = {"resize_small": resize_small, "quality": quality}
  encode = encoding.make_encoder(of.encoding, channels=of.shape[2], **options)
  final = data_dir / of.name / of.version
  work = final.with_name(f"{of.version}.unfinished")
  with unfinished.locked(work):
    if not final.exists():
      splits = load(_folder(work, "unpacked"))
      splits = {k: each for k, each in splits.items() if each.num_examples}
      _check_counts(of, splits, allow_partial)
      planned = _plan(of, splits, work)
      _check_same(work, planned, options)
      total = sum(each.num_examples for each in splits.values())
      with progress.open_bar(of.name, total=total, unit="examples") as advance:
        written = {
          split: shards.write(
            each, encode=encode, threads=threads, advance=advance
          )
          for split, each in planned.items()
        }
      report = {"options": options, **_report(written)}
      _check_readable(report["left_out"], work, allow_partial)
      _write_metadata(of, splits, written, report, work / "result")
      (work / "result").rename(final)
      _warn(report, final)
    shutil.rmtree(work, ignore_errors=True)
  return final


def options_of(directory: pathlib.Path) -> dict[str, int]:
  """The options that a data set was prepared with."""
  path = directory / _REPORT
  if not path.exists():  # prepared by tensorflow-datasets, which keeps images
    return {"resize_small": 0, "quality": 0}
  remedy = f"remove {directory} and prepare the data set again"
  found = files.read_json(path, remedy=remedy).get("options")
  if not isinstance(found, dict):
    raise ValueError(f"{path} is damaged: it has no options; {remedy}")
  return found


def _folder(work: pathlib.Path, name: str) -> pathlib.Path:
  folder = work / name
  folder.mkdir(exist_ok=True)
  return folder


def _plan(
  of: recipe.Recipe, splits: recipe.Splits, work: pathlib.Path
) -> dict[str, list[shards.Shard]]:
  result, notes = _folder(work, "result"), _folder(work, "notes")
  return {
    name: shards.plan(
      result,
      each,
      _order(of, each),
      notes=notes,
      shard_size=of.shard_size,
      fields=tuple(of.fields),
    )
    for name, each in splits.items()
  }


def _order(of: recipe.Recipe, split: dataset.Dataset) -> list[int]:
  """The examples, sorted by the hashes of their classes and file names.

  If the recipe is stratified, this order is changed into a stratified one.
  """
  names = split.ids(range(split.num_examples))
  labels = split.labels().tolist()
  keys = [
    f"{label}/{pathlib.PurePath(name).name}".encode()
    for label, name in zip(labels, names, strict=True)
  ]
  hashes = [hashlib.blake2b(key, digest_size=8).digest() for key in keys]
  hashed = sorted(range(len(keys)), key=lambda i: (hashes[i], keys[i]))
  if not of.stratified:
    return hashed
  ranked = slices.stratified_order(np.asarray(labels)[hashed])
  return [hashed[place] for place in ranked.tolist()]


def _check_counts(
  of: recipe.Recipe, splits: recipe.Splits, allow_partial: bool
) -> None:
  found = {name: each.num_examples for name, each in splits.items()}
  wrong = [
    f"{found.get(name, 0):,} of {count:,} examples of {name}"
    for name, count in of.counts.items()
    if found.get(name, 0) != count
  ]
  if not found:
    raise ValueError(
      f"the source contains no example of {of.name}; check --source"
    )
  if wrong and not allow_partial:
    raise ValueError(
      f"the source contains {', '.join(wrong)} of {of.name}; complete the "
      "source, or accept a part of it with --allow_partial"
    )


def _check_same(
  work: pathlib.Path,
  planned: Mapping[str, list[shards.Shard]],
  options: Mapping[str, int],
) -> None:
  """Checks that existing shards belong to the planned ones."""
  plan = {"options": dict(options)}
  for name, each in planned.items():
    digest = hashlib.blake2b(digest_size=16)
    for shard in each:
      for key in shard.split.ids(shard.indices):
        digest.update(pathlib.PurePath(key).name.encode() + b"\n")
    plan[name] = [len(each), digest.hexdigest()]
  path = work / "plan.json"
  if not path.exists():
    return files.write_json(path, plan)
  remedy = f"remove {work} to start again"
  begun = {"options": "unknown", **files.read_json(path, remedy=remedy)}
  if begun != plan:
    change = [
      key for key in {**begun, **plan} if begun.get(key) != plan.get(key)
    ]
    raise ValueError(
      f"{work} was started with different {' and '.join(change)} (before "
      f"{begun['options']}, now {plan['options']}); give the same options and "
      "source, or remove this folder to start again"
    )


def _report(written: Mapping[str, list[shards.Written]]) -> dict[str, Any]:
  every = [shard for each in written.values() for shard in each]
  return {
    "repaired": {k: v for shard in every for k, v in shard.repaired.items()},
    "left_out": {k: v for shard in every for k, v in shard.left_out.items()},
  }


def _check_readable(
  left_out: Mapping[str, str], work: pathlib.Path, allow_partial: bool
) -> None:
  if left_out and not allow_partial:
    first = list(left_out.items())[:_LISTED]
    listed = "; ".join(f"{name}: {reason}" for name, reason in first)
    raise ValueError(
      f"{len(left_out)} images cannot be read: {listed}; skip them with "
      f"--allow_partial, or repair the source, remove {work} and start again"
    )


def _write_metadata(
  of: recipe.Recipe,
  splits: recipe.Splits,
  written: Mapping[str, list[shards.Written]],
  report: Mapping[str, Any],
  folder: pathlib.Path,
) -> None:
  """Writes the metadata for tensorflow-datasets, and our report."""
  import tensorflow_datasets as tfds

  names = next(iter(splits.values())).class_names
  tfds.features.FeaturesDict(
    {
      "image": tfds.features.Image(shape=of.shape, encoding_format=of.encoding),
      "label": tfds.features.ClassLabel(names=list(names)),
      "file_name": tfds.features.Text(),
      **{
        name: tfds.features.Text()
        if kind == "text"
        else tfds.features.Image(shape=(None, None, 1), encoding_format="png")
        for name, kind in of.fields.items()
      },
    }
  ).save_config(os.fspath(folder))
  info = {
    "name": of.name,
    "version": of.version,
    "description": f"Made of {', '.join(of.files)} by jaxvision.",
    "location": {"urls": [of.address]},
    "fileFormat": "array_record",
    "supervisedKeys": {
      "tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}
    },
    "splits": [
      {
        "name": name,
        "filepathTemplate": shards.TEMPLATE,
        "numBytes": str(sum(shard.num_bytes for shard in each)),
        "shardLengths": [str(shard.num_examples) for shard in each],
      }
      for name, each in written.items()
    ],
  }
  for name, content in ((_REPORT, report), (_INFO, info)):
    files.write_json(folder / name, content)


def _warn(report: Mapping[str, Any], final: pathlib.Path) -> None:
  for key, text in (
    ("repaired", "%d images were re-encoded, see %s"),
    ("left_out", "%d images cannot be read and were skipped, see %s"),
  ):
    if report[key]:
      _LOGGER.warning(text, len(report[key]), final / _REPORT)
