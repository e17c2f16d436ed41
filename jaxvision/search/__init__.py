"""Search of architectures."""

__all__ = ["compound_scaling"]
