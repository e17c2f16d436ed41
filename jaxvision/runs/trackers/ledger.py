"""What the trackers of a run have received: WORKDIR/trackers.json.

  {"wandb": {"id": "3f0c...", "step": 40, "lines": 2, "sent": 9, "status": ""}}

The key is the tracker as the config names it. All lines of metrics.jsonl before
the step were sent, and the first `lines` lines of the step; `sent` lines in
all. `status` is that of the end that was sent; "" as long as lines may follow.
A resumed run reads the file: it continues with the same id, and sends each line
once, also if it has trained the step of the line twice.
"""

import dataclasses
import pathlib
import threading
import uuid

from jaxvision import files
from jaxvision.files import records

NAME = "trackers.json"


@dataclasses.dataclass(frozen=True)
class Entry:
  """The record of a tracker; the fields are those of the file."""

  id: str
  step: int = 0
  lines: int = 0
  sent: int = 0
  status: str = ""


def read(folder: pathlib.Path) -> dict[str, Entry]:
  """Reads the entries by tracker; {} if there is no file.

  Raises:
    ValueError: the file is damaged.
    OSError: it cannot be read.
  """
  remedy = (
    "restore it from a copy, or remove it: the trackers then begin a new run, "
    "and receive all lines"
  )
  try:
    found = records.read(folder / NAME, records.TRACKERS, remedy=remedy)
  except FileNotFoundError:
    return {}
  return {
    name: Entry(**{field: each[field] for field in records.TRACKERS["*"]})
    for name, each in found.items()
  }


def write(
  folder: pathlib.Path, name: str, entry: Entry, *, lock: threading.Lock
) -> Entry:
  """Writes the entry of a tracker, atomically, and returns it.

  Args:
    folder: of the run.
    name: of the tracker.
    entry: its new entry.
    lock: of all trackers of the run.
  """
  with lock:
    entries = {**read(folder), name: entry}
    content = {key: dataclasses.asdict(each) for key, each in entries.items()}
    files.write_json(folder / NAME, content)
  return entry


def new_entry() -> Entry:
  """The entry of a tracker that has received nothing."""
  return Entry(uuid.uuid4().hex)
