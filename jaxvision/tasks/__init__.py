"""What a step optimises."""

from jaxvision.tasks import classification

__all__ = ["classification"]
