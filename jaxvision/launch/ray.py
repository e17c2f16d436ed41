"""The Ray launcher: runs a training, a sweep or a search on a Ray cluster.

A training uses Ray Train's JaxTrainer. Ray places the workers, starts
jax.distributed in them, and restarts all of them when a worker fails or its
host is preempted. They resume from the last checkpoint. Each worker calls
`jaxvision.train` in a thread, so a signal does not start a save. An error that
would repeat after a restart is written to FOLDER/failure.json and ends the run.

The workers of a sweep or a search are Ray tasks. Each task runs the unchanged
command; the tasks share the folder and the storage. Ray restarts killed tasks.
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
  """Options of the Ray launcher.

  Attributes:
    workers: minimum and maximum number of workers.
    devices: virtual CPU devices per worker; 0 uses the default of jax.
    cpus: CPUs per worker.
    gpus: GPUs per worker.
    topology, accelerator: of a TPU slice, such as "4x4" and "TPU-V6E".
    address: of the cluster; "local" starts a cluster on this machine, "auto"
      finds the cluster of this machine.
    restarts: maximum number of restarts after failures of workers.
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
  """The settings of the JaxTrainer or of the tasks; there are no commands.

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
  """Runs the training or the sweep until it ends.

  Returns:
    0, the exit code of an error that would repeat, or ABANDONED.

  Raises:
    ValueError: ray is not installed; or see `render`.
  """
  rendered = render(job, options)
  try:
    ray = importlib.import_module("ray")
    importlib.import_module("ray.train.v2.jax")
  except ModuleNotFoundError as error:
    raise ValueError(
      f"the module {error.name!r} is not installed; run pip install "
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
  # If one worker has reached the end, no trial is left for the others.
  return min(codes)


def run_command(
  words: Sequence[str], directory: str, secrets: Mapping[str, str]
) -> int:
  """The function of a task: runs a command and returns its exit code.

  Args:
    words: of the command.
    directory: the working directory.
    secrets: additional environment variables.

  Raises:
    ChildProcessError: the command was killed or preempted. Ray then restarts
      the task.
  """
  environment = {**os.environ, **secrets}
  done = subprocess.run(words, cwd=directory, env=environment)
  code = exit_codes.code(done.returncode)
  if exit_codes.is_resumable(code):
    raise ChildProcessError(f"the worker {exit_codes.describe(code)}")
  return code


def work(task: Mapping[str, Any]) -> None:
  """The function of a training worker; it does not import ray.

  Args:
    task: `train` holds the arguments of `jaxvision.train`, with `profile` as
      text; `directory` is the working directory; `failure` is the file for an
      error that would repeat after a restart.
  """
  failure = pathlib.Path(task["failure"])
  if failure.exists():
    return
  import jax

  from jaxvision import training
  from jaxvision.processes import agreement, console
  from jaxvision.training.loop import profiling
  from jaxvision.xla import settings

  if not jax.distributed.is_initialized():
    raise RuntimeError(
      "jax.distributed is not initialized; expected Ray to initialize it in "
      "its workers"
    )
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
  except (ValueError, OSError, training.NotFinite) as error:
    code = 3 if isinstance(error, training.NotFinite) else 2
    files.write_json(failure, {"code": code, "error": str(error)})
    # The other workers may wait for this one. Ray ends them, and after a
    # restart all return immediately.
    raise


def _failed(job: jobs.Job, options: Options) -> int:
  path = job.folder / _FAILURE
  if path.exists():
    failure = json.loads(path.read_text("utf-8"))
    _LOGGER.error("%s", failure["error"])
    return failure["code"]
  _LOGGER.error(
    "the workers failed more often than --restarts %d; see Ray's logs for the "
    "reason. The same command resumes from the last checkpoint",
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
  """The arguments of the Ray classes, by the name of the argument or class."""
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
    # Ray initializes jax.distributed only with one of the two. JAX_PLATFORMS
    # selects the devices.
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
  """The command, the number of tasks, and the arguments of `ray.remote`."""
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
  if not job.train and job.command[0] not in ("sweep", "search"):
    raise ValueError(
      "Ray runs only trainings, sweeps and searches, not "
      f"{job.command[0]!r}; use launch local or launch slurm"
    )
  if not job.train and options.topology:
    raise ValueError(
      "--topology combines all hosts of a slice into one run, but the workers "
      "of a sweep are independent; omit --topology"
    )
  if least > most:
    raise ValueError(
      f"--workers {least}:{most} is an empty range; write MIN:MAX with "
      "MIN <= MAX"
    )
  if bool(options.topology) != bool(options.accelerator):
    raise ValueError(
      f"a TPU slice needs both --topology and --accelerator, not "
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
