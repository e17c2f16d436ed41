"""The commands: each file declares some, and calls one function for each."""

from jaxvision.commands import data, models, probe, train, trained, weights

__all__ = ["data", "models", "probe", "train", "trained", "weights"]
