"""The state of a run follows from its folder and the time."""

import os
import shutil
import time

import pytest
import watched_runs

from jaxvision.files import locks
from jaxvision.runs import state, watching
from jaxvision.runs import workdir as workdirs


def _state(folder, *, after=0.0):
  """The state and its reason, some seconds later."""
  run = watching.look([folder])[folder.name]
  return state.of(
    run.result.get("status") or "",
    stamps=run.stamps,
    summary=run.summary,
    now=time.time() + after,
  )


def _backdate(folder, name, seconds):
  path = folder / name
  then = path.stat().st_mtime - seconds
  os.utime(path, (then, then))


def _write(write, gaps):
  """Writes lines with these seconds between them."""
  seconds = 0.0
  for step, gap in enumerate(gaps, start=1):
    seconds += gap
    write(step, {"train/loss": 1.0, "seconds": seconds})


@pytest.mark.parametrize(
  ("gaps", "limit"),
  [
    ([1.0] * 20, 60),  # at least a minute
    ([30.0] * 20, 300),  # 10 times the usual gap
    ([1.0] * 10 + [200.0] + [1.0] * 10, 400),  # an evaluation, twice
  ],
)
def test_a_run_stalls_after_a_multiple_of_its_usual_time(gaps, limit, tmp_path):
  with watched_runs.training(tmp_path / "run") as write:
    _write(write, gaps)
    assert _state(tmp_path / "run", after=limit - 5) == ("running", "")
    found, reason = _state(tmp_path / "run", after=limit + 5)
    assert found == "stalled"
    assert reason.endswith(f"limit {limit} s")


def test_a_run_without_lines_may_compile_for_half_an_hour(tmp_path):
  with watched_runs.training(tmp_path / "run"):
    assert _state(tmp_path / "run", after=1795)[0] == "running"
    assert _state(tmp_path / "run", after=1805)[0] == "stalled"


def test_a_resumed_run_may_compile_too(tmp_path):
  folder = tmp_path / "run"
  with watched_runs.training(folder) as write:
    _write(write, [1.0] * 20)
  _backdate(folder, "metrics.jsonl", 1000)
  with workdirs.held(folder):
    assert _state(folder, after=700)[0] == "running"
    assert _state(folder, after=1805)[0] == "stalled"


def test_a_process_that_ended_without_a_result_has_failed(tmp_path):
  with pytest.raises(RuntimeError), watched_runs.training(tmp_path / "run"):
    assert _state(tmp_path / "run")[0] == "running"
    raise RuntimeError("a bug")
  found, reason = _state(tmp_path / "run")
  assert found == "failed" and "without a result" in reason


def test_a_killed_process_leaves_a_run_that_stalls(tmp_path):
  """Its lock still has its name: nothing in the folder shows the kill."""
  with watched_runs.training(tmp_path / "run") as write:
    _write(write, [1.0] * 20)
    shutil.copytree(tmp_path / "run", tmp_path / "killed")
  assert _state(tmp_path / "killed")[0] == "running"
  assert _state(tmp_path / "killed", after=100)[0] == "stalled"


@pytest.mark.parametrize(
  ("status", "expected"),
  [
    ("finished", ("finished", "")),
    ("preempted: stopped at step 3", None),
    ("ended early: it is not among the best", None),
  ],
)
def test_the_result_tells_the_end_until_the_run_is_resumed(
  status, expected, tmp_path
):
  folder = tmp_path / "run"
  with watched_runs.training(folder):
    workdirs.write_result(folder, {"status": status, "total_steps": 100})
    # The process writes its report, and still has the lock.
    _backdate(folder, "lock", 10)
    assert _state(folder, after=1e6) == (expected or ("stopped", status))
  assert _state(folder, after=1e6) == (expected or ("stopped", status))
  _backdate(folder, "result.json", 10)
  with workdirs.held(folder):
    assert _state(folder) == ("running", "")


def test_a_folder_without_a_lock_is_judged_by_its_times(tmp_path):
  """File systems without locks, and copies of run folders."""
  with watched_runs.training(tmp_path / "run") as write:
    _write(write, [1.0] * 20)
  (tmp_path / "run" / "lock").unlink()
  assert _state(tmp_path / "run")[0] == "running"
  assert _state(tmp_path / "run", after=100)[0] == "stalled"


def test_a_free_lock_is_an_empty_file(tmp_path):
  """`state` relies on this."""
  with locks.locked(tmp_path / "lock"):
    assert (tmp_path / "lock").stat().st_size
  assert not (tmp_path / "lock").stat().st_size


def test_the_age_is_that_of_the_last_line(tmp_path):
  with watched_runs.training(tmp_path / "run") as write:
    run = watching.look([tmp_path])["run"]
    assert state.age(run.stamps, time.time()) is None
    write(1, {"train/loss": 1.0})
    run = watching.look([tmp_path])["run"]
    assert state.age(run.stamps, time.time() + 50) == pytest.approx(50, abs=5)
    # The clock of another machine may be ahead.
    assert state.age(run.stamps, time.time() - 50) == 0
