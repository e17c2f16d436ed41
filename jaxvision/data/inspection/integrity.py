"""Checks that the files of a prepared data set are complete."""

import pathlib
from typing import Any

from jaxvision.data.inspection import finding
from jaxvision.data.sources import prepared

_LISTED = 3  # files in one finding


def check_files(found: prepared.Prepared) -> list[finding.Finding]:
  """Problems of the shards of a data set and of the files beside them.

  Shards of array_record are opened and their records counted. Shards of
  TFRecord have no count; they are scanned when the data set is opened.

  Args:
    found: a prepared data set.
  """
  import tensorflow_datasets as tfds

  again = (
    f"copy them again from their source, or remove {found.directory} and "
    "prepare the data set again"
  )
  splits = tfds.builder_from_directory(found.directory).info.splits
  findings = []
  for name in found.splits:
    paths = [pathlib.Path(path) for path in splits[name].filepaths]
    problems = [
      problem
      for path, length in zip(paths, splits[name].shard_lengths, strict=True)
      if (problem := _problem(path, length, found.file_format))
    ]
    if problems:
      listed = "; ".join(problems[:_LISTED])
      text = f"{len(problems)} of {len(paths)} shards of {name}: {listed}"
      findings.append(finding.Finding("error", text, again))
  return [*findings, *_check_surroundings(found)]


def _problem(path: pathlib.Path, length: int, file_format: str) -> str:
  """The problem of a shard; empty if there is none."""
  if not path.is_file():
    return f"{path.name} is missing"
  if file_format != "array_record":
    return ""
  records = _count(path)
  if isinstance(records, str):
    return f"{path.name} is damaged or truncated ({records})"
  if records != length:
    return f"{path.name} has {records:,} records, not {length:,}"
  return ""


def _count(path: pathlib.Path) -> int | str:
  """The number of records of a shard, or the reason why it cannot be read."""
  from array_record.python import array_record_module

  try:
    reader: Any = array_record_module.ArrayRecordReader(str(path))
    count = reader.num_records()
    if count:
      reader.read([count - 1])
    reader.close()
  except Exception as error:  # the library does not document its exceptions
    return (str(error) or type(error).__name__).splitlines()[0]
  return count


def _check_surroundings(found: prepared.Prepared) -> list[finding.Finding]:
  findings = []
  if found.file_format == "tfrecord":
    indexed = list(found.directory.glob(".jaxvision-*-records.npz"))
    if len(indexed) < len(found.splits):
      findings.append(
        finding.Finding(
          "note",
          f"{found.directory} is TFRecord without an index; the first run "
          "scans all shards to build it",
          "nothing, or prepare it as array_record: `jaxvision data prepare "
          f"{found.name} --source={found.directory.parents[1]} "
          "--data_dir=ELSEWHERE`",
        )
      )
  for unfinished in sorted(found.directory.parent.glob("*.unfinished")):
    findings.append(
      finding.Finding(
        "note",
        f"{unfinished} belongs to an unfinished preparation",
        "repeat the preparation to resume it, or remove this folder",
      )
    )
  return findings
