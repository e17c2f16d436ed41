"""Launchers: each runs the processes of a job with another engine.

A launcher is a file with three things of these names:

  Options                         a record: what it can be told
  render(job, options)            -> job.Rendered, which a dry run shows
  launch(job, options)            -> exit code

It asks an engine that exists to run the job, and to run it again after an end
that `exit_codes.is_resumable`; it schedules nothing itself.
"""

from jaxvision.launch import job, local, ray, slurm, tpu

LAUNCHERS = {"local": local, "slurm": slurm, "ray": ray, "tpu": tpu}

__all__ = ["LAUNCHERS", "job", "local", "ray", "slurm", "tpu"]
