import contextlib
import gc
import importlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from jaxvision.data.batches import worker_processes

LAYOUT = {"image": ((5, 3, 2), "uint8"), "label": ((5,), "int32")}


def fill(step, rows, batch):
  """Row r of batch s is filled with 10 s + r."""
  values = 10 * step + np.arange(5)[rows]
  batch["image"][rows] = values[:, None, None]
  batch["label"][rows] = values
  return rows.start, rows.stop


def filled(function, *, number=1, stop=6):
  # A copy by value: the workers cannot import this file.
  return worker_processes.fill_ahead(
    function, range(stop), layout=LAYOUT, workers=number
  )


def children():
  """The workers of this process that still run."""
  pids = [
    int(word)
    for file in pathlib.Path("/proc/self/task").glob("*/children")
    for word in file.read_text().split()
  ]
  return [
    pid
    for pid in sorted(pids)
    if b"import worker_processes"
    in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
  ]


def gone(pids, seconds=60):
  deadline = time.monotonic() + seconds
  while any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids):
    assert time.monotonic() < deadline
    time.sleep(0.01)
  return True


@pytest.fixture(autouse=True)
def by_value():
  """Pickles the functions of this file by value, as for a user's script."""
  cloudpickle = importlib.import_module("cloudpickle")
  cloudpickle.register_pickle_by_value(sys.modules[__name__])
  yield
  cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.mark.parametrize("number", [1, 3])
def test_batches_are_filled_in_order_whatever_the_number_of_workers(number):
  made = list(filled(fill, number=number))
  assert len(made) == 6
  for step, (batch, found) in enumerate(made):
    assert batch["image"].shape == (5, 3, 2)
    assert batch["label"].dtype == np.int32
    values = 10 * step + np.arange(5)
    np.testing.assert_array_equal(batch["label"], values)
    np.testing.assert_array_equal(batch["image"][:, 1, 1], values)
    bounds = [row for each in found for row in each]
    assert bounds[0] == 0 and bounds[-1] == 5 and bounds == sorted(bounds)


def test_memory_is_used_again_but_never_under_a_living_array():
  kept, places = [], set()
  with contextlib.closing(filled(fill, stop=40)) as made:
    for step, (batch, _) in enumerate(made):
      places.add(batch["image"].__array_interface__["data"][0])
      if step in (3, 4):
        kept.append((step, batch["label"][1:]))
      del batch
  assert len(places) <= 1 + 3 + len(kept)
  for step, labels in kept:
    np.testing.assert_array_equal(labels, 10 * step + np.arange(1, 5))


def test_errors_keep_their_type_and_tell_where_they_came_from():
  def broken(step, rows, batch):
    if step == 1 and rows.start:
      raise LookupError("no such record")

  made = filled(broken, number=2)
  next(made)
  with pytest.raises(LookupError, match="no such record") as caught:
    next(made)
  (note,) = caught.value.__notes__
  assert "in a data worker" in note and "in broken" in note
  assert not children()


def test_errors_that_cannot_be_sent_come_as_text():
  class Strange(Exception):
    def __init__(self, one, two):
      super().__init__(one + two)

  def broken(step, rows, batch):
    raise Strange("some", "thing")

  with pytest.raises(RuntimeError, match="Strange: something"):
    next(filled(broken))


def test_a_killed_worker_is_replaced(caplog):
  """The new worker makes the same batches, also those in progress."""
  made = filled(fill, number=2, stop=12)
  found = [next(made)[0]["label"].tolist()]
  victims = children()
  for victim in (victims[1], victims[0]):
    os.kill(victim, signal.SIGKILL)
    for _ in range(4):
      batch, bounds = next(made)
      found.append(batch["label"].tolist())
      assert bounds == [(0, 2), (2, 5)]
      del batch
  found += [batch["label"].tolist() for batch, _ in made]
  expected = [(10 * step + np.arange(5)).tolist() for step in range(12)]
  assert found == expected
  for victim in victims:
    text = rf"worker {victim}, .* by SIGKILL; .* reduce data.workers.*replaced"
    assert re.search(text, caplog.text)
  assert not children()


def test_a_worker_that_is_killed_again_and_again_is_an_error():
  def die(step, rows, batch):
    if step == 1 and rows.start:
      os.kill(os.getpid(), signal.SIGKILL)

  made = filled(die, number=2)
  next(made)
  with pytest.raises(
    worker_processes.Died, match=r"filling batch 1, was .* SIGKILL"
  ) as e:
    next(made)
  assert e.value.status == -signal.SIGKILL
  assert not children()


def test_workers_survive_a_stop_signal_until_the_step_ends():
  made = filled(fill, stop=10**3)
  next(made)
  for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
    os.kill(children()[0], number)
  for step in range(1, 20):
    batch, _ = next(made)
    assert batch["label"].tolist() == (10 * step + np.arange(5)).tolist()
  made.close()


def test_a_worker_that_dies_in_the_middle_of_its_work_is_an_error():
  def die(step, rows, batch):
    if step == 2:
      os.abort()

  with pytest.raises(
    RuntimeError, match="filling batch 2, was ended by SIGABRT"
  ):
    list(filled(die))


def test_a_worker_that_cannot_start_is_an_error(capfd):
  class Unloadable:
    def __reduce__(self):
      return exec, ("1 / 0",)

  with pytest.raises(
    RuntimeError, match="ended with exit code 1; see its message"
  ):
    next(filled(Unloadable()))
  assert "ZeroDivisionError" in capfd.readouterr().err


@pytest.mark.parametrize("leave", ["close", "forget", "error"])
def test_leaving_early_ends_the_workers(leave):
  made = filled(fill, stop=10**6)
  assert not children()  # no worker before the first request
  next(made)
  pids = children()
  assert len(pids) == 1
  if leave == "close":
    made.close()
  elif leave == "error":
    with pytest.raises(ZeroDivisionError), contextlib.closing(made):
      raise ZeroDivisionError
  else:
    del made
    gc.collect()
  assert gone(pids)


SCRIPT = """
import os, signal, sys, time
import numpy as np
# Programs in the background of a script have inherited that it is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from jaxvision.data.batches import worker_processes

def fill(step, rows, batch):
  print("a worker may print")
  batch["x"][rows] = step

made = worker_processes.fill_ahead(
  fill, range(10**6), layout={"x": ((4,), "int32")}, workers=2
)
next(made)
print(open(f"/proc/self/task/{os.getpid()}/children").read(), flush=True)
time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_program_and_do_not_run_its_main(number, tmp_path):
  """The script has no `if __name__ == "__main__"`."""
  script = tmp_path / "script.py"
  script.write_text(textwrap.dedent(SCRIPT))
  with subprocess.Popen(
    [sys.executable, str(script)],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
  ) as process:
    pids = [int(word) for word in process.stdout.readline().split()]
    assert len(pids) == 2
    # As a terminal does, to all processes at once.
    os.killpg(process.pid, number) if number == signal.SIGINT else os.kill(
      process.pid, number
    )
    assert gone(pids)
    process.wait(timeout=60)
    errors = process.stderr.read()
  assert errors.count("KeyboardInterrupt") == (number == signal.SIGINT)
