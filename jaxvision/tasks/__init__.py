"""The tasks: what a training optimises and measures."""

from jaxvision.tasks import classification

__all__ = ["classification", "contract"]
