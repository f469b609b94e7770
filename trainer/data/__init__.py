"""Datasets: the file format, makers of synthetic and real portraits, checks."""
