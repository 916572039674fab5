"""Slow, obviously right numpy versions that the fast code is tested against."""
