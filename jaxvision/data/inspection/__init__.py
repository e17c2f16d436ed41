"""What a data set contains, and what is wrong with it."""

__all__ = ["counts", "doctor", "finding", "identity", "integrity", "survey"]
