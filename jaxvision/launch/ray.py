"""Runs a training or a sweep on a Ray cluster.

A training goes through Ray Train's JaxTrainer. Ray places the workers, starts
jax.distributed in them, and starts all again when one dies or its host is taken
away; they go on from the last checkpoint.
Each calls `jaxvision.train` in a thread, so that a signal is no reason to save.
What would fail again is written into FOLDER/failure.json, and ends the run.

The workers of a sweep are Ray tasks, each of which runs the command as it is:
they share the folder and the storage. Ray starts those again that were killed.
"""

import contextlib
import dataclasses
import importlib
import json
import logging
import os
import pathlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxvision import files
from jaxvision.launch import job as jobs
from jaxvision.processes import exit_codes

_LOGGER = logging.getLogger(__name__)
_SETTINGS = "ray.json"
_FAILURE = "failure.json"


@dataclasses.dataclass(frozen=True)
class Options:
  """How to run on Ray.

  Attributes:
    workers: how many there are, at least and at most.
    devices: virtual CPU devices of each; 0 leaves it to jax.
    cpus: of each worker.
    gpus: of each worker.
    topology, accelerator: of a TPU slice, as "4x4" and "TPU-V6E".
    address: of the cluster; "local" starts one on this machine, "auto" finds
      the one that this machine belongs to.
    restarts: after workers have died.
  """

  workers: tuple[int, int]
  devices: int = 0
  cpus: int = 1
  gpus: int = 0
  topology: str = ""
  accelerator: str = ""
  address: str = "local"
  restarts: int = 3


def render(job: jobs.Job, options: Options) -> jobs.Rendered:
  """The settings of the JaxTrainer, or of the tasks: there is no command.

  Raises:
    ValueError: the job is neither a training nor a sweep, or the options
      contradict each other.
  """
  _check(job, options)
  settings = (_settings if job.train else _tasks)(job, options)
  return jobs.Rendered(
    files={
      job.folder / _SETTINGS: files.to_json(settings, default=str, indent=2)
    },
    commands=[],
  )


def launch(job: jobs.Job, options: Options) -> int:
  """Trains, or sweeps, to the end.

  Returns:
    0, the code of what would fail again, or that of processes abandoned.

  Raises:
    ValueError: ray is not installed; or see `render`.
  """
  rendered = render(job, options)
  try:
    ray = importlib.import_module("ray")
    importlib.import_module("ray.train.v2.jax")
  except ModuleNotFoundError as error:
    raise ValueError(
      f"there is no module {error.name!r}; install it with pip install "
      "'jaxvision[ray]', or add --dry-run"
    ) from error
  jobs.write(rendered)
  (job.folder / _FAILURE).unlink(missing_ok=True)
  with _connected(ray, _cluster(options)):
    run = _train if job.train else _sweep
    return run(ray, job, options)


def _train(ray: Any, job: jobs.Job, options: Options) -> int:
  from ray.train import FailureConfig, RunConfig, ScalingConfig
  from ray.train.v2.api.exceptions import TrainingFailedError
  from ray.train.v2.jax import JaxConfig, JaxTrainer

  del ray
  settings = _settings(job, options)
  run = settings["run_config"]
  trainer = JaxTrainer(
    work,
    train_loop_config=settings["train_loop_config"],
    scaling_config=ScalingConfig(**settings["scaling_config"]),
    jax_config=JaxConfig(**settings["jax_config"]),
    run_config=RunConfig(
      **{**run, "failure_config": FailureConfig(**run["failure_config"])}
    ),
  )
  with contextlib.suppress(TrainingFailedError):
    trainer.fit()
    if not (job.folder / _FAILURE).exists():
      return 0
  return _failed(job, options)


def _sweep(ray: Any, job: jobs.Job, options: Options) -> int:
  settings = _tasks(job, options)
  task = ray.remote(**settings["task"])(run_command)
  waiting = [
    task.remote(settings["words"], settings["directory"], dict(job.secrets))
    for _ in range(settings["workers"])
  ]
  codes = []
  for each in waiting:
    try:
      codes.append(ray.get(each))
    except ray.exceptions.RayError:
      codes.append(exit_codes.ABANDONED)
  # One that reached the end has left no trial to the others.
  return min(codes)


def run_command(
  words: Sequence[str], directory: str, secrets: Mapping[str, str]
) -> int:
  """What a task does: runs a command; returns its exit code.

  Args:
    words: of the command.
    directory: where it runs.
    secrets: more variables for its environment.

  Raises:
    ChildProcessError: it was killed or has stopped and saved: Ray shall start
      the task again.
  """
  environment = {**os.environ, **secrets}
  done = subprocess.run(words, cwd=directory, env=environment)
  code = exit_codes.code(done.returncode)
  if exit_codes.is_resumable(code):
    raise ChildProcessError(f"the worker {exit_codes.describe(code)}")
  return code


def work(task: Mapping[str, Any]) -> None:
  """What each worker does; it needs no ray.

  Args:
    task: `train` is what `jaxvision.train` takes, its `profile` as text;
      `directory` is where the paths in it start, `failure` where to write what
      would fail again.
  """
  failure = pathlib.Path(task["failure"])
  if failure.exists():
    return
  import jax

  from jaxvision import training, trees
  from jaxvision.processes import agreement, console
  from jaxvision.training.loop import profiling
  from jaxvision.xla import settings

  if not jax.distributed.is_initialized():
    raise RuntimeError("Ray has not started jax.distributed in its workers")
  os.chdir(task["directory"])
  settings.tune_cpu()
  console.log_to_screen(
    logging.INFO if agreement.is_first() else logging.WARNING
  )
  options = dict(task["train"])
  steps = options.pop("profile")
  try:
    if steps:
      options["profile"] = profiling.parse(steps)
    training.train(**options)
  except (ValueError, OSError, trees.NotFinite) as error:
    code = 3 if isinstance(error, trees.NotFinite) else 2
    files.write_json(failure, {"code": code, "error": str(error)})
    # The others may wait for this one: Ray ends them, and all return at once.
    raise


def _failed(job: jobs.Job, options: Options) -> int:
  path = job.folder / _FAILURE
  if path.exists():
    failure = json.loads(path.read_text("utf-8"))
    _LOGGER.error("%s", failure["error"])
    return failure["code"]
  _LOGGER.error(
    "the workers died more often than --restarts %d; Ray's logs say why. The "
    "same command goes on from the last checkpoint",
    options.restarts,
  )
  return exit_codes.ABANDONED


@contextlib.contextmanager
def _connected(ray: Any, settings: Mapping[str, Any]) -> Iterator[None]:
  ray.init(**settings)
  try:
    yield
  finally:
    ray.shutdown()


def _settings(job: jobs.Job, options: Options) -> dict[str, Any]:
  """Arguments by the name of what takes them."""
  least, most = options.workers
  folder = job.folder.absolute()
  return {
    "init": _cluster(options),
    "train_loop_config": {
      "train": dict(job.train),
      "directory": str(pathlib.Path.cwd()),
      "failure": str(folder / _FAILURE),
    },
    "scaling_config": {
      "num_workers": least if least == most else (least, most),
      **_resources(options),
    },
    # Without one of the two Ray starts no jax.distributed; it is JAX_PLATFORMS
    # that says which devices are used.
    "jax_config": {
      "use_tpu": bool(options.topology),
      "use_gpu": not options.topology,
    },
    "run_config": {
      "name": "ray",
      "storage_path": str(folder),
      "failure_config": {"max_failures": options.restarts},
      "worker_runtime_env": {"env_vars": _variables(options)},
    },
  }


def _tasks(job: jobs.Job, options: Options) -> dict[str, Any]:
  """What is run in how many tasks, and what `ray.remote` is told of each."""
  return {
    "init": _cluster(options),
    "workers": options.workers[1],
    "words": jobs.words(job),
    "directory": str(pathlib.Path.cwd()),
    "task": {
      "num_cpus": options.cpus,
      "num_gpus": options.gpus,
      "max_retries": options.restarts,
      "retry_exceptions": True,
      "runtime_env": {"env_vars": _variables(options)},
    },
  }


def _cluster(options: Options) -> dict[str, Any]:
  return {"address": options.address, "log_to_driver": True}


def _check(job: jobs.Job, options: Options) -> None:
  least, most = options.workers
  if not job.train and job.command[0] != "sweep":
    raise ValueError(
      f"Ray runs only trainings and sweeps, not {job.command[0]!r}; launch "
      "that with local or slurm"
    )
  if not job.train and options.topology:
    raise ValueError(
      "--topology makes one run of all hosts of a slice, and the workers of a "
      "sweep are apart; leave it out"
    )
  if least > most:
    raise ValueError(f"--workers {least}:{most} has no number; write MIN:MAX")
  if bool(options.topology) != bool(options.accelerator):
    raise ValueError(
      f"a TPU slice takes both --topology and --accelerator, not "
      f"{options.topology!r} and {options.accelerator!r}; write --topology 4x4 "
      "--accelerator TPU-V6E"
    )
  if (options.devices > 0) + (options.gpus > 0) + bool(options.topology) > 1:
    raise ValueError(
      "--devices is for CPUs, --gpus for GPUs, --topology for TPUs; give one"
    )


def _resources(options: Options) -> dict[str, Any]:
  if options.topology:
    return {
      "use_tpu": True,
      "topology": options.topology,
      "accelerator_type": options.accelerator,
    }
  if options.gpus:
    own = {"CPU": options.cpus, "GPU": options.gpus}
    return {"use_gpu": True, "resources_per_worker": own}
  return {"resources_per_worker": {"CPU": options.cpus}}


def _variables(options: Options) -> dict[str, str]:
  variables = {"PYTHONUNBUFFERED": "1"}
  if not (options.gpus or options.topology):
    variables["JAX_PLATFORMS"] = "cpu"
  if options.devices:
    variables["JAX_NUM_CPU_DEVICES"] = str(options.devices)
  return variables
