"""Traces: the steps of episodes as rows, as files and as Minari datasets."""
