"""Worker processes that fill the rows of batches in shared memory.

The rows of every batch are divided among all workers, so that the memory does
not grow with their number: there are _AHEAD batches in addition to those that
the receiver holds. A batch is not copied. Its memory is reused when none of its
arrays is referenced any more.

A worker is a separate Python process that imports neither JAX nor the main
module of the program. It receives requests as pickles on stdin and sends
answers as pickles on stdout. If a worker dies, its stdout ends, and a new
worker fills its rows. If several workers in a row die at the same batch, this
is an error. If the parent process dies, stdin ends, and the worker exits.
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

_DIES_WITHIN = 10.0  # seconds that a worker gets to exit after stdout ends
_REPLACED = 2  # replacements of a worker that dies at the same batch
_AHEAD = 2  # batches in preparation while one is used
_ALIGNMENT = 64  # bytes; a cache line
# Schedulers send these signals to every process of a job. Workers ignore them,
# so that the parent can finish its step. They exit when the requests end.
_IGNORED_SIGNALS = (
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
  """Shared memory for batches: an unnamed file that all processes map.

  Attributes:
    file: the file descriptor.
    layout: name -> (shape, dtype) of the arrays of a batch.
    places: the memory map of each existing place for a batch, by number.
    free: the numbers of the unused places.
  """

  file: int
  layout: Layout
  places: dict[int, mmap.mmap] = dataclasses.field(default_factory=dict)
  free: list[int] = dataclasses.field(default_factory=list)

  def place(self, number: int) -> mmap.mmap:
    """Maps a place; creates it if it does not exist."""
    if number not in self.places:
      size = _size(self.layout)
      if os.fstat(self.file).st_size < (number + 1) * size:
        os.ftruncate(self.file, (number + 1) * size)
      self.places[number] = mmap.mmap(self.file, size, offset=number * size)
    return self.places[number]

  def reserve(self) -> tuple[int, Batch]:
    """Reserves an unused place until its arrays are no longer referenced."""
    number = self.free.pop() if self.free else len(self.places)
    whole = np.frombuffer(self.place(number), np.uint8)
    weakref.finalize(whole, self.free.append, number).atexit = False
    return number, _arrays(whole, self.layout)


@dataclasses.dataclass(frozen=True)
class Worker:
  """A process that fills the same rows of every batch.

  Attributes:
    process: a process that runs `serve`.
    rows: the rows that it fills.
  """

  process: subprocess.Popen
  rows: slice


def fill_ahead(
  fill: Fill, steps: range, *, layout: Layout, workers: int
) -> Iterator[tuple[Batch, list[Any]]]:
  """Yields batches that workers fill, in the order of the steps.

  Args:
    fill: (step, rows, batch) -> result: writes these rows of the arrays. It is
      copied into the workers.
    steps: of the batches.
    layout: name -> (shape, dtype) of each array; the first axis is the rows.
    workers: number of workers, at least 1.

  Yields:
    The arrays, and the results of `fill` for the rows of each worker.

  Raises:
    Died: a worker and its replacements died; the message has the cause.
    Exception: an exception of `fill`, with the worker's traceback as a note.
  """
  remaining, pending = iter(steps), collections.deque()
  with (
    _memory(layout) as memory,
    _started(fill, memory, workers) as (pool, start_worker),
  ):

    def send(number: int) -> None:
      for step in itertools.islice(remaining, number):
        place, batch = memory.reserve()
        for worker in pool:
          _send(worker, (step, place, worker.rows))
        pending.append((step, place, batch))

    def receive(number: int, step: int, place: int) -> Any:
      for left in reversed(range(1 + _REPLACED)):
        try:
          return _receive(pool[number], step)
        except Died as death:
          if not (left and death.status < 0):
            raise
          logging.getLogger(__name__).warning("%s; it is replaced", death)
        _end(pool[number])
        pool[number] = start_worker(pool[number].rows)
        for each in [(step, place), *(sent[:2] for sent in pending)]:
          _send(pool[number], (*each, pool[number].rows))

    send(1 + _AHEAD)
    while pending:
      step, place, batch = pending.popleft()
      found = [receive(number, step, place) for number in range(workers)]
      yield batch, found
      del batch  # frees its place before the next batch is sent
      send(1)


def serve() -> None:
  """The main function of a worker: answers requests until stdin ends."""
  import cv2

  for number in _IGNORED_SIGNALS:
    signal.signal(number, signal.SIG_IGN)
  cv2.setNumThreads(1)
  requests = os.fdopen(os.dup(0), "rb")
  answers = os.fdopen(os.dup(1), "wb")
  # Output of libraries must not appear between the answers.
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
      except Exception as error:  # raised where the batch is used
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
def _started(
  fill: Fill, memory: Memory, workers: int
) -> Iterator[tuple[list[Worker], Callable[[slice], Worker]]]:
  """Starts the workers; kills them at the end of the block.

  Yields:
    The workers, and a function that starts a worker for some rows.
  """
  import cloudpickle  # pickle cannot serialize nested functions

  rows = next(iter(memory.layout.values()))[0][0]
  bounds = [rows * i // workers for i in range(workers + 1)]
  # User-defined code comes first, because unpickling the rest needs it.
  start = pickle.dumps(user_code.registered())
  start += cloudpickle.dumps((fill, memory.file, dict(memory.layout)))

  def spawn(rows: slice) -> Worker:
    process = subprocess.Popen(
      [sys.executable, "-c", _START.format(sys.path)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      pass_fds=[memory.file],
    )
    return Worker(process, rows)

  def start_worker(rows: slice) -> Worker:
    worker = spawn(rows)
    _write(worker, start)
    return worker

  pool = []
  try:
    for first, last in itertools.pairwise(bounds):
      pool.append(spawn(slice(first, last)))
    for worker in pool:
      _write(worker, start)
    yield pool, start_worker
  finally:
    for worker in pool:
      worker.process.kill()
    last = time.monotonic() + _DIES_WITHIN
    for worker in pool:
      _end(worker, last - time.monotonic())


def _end(worker: Worker, within: float = _DIES_WITHIN) -> None:
  worker.process.kill()
  # A process that waits for a disk that does not respond cannot be killed.
  with contextlib.suppress(subprocess.TimeoutExpired):
    worker.process.wait(max(0.0, within))
  with contextlib.suppress(BrokenPipeError):
    worker.process.stdin.close()
  worker.process.stdout.close()


def _send(worker: Worker, request: Any) -> None:
  _write(worker, pickle.dumps(request))


def _write(worker: Worker, content: bytes) -> None:
  # A dead worker is detected when its answer is read.
  with contextlib.suppress(BrokenPipeError):
    worker.process.stdin.write(content)
    worker.process.stdin.flush()


def _receive(worker: Worker, step: int) -> Any:
  try:
    succeeded, answer = pickle.load(worker.process.stdout)
  # A truncated pickle raises one of these.
  except (EOFError, pickle.UnpicklingError):
    try:
      status = worker.process.wait(_DIES_WITHIN)
    except subprocess.TimeoutExpired:
      worker.process.kill()
      status = worker.process.wait()
    raise Died(
      _describe_death(worker.process.pid, status, step), status
    ) from None
  if not succeeded:
    raise answer
  return answer


def _describe_death(pid: int, code: int, step: int) -> str:
  if code >= 0:
    cause = f"ended with exit code {code}; see its message above"
  else:
    name = signal.Signals(-code).name
    cause = f"was ended by {name}"
    if name == "SIGKILL":
      cause += (
        "; if the system killed it because of low memory, reduce data.workers "
        "or the batch size"
      )
  return f"data worker {pid}, filling batch {step}, {cause}"


def _portable(error: Exception) -> Exception:
  """The error with its traceback as text, which can be pickled."""
  lines = "".join(traceback.format_exception(error))
  error.add_note(f"in a data worker:\n{lines}")
  try:
    pickle.loads(pickle.dumps(error))
  except Exception:
    return RuntimeError(lines)
  return error


def _size(layout: Layout) -> int:
  """Bytes of a batch, rounded up to memory pages."""
  size = sum(_aligned(*each) for each in layout.values())
  return -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY


def _aligned(shape: tuple[int, ...], dtype: str) -> int:
  size = int(np.prod(shape)) * np.dtype(dtype).itemsize
  return -(-size // _ALIGNMENT) * _ALIGNMENT


def _arrays(whole: np.ndarray, layout: Layout) -> Batch:
  """The arrays of a batch, as consecutive views of (bytes,) uint8."""
  found, first = {}, 0
  for name, (shape, dtype) in layout.items():
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    found[name] = whole[first : first + size].view(dtype).reshape(shape)
    first += _aligned(shape, dtype)
  return found
