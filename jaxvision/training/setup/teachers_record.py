"""The record of a run's teachers, WORKDIR/teachers.json, and its comparison.

It contains a digest of each teacher. A run that is resumed with other teachers
would give wrong results without an error.
"""

import logging
import pathlib
from collections.abc import Mapping

from jaxvision import checkpoint, files
from jaxvision.processes import agreement

_RECORD = "teachers.json"
_LOGGER = logging.getLogger(__name__)


def check(workdir: pathlib.Path, digests: Mapping[str, str]) -> None:
  """Compares the teachers with the record of the run; writes a missing record.

  Warns if a run that has been started has no record.

  Args:
    workdir: the run's folder.
    digests: of the teachers, by name.

  Raises:
    ValueError: the run was started with other teachers.
  """
  if digests:
    agreement.first(lambda: _check(workdir, digests))


def _check(workdir: pathlib.Path, digests: Mapping[str, str]) -> None:
  path = workdir / _RECORD
  now = [{"name": k, "digest": digest} for k, digest in digests.items()]
  if not path.exists():
    if checkpoint.newest(workdir) is not None:
      _LOGGER.warning(
        "%s is missing: the teachers are not compared with those of the start",
        path,
      )
    files.write_json(path, {"teachers": now})
    return
  remedy = "restore it, or train a new run in another --workdir"
  then = files.read_json(path, remedy=remedy)["teachers"]
  if [each["digest"] for each in then] == [each["digest"] for each in now]:
    return
  old = ", ".join(f"{each['name']} ({each['digest'][:8]})" for each in then)
  new = ", ".join(f"{each['name']} ({each['digest'][:8]})" for each in now)
  raise ValueError(
    f"the run in {workdir} learns from other teachers: {old} at its start, "
    f"{new} now; restore the teachers, or train a new run in another --workdir"
  )
