"""The Ray launcher: settings, workers, and a real cluster of one host."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import spawned
import sweep_cases

from jaxvision import cli, training
from jaxvision.launch import job as jobs
from jaxvision.launch import ray


def _job(folder, **train):
  return jobs.Job(
    command=("train", "--config", "c.py", "--workdir", str(folder)),
    folder=folder / "launch",
    python="python",
    train={"recipe": "c.py", "workdir": "w", "profile": "", **train},
  )


def _settings(folder, workers=(2, 2), **options):
  rendered = ray.render(_job(folder), ray.Options(workers=workers, **options))
  [(path, text)] = rendered.files.items()
  assert path == folder / "launch" / "ray.json"
  assert not rendered.commands
  return json.loads(text)


def test_cpus_are_workers_that_jax_connects(tmp_path):
  settings = _settings(tmp_path, devices=4, cpus=3, restarts=5)
  assert settings["scaling_config"] == {
    "num_workers": 2,
    "resources_per_worker": {"CPU": 3},
  }
  # Without one of them Ray lets every worker train alone.
  assert settings["jax_config"] == {"use_tpu": False, "use_gpu": True}
  run = settings["run_config"]
  assert run["failure_config"] == {"max_failures": 5}
  variables = run["worker_runtime_env"]["env_vars"]
  assert variables["JAX_PLATFORMS"] == "cpu"
  assert variables["JAX_NUM_CPU_DEVICES"] == "4"
  assert settings["init"]["address"] == "local"


def test_gpus_and_a_number_of_workers_between_two(tmp_path):
  settings = _settings(tmp_path, workers=(1, 4), gpus=2)
  assert settings["scaling_config"] == {
    "num_workers": [1, 4],
    "use_gpu": True,
    "resources_per_worker": {"CPU": 1, "GPU": 2},
  }
  variables = settings["run_config"]["worker_runtime_env"]["env_vars"]
  assert "JAX_PLATFORMS" not in variables


def test_settings_of_a_tpu_slice(tmp_path):
  settings = _settings(
    tmp_path, workers=(4, 4), topology="4x4", accelerator="TPU-V6E"
  )
  assert settings["scaling_config"] == {
    "num_workers": 4,
    "use_tpu": True,
    "topology": "4x4",
    "accelerator_type": "TPU-V6E",
  }
  assert settings["jax_config"] == {"use_tpu": True, "use_gpu": False}


@pytest.mark.parametrize(
  ("options", "expected"),
  [
    ({"workers": (3, 2)}, "--workers 3:2 is an empty range"),
    ({"topology": "4x4"}, "needs both --topology and --accelerator"),
    ({"gpus": 1, "devices": 1}, "give one"),
  ],
)
def test_mistakes_are_explained(options, expected, tmp_path):
  with pytest.raises(ValueError, match=expected):
    _settings(tmp_path, **options)


def test_neither_training_nor_sweep_nor_search(tmp_path):
  job = jobs.Job(command=("evaluate",), folder=tmp_path, python="python")
  with pytest.raises(ValueError, match="sweeps and searches, not 'evaluate'"):
    ray.render(job, ray.Options(workers=(2, 2)))


def _sweep_job(folder):
  command = ("sweep", "asked.py", "--workdir", str(folder))
  return jobs.Job(command=command, folder=folder / "launch", python="python")


def test_the_workers_of_a_sweep_are_tasks_that_run_the_command(tmp_path):
  job = _sweep_job(tmp_path)
  options = ray.Options(workers=(3, 3), cpus=2, gpus=1, restarts=7)
  [text] = ray.render(job, options).files.values()
  settings = json.loads(text)
  assert settings["workers"] == 3
  assert settings["words"] == ["python", "-m", "jaxvision", *job.command]
  assert settings["task"] == {
    "num_cpus": 2,
    "num_gpus": 1,
    "max_retries": 7,
    "retry_exceptions": True,
    "runtime_env": {"env_vars": {"PYTHONUNBUFFERED": "1"}},
  }


def test_a_sweep_is_not_one_run_of_all_hosts_of_a_slice(tmp_path):
  options = ray.Options(workers=(4, 4), topology="4x4", accelerator="TPU-V6E")
  with pytest.raises(ValueError, match="workers of a sweep are independent"):
    ray.render(_sweep_job(tmp_path), options)


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_task_returns_the_code_of_its_command(tmp_path, code):
  words = [sys.executable, "-c", f"raise SystemExit({code})"]
  assert ray.run_command(words, str(tmp_path), {}) == code


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(42)"])
def test_a_task_that_can_go_on_fails_so_that_ray_tries_it_again(tmp_path, end):
  words = [sys.executable, "-c", f"import os; {end}"]
  with pytest.raises(ChildProcessError, match="the worker was"):
    ray.run_command(words, str(tmp_path), {})


def test_a_task_has_the_secrets_in_its_environment(tmp_path):
  code = "import os; raise SystemExit(os.environ['KEY'] != 'a b')"
  words = [sys.executable, "-c", code]
  assert ray.run_command(words, str(tmp_path), {"KEY": "a b"}) == 0


def test_without_ray(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "ray", None)
  with pytest.raises(ValueError, match=r"pip install 'jaxvision\[ray\]'"):
    ray.launch(_job(tmp_path), ray.Options(workers=(2, 2)))
  assert not (tmp_path / "launch").exists()


def _task(folder):
  return {
    "train": dict(_job(folder).train),
    "directory": str(folder),
    "failure": str(folder / "failure.json"),
  }


@pytest.fixture
def worker(monkeypatch):
  """A process like a worker of Ray."""
  monkeypatch.setattr("jax.distributed.is_initialized", lambda: True)
  monkeypatch.setattr(os, "chdir", lambda _: None)


def test_a_permanent_failure_is_not_retried(tmp_path, monkeypatch, worker):
  calls = []

  def fail(**options):
    calls.append(options)
    raise ValueError("no such recipe")

  monkeypatch.setattr(training, "train", fail)
  with pytest.raises(ValueError, match="no such recipe"):
    ray.work(_task(tmp_path))
  ray.work(_task(tmp_path))
  assert calls == [{"recipe": "c.py", "workdir": "w"}]
  assert json.loads((tmp_path / "failure.json").read_text()) == {
    "code": 2,
    "error": "no such recipe",
  }


def test_a_resumable_end_leaves_no_note(tmp_path, monkeypatch, worker):
  from jaxvision.training.loop import train_loop

  def stop(**_):
    raise train_loop.Preempted("stopped and saved at step 3")

  monkeypatch.setattr(training, "train", stop)
  with pytest.raises(train_loop.Preempted):
    ray.work(_task(tmp_path))
  assert not (tmp_path / "failure.json").exists()


def test_a_worker_without_jax_distributed_is_an_error(tmp_path):
  with pytest.raises(RuntimeError, match="expected Ray to initialize"):
    ray.work(_task(tmp_path))


def _words(workdir, *more):
  return [
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
    *more,
  ]


def _start(words, output):
  """Starts the command as a separate process, because Ray cannot be forked."""
  with output.open("w") as printed:
    return subprocess.Popen(
      [sys.executable, "-P", "-m", "jaxvision", *words],
      stdout=printed,
      stderr=subprocess.STDOUT,
      env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"},
    )


_LAUNCH = ("launch", "ray", "--workers", "2", "--devices", "1", "--")


def _wait_for_step(step, workdir, started, output):
  deadline = time.monotonic() + 200
  while not any(line["step"] >= step for line in spawned.measured(workdir)):
    assert started.poll() is None, output.read_text()
    assert time.monotonic() < deadline, output.read_text()
    time.sleep(0.05)


def _workers(parent):
  """The processes of Ray's workers that train, under a process."""
  listed = subprocess.run(
    ["ps", "-e", "-o", "pid=,ppid=,args="], capture_output=True, text=True
  ).stdout
  rows = [line.split(None, 2) for line in listed.splitlines()]
  parents = {pid: above for pid, above, *_ in rows}

  def is_under(pid):
    while pid in parents and pid != str(parent):
      pid = parents[pid]
    return pid == str(parent)

  return [
    int(pid)
    for pid, _, args in rows
    if "RayTrainWorker" in args and is_under(pid)
  ]


@pytest.mark.slow
def test_a_killed_worker_does_not_change_the_result(tmp_path):
  pytest.importorskip("ray", reason="pip install 'jaxvision[ray]'")
  whole, hurt = tmp_path / "whole", tmp_path / "hurt"
  calm = spawned.start_group([_words(whole)] * 2, output=tmp_path / "whole.txt")
  assert [each.wait() for each in calm] == [0, 0]
  output = tmp_path / "hurt.txt"
  started = _start([*_LAUNCH, *_words(hurt)], output)
  _wait_for_step(100, hurt, started, output)
  os.kill(_workers(started.pid)[-1], signal.SIGKILL)
  assert started.wait(300) == 0, output.read_text()
  ours, theirs = spawned.result(hurt), spawned.result(whole)
  assert ours["fingerprint"] == theirs["fingerprint"]
  starts = json.loads((hurt / "environment.json").read_text())
  assert [each["step"] > 0 for each in starts] == [False, True]
  assert all("2 x cpu" in each["devices"] for each in starts)


@pytest.mark.slow
def test_a_wrong_model_causes_no_restart(tmp_path):
  pytest.importorskip("ray", reason="pip install 'jaxvision[ray]'")
  output = tmp_path / "printed.txt"
  wrong = _words(tmp_path / "run", "--config.model.name=mpl")
  started = _start([*_LAUNCH, *wrong], output)
  assert started.wait(200) == 2, output.read_text()
  assert "did you mean 'mlp'" in output.read_text()
  assert not (tmp_path / "run" / "checkpoints").exists()
  assert cli.DIVERGED == 3  # as the workers write it


@pytest.mark.slow
def test_a_sweep_whose_worker_is_killed_ends_complete(tmp_path):
  pytest.importorskip("ray", reason="pip install 'jaxvision[ray]'")
  asked = sweep_cases.write(tmp_path, rates=(0.1, 0.3), seeds=3)
  workdir = tmp_path / "sweep"
  output = tmp_path / "printed.txt"
  words = ["sweep", str(asked), "--workdir", str(workdir), "--grace", "6"]
  started = _start([*_LAUNCH, *words], output)
  deadline = time.monotonic() + 200
  while not list(workdir.glob("trials/*/metrics.jsonl")):
    assert started.poll() is None, output.read_text()
    assert time.monotonic() < deadline, output.read_text()
    time.sleep(0.05)
  trial = json.loads((workdir / "trials/0000/trial.json").read_text())
  os.kill(int(trial["worker"].split()[1]), signal.SIGKILL)
  assert started.wait(300) == 0, output.read_text()
  trials = [
    json.loads(path.read_text())
    for path in sorted(workdir.glob("trials/*/trial.json"))
  ]
  assert [each["state"] for each in trials] == ["complete"] * 6
  assert (workdir / "report.html").exists()
