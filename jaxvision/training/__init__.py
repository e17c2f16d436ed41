"""Training: a whole run, from a config to a folder with a report."""

from jaxvision.training.run import train

__all__ = ["fit", "loop", "preview", "setup", "step", "train"]
