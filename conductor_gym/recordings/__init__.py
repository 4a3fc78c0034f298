"""Recorded outcomes of real LLMs: one format, one reader, for replay, `fit` and live journals."""
