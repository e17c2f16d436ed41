"""Launchers, which start the processes of a job on different platforms.

A launcher is a module with three names:

  Options                         a record of its options
  render(job, options)            -> job.Rendered, which a dry run shows
  launch(job, options)            -> exit code

A launcher submits the job to an existing platform. It submits the job again
after an exit code that `exit_codes.is_resumable`. It does no scheduling.
"""

from jaxvision.launch import job, local, ray, slurm, tpu

LAUNCHERS = {"local": local, "slurm": slurm, "ray": ray, "tpu": tpu}

__all__ = ["LAUNCHERS", "job", "local", "ray", "slurm", "tpu"]
