"""Training: a whole run, from a config to a folder with a report."""

from jaxvision.training.run import train
from jaxvision.trees import NotFinite

__all__ = ["NotFinite", "fit", "loop", "preview", "setup", "step", "train"]
