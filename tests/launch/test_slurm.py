"""The SLURM launcher: its script as text, with fake programs, and on SLURM."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import time

import fake_programs
import pytest
import slurm_cluster
import spawned
import sweep_cases

from jaxvision.launch import job as jobs
from jaxvision.launch import slurm


def _job(folder, *command):
  return jobs.Job(
    command=command or ("train", "--config", "c d.py"),
    folder=folder / "run" / "launch",
    python="/venv/bin/python",
  )


def _script(folder, **options):
  rendered = slurm.render(_job(folder), slurm.Options(**options))
  [(path, script)] = rendered.files.items()
  [command] = rendered.commands
  assert command.words == ("sbatch", "--parsable", str(path))
  return script


def _directives(script):
  return re.findall(r"^#SBATCH (.*)$", script, re.MULTILINE)


def test_unset_options_are_left_to_slurm(tmp_path):
  assert _directives(_script(tmp_path)) == [
    "--job-name=run",
    "--nodes=1",
    "--ntasks-per-node=1",
    "--signal=TERM@60",
    f"--output={tmp_path}/run/launch/slurm-%j.log",
    "--open-mode=append",
    "--requeue",
  ]


def test_given_options_become_directives(tmp_path):
  script = _script(
    tmp_path,
    nodes=4,
    tasks=8,
    gpus=8,
    cpus=12,
    time="2-0",
    partition="big",
    account="vision",
    extra=("--mem=0", "--qos=high"),
    grace=120,
  )
  assert {
    "--nodes=4",
    "--ntasks-per-node=8",
    "--gpus-per-node=8",
    "--cpus-per-task=12",
    "--time=2-0",
    "--partition=big",
    "--account=vision",
    "--signal=TERM@120",
    "--mem=0",
    "--qos=high",
  } < set(_directives(script))
  # Since 22.05 srun does not inherit it from the script.
  assert "srun --kill-on-bad-exit=1 --cpus-per-task=12 /venv/" in script


def test_an_array_has_a_log_for_each_job(tmp_path):
  directives = _directives(_script(tmp_path, array=4))
  assert "--array=0-3" in directives
  assert f"--output={tmp_path}/run/launch/slurm-%A_%a.log" in directives


@pytest.mark.parametrize(
  ("options", "devices"),
  [
    ({}, None),
    ({"gpus": 4}, "0,1,2,3"),  # jax would take the first alone
    ({"gpus": 4, "tasks": 4}, None),  # jax gives each its own
  ],
)
def test_a_process_has_all_devices_that_are_its_own(options, devices, tmp_path):
  found = re.findall(
    r"^export JAX_LOCAL_DEVICE_IDS=(.*)$",
    _script(tmp_path, **options),
    re.MULTILINE,
  )
  assert found == ([devices] if devices else [])


@pytest.mark.parametrize(
  ("options", "expected"),
  [
    ({"time": "12h"}, "'12h' is not in SLURM's format"),
    ({"time": "1:2"}, "'1:2' is not in SLURM's format"),
    ({"gpus": 8, "tasks": 4}, "--tasks 4 cannot share --gpus 8"),
    ({"extra": ("mem=0",)}, "'mem=0' is not an option of sbatch"),
    ({"extra": ("--mem=0\ntouch x",)}, "contains a line break"),
    ({"extra": ("--mem=0\rtouch x",)}, "contains a line break"),
    ({"partition": "a\ntouch x"}, "contains a line break"),
    ({"account": "a\x0btouch x"}, "contains a line break"),
  ],
)
def test_mistakes_are_explained(options, expected, tmp_path):
  with pytest.raises(ValueError, match=expected):
    _script(tmp_path, **options)


@pytest.mark.parametrize("name", ["a\ntouch x", "a\u2028b"])
def test_a_workdir_of_several_lines_is_refused(name, tmp_path):
  with pytest.raises(ValueError, match="contains a line break"):
    _script(tmp_path / name)


def test_values_of_several_words_stay_one_value(tmp_path):
  script = _script(tmp_path / "a b", extra=("--comment=two words",))
  directives = _directives(script)
  assert "--comment='two words'" in directives
  assert f"--output='{tmp_path}/a b/run/launch/slurm-%j.log'" in directives


def test_percent_signs_of_a_folder_are_no_patterns_of_slurm(tmp_path):
  """sbatch(1): "%%" is the character "%"."""
  directives = _directives(_script(tmp_path / "50%j"))
  output = f"{tmp_path}/50%%j/run/launch/slurm-%j.log"
  assert f"--output={output}" in [each.replace("'", "") for each in directives]


def test_a_backslash_in_the_path_of_the_logs_is_refused(tmp_path):
  """sbatch(1): a backslash in the name disables the patterns."""
  with pytest.raises(ValueError, match="SLURM cannot write logs"):
    _script(tmp_path / "a\\b")


def test_a_password_is_in_a_file_of_this_user_alone(tmp_path, programs):
  address = "postgresql://user:pass'w0rd@host/database"
  job = dataclasses.replace(_job(tmp_path), secrets={"STORAGE": address})
  shown = jobs.show(slurm.render(job, slurm.Options()))
  assert "w0rd" not in shown
  assert f"# file {job.folder}/secrets.sh" in shown
  fake_programs.write(programs / "sbatch", "print(17)")
  assert slurm.launch(job, slurm.Options()) == 0
  for path in job.folder.iterdir():
    assert path.stat().st_mode & 0o777 == 0o600
  assert "w0rd" not in (job.folder / "job.sh").read_text()
  # The script reads it, and srun's processes have it in their environment.
  fake_programs.write(
    programs / "srun",
    """
    import os, pathlib, sys
    here = pathlib.Path(__file__).parent
    (here / "said").write_text(os.environ["STORAGE"] + str(sys.argv))
    """,
  )
  subprocess.run(["bash", job.folder / "job.sh"], check=True)
  said = (programs / "said").read_text()
  assert said.startswith(address)
  assert said.count("pass'w0rd") == 1


@pytest.fixture
def programs(tmp_path, monkeypatch):
  """A folder on PATH for stand-ins of SLURM's programs."""
  folder = tmp_path / "bin"
  folder.mkdir()
  monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
  return folder


# Records its calls, and fails with the next of the codes.
_SRUN = """
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
calls = json.loads((here / "calls").read_text())
calls.append([os.environ["JAX_COORDINATOR_PORT"], *sys.argv[1:]])
(here / "calls").write_text(json.dumps(calls))
sys.exit(json.loads((here / "codes").read_text())[len(calls) - 1])
"""


@pytest.mark.parametrize(
  ("codes", "ends_with", "requeued"),
  [
    ([0], 0, False),
    ([137, 134, 0], 0, False),
    ([139, 139, 139], 139, False),
    ([137, 42], 42, True),
    ([143], 42, True),
    ([1], 1, False),
    ([2], 2, False),
    ([134, 3], 3, False),
    ([130], 130, False),
  ],
)
def test_the_script_restarts_and_requeues(
  codes, ends_with, requeued, tmp_path, programs
):
  (programs / "calls").write_text("[]")
  (programs / "codes").write_text(json.dumps(codes))
  fake_programs.write(programs / "srun", _SRUN)
  fake_programs.write(
    programs / "scontrol",
    """
    import pathlib, sys
    pathlib.Path(__file__).with_name("requeued").write_text(str(sys.argv[1:]))
    """,
  )
  fake_programs.write(
    programs / "sleep", ""
  )  # for as long as SLURM takes to end it
  done = subprocess.run(
    ["bash", "-c", _script(tmp_path, restarts=2)],
    env=os.environ | {"SLURM_JOB_ID": "17"},
  )
  assert done.returncode == ends_with
  calls = json.loads((programs / "calls").read_text())
  assert len(calls) == len(codes)
  ports = [int(port) for port, *_ in calls]
  # Below the range of ports that Linux assigns automatically.
  assert all(20000 <= port < 32000 for port in ports)
  assert calls[0][1:] == [
    *("--kill-on-bad-exit=1", "/venv/bin/python", "-m", "jaxvision"),
    *("train", "--config", "c d.py"),
  ]
  assert (programs / "requeued").exists() is requeued
  if requeued:
    assert (programs / "requeued").read_text() == "['requeue', '17']"


def test_ports_change(tmp_path, programs):
  (programs / "calls").write_text("[]")
  (programs / "codes").write_text(json.dumps([137] * 20))
  fake_programs.write(programs / "srun", _SRUN)
  subprocess.run(["bash", "-c", _script(tmp_path, restarts=19)])
  ports = {call[0] for call in json.loads((programs / "calls").read_text())}
  assert len(ports) > 15


def test_submission(tmp_path, programs, caplog):
  fake_programs.write(
    programs / "sbatch",
    """
    import pathlib, sys
    assert sys.argv[1] == "--parsable"
    assert pathlib.Path(sys.argv[2]).read_text().startswith("#!/bin/bash")
    print("17;cluster")
    """,
  )
  caplog.set_level("INFO")
  assert slurm.launch(_job(tmp_path), slurm.Options()) == 0
  assert f"submitted job 17; its log is {tmp_path}" in caplog.text
  assert "slurm-17.log" in caplog.text


def test_a_rejection_has_the_message_of_slurm(tmp_path, programs):
  fake_programs.write(
    programs / "sbatch", "import sys; sys.exit('invalid partition specified')"
  )
  with pytest.raises(OSError, match="invalid partition specified"):
    slurm.launch(_job(tmp_path), slurm.Options())


def test_without_slurm(tmp_path, monkeypatch):
  monkeypatch.setenv("PATH", str(tmp_path))
  with pytest.raises(
    FileNotFoundError, match=r"sbatch is not on PATH.*--dry-run"
  ):
    slurm.launch(_job(tmp_path), slurm.Options())
  assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
  if missing := slurm_cluster.missing():
    pytest.skip(
      f"SLURM is not installed ({', '.join(missing)}): apt-get install "
      "--no-install-recommends slurm-wlm munge"
    )
  with slurm_cluster.started(tmp_path_factory.mktemp("slurm")):
    yield


def _arguments(workdir):
  """The arguments of the launcher for a training in two processes."""
  return [
    *("launch", "slurm", "--tasks", "2", "--grace", "60", "--"),
    *("train", "--config", spawned.recipe("digits.py:mlp")),
    *("--workdir", str(workdir)),
    f"--config.data.data_dir={spawned.prepared_digits()}",
    "--config.model.options.hidden=(8,)",
    "--config.train.batch_size=16",
    "--config.train.duration=600 steps",
    "--config.checkpoint.every=50 steps",
    "--config.evaluate.every=200 steps",
    "--config.log.every=10 steps",
    "--config.log.tensorboard=False",
  ]


def _submit(workdir):
  """Submits the job, with one device per process; returns its number."""
  submitted = spawned.start(
    _arguments(workdir),
    output=workdir.with_suffix(".txt"),
    variables={"JAX_NUM_CPU_DEVICES": "1", "JAXVISION_HEARTBEAT_TIMEOUT": "10"},
  )
  return _number(submitted)


def _number(submitted):
  """The number of the job that a launcher has submitted."""
  assert submitted.wait() == 0, submitted.output.read_text()
  return re.search(r"job (\d+),", submitted.output.read_text())[1]


def _log(workdir):
  return "".join(
    path.read_text() for path in (workdir / "launch").glob("slurm-*.log")
  )


def _wait(condition, workdir):
  deadline = time.monotonic() + 280
  while not condition():
    assert time.monotonic() < deadline, _log(workdir)
    time.sleep(0.05)


def _finished(workdir):
  path = workdir / "result.json"
  return path.exists() and spawned.result(workdir)["status"] == "finished"


def _steps(workdir):
  return [line["step"] for line in spawned.measured(workdir)]


def _process(job, number):
  """The process that has a number in the job."""
  listed = subprocess.run(
    ["scontrol", "listpids", job], capture_output=True, text=True, check=True
  )
  # PID JOBID STEPID LOCALID GLOBALID; the batch script has no number.
  rows = [line.split() for line in listed.stdout.splitlines()]
  [found] = [row[0] for row in rows if row[4] == str(number)]
  return int(found)


@pytest.mark.slow
def test_a_job_that_is_killed_and_requeued_ends_as_if_it_was_not(
  cluster, tmp_path
):
  whole, hurt = tmp_path / "whole", tmp_path / "hurt"
  _submit(whole)
  _wait(lambda: _finished(whole), whole)
  job = _submit(hurt)
  _wait(lambda: any(step >= 100 for step in _steps(hurt)), hurt)
  os.kill(_process(job, 1), signal.SIGKILL)
  _wait(lambda: _log(hurt).count("resuming from step") == 1, hurt)
  before = max(_steps(hurt))
  _wait(lambda: max(_steps(hurt)) > before + 50, hurt)
  # The signal of SLURM before a time limit and a preemption.
  subprocess.run(["scancel", "--signal=TERM", job], check=True)
  _wait(lambda: _finished(hurt), hurt)
  log = _log(hurt)
  assert "the processes ended with 137" in log
  assert "attempt 1, start 0 of the job" in log
  assert "the processes ended with 42" in log
  assert "attempt 0, start 1 of the job" in log
  ours, theirs = spawned.result(hurt), spawned.result(whole)
  assert ours["fingerprint"] == theirs["fingerprint"]
  starts = json.loads((hurt / "environment.json").read_text())
  assert len(starts) == 3
  assert 0 == starts[0]["step"] < starts[1]["step"] < starts[2]["step"]


@pytest.mark.slow
def test_the_jobs_of_an_array_share_a_sweep(cluster, tmp_path):
  asked = sweep_cases.write(tmp_path, rates=(0.1, 0.3), seeds=3)
  workdir = tmp_path / "sweep"
  words = ["launch", "slurm", "--array", "2", "--"]
  words += ["sweep", str(asked), "--workdir", str(workdir)]
  submitted = spawned.start(words, output=tmp_path / "submitted.txt")
  queued = ["squeue", "--noheader", "--states=all", "--format=%T", "--array"]
  queued += ["--jobs", _number(submitted)]

  def over():
    done = subprocess.run(queued, capture_output=True, text=True).stdout
    return done.split() == ["COMPLETED"] * 2

  _wait(over, workdir)
  trials = [
    json.loads(path.read_text())
    for path in sorted(workdir.glob("trials/*/trial.json"))
  ]
  assert [each["state"] for each in trials] == ["complete"] * 6
  assert len({each["worker"] for each in trials}) == 2
  assert len(list((workdir / "launch").glob("slurm-*_*.log"))) == 2
