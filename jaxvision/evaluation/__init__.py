"""What a set of variables is worth, measured on a split."""

from jaxvision.evaluation import classification

__all__ = ["classification"]
