"""Worker processes that fill the rows of batches, in memory that is shared.

Every batch is divided among all workers, row by row, so that the memory does
not grow with their number: there are _AHEAD batches beyond those that the
receiver holds. A batch is not copied; its memory is used again as soon as none
of its arrays is left.

A worker is a Python process of its own that imports neither JAX nor the
program's main module. It is told what to do by pickles on its stdin, and
answers by pickles on its stdout. If it dies, its answers end, and another one
fills its rows; it is an error if that dies of the same batch again. If this
process dies, the requests end, and so does the worker.
"""

import collections
import contextlib
import dataclasses
import itertools
import logging
import mmap
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from jaxvision import user_code

Batch = dict[str, np.ndarray]
Fill = Callable[[int, slice, Batch], Any]
Layout = Mapping[str, tuple[tuple[int, ...], str]]

_DIES_WITHIN = 10.0  # seconds, after its answers have ended
_REPLACED = 2  # times a worker is replaced that dies of the same batch
_AHEAD = 2  # batches that are made while one is used
_ALIGNMENT = 64  # bytes; a cache line
# Schedulers send these to every process of a job. The parent may finish its
# step; its end is the end of the requests.
_FOR_THE_PARENT = (
  signal.SIGHUP,
  signal.SIGINT,
  signal.SIGTERM,
  signal.SIGUSR1,
  signal.SIGUSR2,
)
_START = (
  "import sys; sys.path[:] = {}; "
  "from jaxvision.data.batches import worker_processes; "
  "worker_processes.serve()"
)


class Died(RuntimeError):
  """A worker died; `status` is that of `subprocess`: -9 for a kill."""

  def __init__(self, text: str, status: int):
    super().__init__(text)
    self.status = status


@dataclasses.dataclass(frozen=True)
class Memory:
  """Places for batches in one file without a name, of which all share pages.

  Attributes:
    file: its descriptor.
    layout: name -> (shape, dtype) of the arrays of a batch.
    places: the maps of those that exist.
    free: the numbers of those that may be used.
  """

  file: int
  layout: Layout
  places: dict[int, mmap.mmap] = dataclasses.field(default_factory=dict)
  free: list[int] = dataclasses.field(default_factory=list)

  def place(self, number: int) -> mmap.mmap:
    """Maps a place, which makes it when there is none of this number."""
    if number not in self.places:
      size = _size(self.layout)
      if os.fstat(self.file).st_size < (number + 1) * size:
        os.ftruncate(self.file, (number + 1) * size)
      self.places[number] = mmap.mmap(self.file, size, offset=number * size)
    return self.places[number]

  def reserve(self) -> tuple[int, Batch]:
    """A place that nobody uses, until the arrays in it are forgotten."""
    number = self.free.pop() if self.free else len(self.places)
    whole = np.frombuffer(self.place(number), np.uint8)
    weakref.finalize(whole, self.free.append, number).atexit = False
    return number, _arrays(whole, self.layout)


@dataclasses.dataclass(frozen=True)
class Worker:
  """A process that fills the same rows of every batch.

  Attributes:
    process: see the top of this file.
    rows: those that it fills.
  """

  process: subprocess.Popen
  rows: slice


def fill_ahead(
  fill: Fill, steps: range, *, layout: Layout, workers: int
) -> Iterator[tuple[Batch, list[Any]]]:
  """Yields batches that workers fill, in the order of the steps.

  Args:
    fill: (step, rows, batch) -> anything: writes these rows of the arrays. It
      is copied into the workers.
    steps: the batches.
    layout: name -> (shape, dtype) of each array; the first axis are the rows.
    workers: how many, at least 1.

  Yields:
    The arrays, and what `fill` returned for the rows of each worker.

  Raises:
    Died: a worker died, and so did those in its place; says of what.
    Exception: whatever `fill` raised, with the worker's traceback as a note.
  """
  coming, pending = iter(steps), collections.deque()
  with _memory(layout) as memory, _crew(fill, memory, workers) as (crew, hire):

    def send(number: int) -> None:
      for step in itertools.islice(coming, number):
        place, batch = memory.reserve()
        for worker in crew:
          _send(worker, (step, place, worker.rows))
        pending.append((step, place, batch))

    def receive(number: int, step: int, place: int) -> Any:
      for left in reversed(range(1 + _REPLACED)):
        try:
          return _receive(crew[number], step)
        except Died as death:
          if not (left and death.status < 0):
            raise
          logging.getLogger(__name__).warning("%s; it is replaced", death)
        _end(crew[number])
        crew[number] = hire(crew[number].rows)
        for each in [(step, place), *(sent[:2] for sent in pending)]:
          _send(crew[number], (*each, crew[number].rows))

    send(1 + _AHEAD)
    while pending:
      step, place, batch = pending.popleft()
      found = [receive(number, step, place) for number in range(workers)]
      yield batch, found
      del batch  # so that its place is free when the next one is sent
      send(1)


def serve() -> None:
  """What a worker does: answers requests until there are none."""
  import cv2

  for number in _FOR_THE_PARENT:
    signal.signal(number, signal.SIG_IGN)
  cv2.setNumThreads(1)
  requests = os.fdopen(os.dup(0), "rb")
  answers = os.fdopen(os.dup(1), "wb")
  # What libraries print must not come between the answers.
  os.dup2(2, 1)
  for bundle in pickle.load(requests).values():
    user_code.register(bundle)
  fill, file, layout = pickle.load(requests)
  memory = Memory(file, layout)
  with contextlib.suppress(EOFError, BrokenPipeError):
    while True:
      step, place, rows = pickle.load(requests)
      batch = _arrays(np.frombuffer(memory.place(place), np.uint8), layout)
      try:
        answer = True, fill(step, rows, batch)
      except Exception as error:  # raised where the batch is taken
        answer = False, _portable(error)
      pickle.dump(answer, answers)
      answers.flush()


@contextlib.contextmanager
def _memory(layout: Layout) -> Iterator[Memory]:
  # Not a file in /dev/shm, which is small in containers.
  if hasattr(os, "memfd_create"):
    file = os.memfd_create("jaxvision")
  else:
    with tempfile.TemporaryFile() as opened:
      file = os.dup(opened.fileno())
  try:
    yield Memory(file, layout)
  finally:
    os.close(file)


@contextlib.contextmanager
def _crew(
  fill: Fill, memory: Memory, workers: int
) -> Iterator[tuple[list[Worker], Callable[[slice], Worker]]]:
  """Starts the workers; ends them on leaving, whatever they do.

  Yields:
    The workers, and what starts another one for the same rows.
  """
  import cloudpickle  # which takes functions inside functions, too

  rows = next(iter(memory.layout.values()))[0][0]
  bounds = [rows * i // workers for i in range(workers + 1)]
  # Code of the user's own comes first: what follows is made of it.
  start = pickle.dumps(user_code.registered())
  start += cloudpickle.dumps((fill, memory.file, dict(memory.layout)))

  def begin(rows: slice) -> Worker:
    process = subprocess.Popen(
      [sys.executable, "-c", _START.format(sys.path)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      pass_fds=[memory.file],
    )
    return Worker(process, rows)

  def hire(rows: slice) -> Worker:
    worker = begin(rows)
    _write(worker, start)
    return worker

  crew = []
  try:
    for first, last in itertools.pairwise(bounds):
      crew.append(begin(slice(first, last)))
    for worker in crew:
      _write(worker, start)
    yield crew, hire
  finally:
    for worker in crew:
      worker.process.kill()
    last = time.monotonic() + _DIES_WITHIN
    for worker in crew:
      _end(worker, last - time.monotonic())


def _end(worker: Worker, within: float = _DIES_WITHIN) -> None:
  worker.process.kill()
  # One that reads from a disk that does not answer is not even killed.
  with contextlib.suppress(subprocess.TimeoutExpired):
    worker.process.wait(max(0.0, within))
  with contextlib.suppress(BrokenPipeError):
    worker.process.stdin.close()
  worker.process.stdout.close()


def _send(worker: Worker, request: Any) -> None:
  _write(worker, pickle.dumps(request))


def _write(worker: Worker, content: bytes) -> None:
  # A dead worker is found when its answer is asked for.
  with contextlib.suppress(BrokenPipeError):
    worker.process.stdin.write(content)
    worker.process.stdin.flush()


def _receive(worker: Worker, step: int) -> Any:
  try:
    succeeded, answer = pickle.load(worker.process.stdout)
  # A pickle that is cut is one or the other.
  except (EOFError, pickle.UnpicklingError):
    try:
      status = worker.process.wait(_DIES_WITHIN)
    except subprocess.TimeoutExpired:
      worker.process.kill()
      status = worker.process.wait()
    raise Died(_epitaph(worker.process.pid, status, step), status) from None
  if not succeeded:
    raise answer
  return answer


def _epitaph(pid: int, code: int, step: int) -> str:
  if code >= 0:
    cause = f"ended with exit code {code}; its message stands above"
  else:
    name = signal.Signals(-code).name
    cause = f"was ended by {name}"
    if name == "SIGKILL":
      cause += (
        "; if it was the system, for want of memory, lower data.workers or "
        "the batch size"
      )
  return f"data worker {pid}, filling batch {step}, {cause}"


def _portable(error: Exception) -> Exception:
  """The error with its traceback as text, which alone can be pickled."""
  lines = "".join(traceback.format_exception(error))
  error.add_note(f"in a data worker:\n{lines}")
  try:
    pickle.loads(pickle.dumps(error))
  except Exception:
    return RuntimeError(lines)
  return error


def _size(layout: Layout) -> int:
  """Bytes of a batch, whole pages."""
  size = sum(_aligned(*each) for each in layout.values())
  return -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY


def _aligned(shape: tuple[int, ...], dtype: str) -> int:
  size = int(np.prod(shape)) * np.dtype(dtype).itemsize
  return -(-size // _ALIGNMENT) * _ALIGNMENT


def _arrays(whole: np.ndarray, layout: Layout) -> Batch:
  """The arrays of a batch, one after the other in (bytes,) uint8."""
  found, first = {}, 0
  for name, (shape, dtype) in layout.items():
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    found[name] = whole[first : first + size].view(dtype).reshape(shape)
    first += _aligned(shape, dtype)
  return found
