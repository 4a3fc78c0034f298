"""Live workers: real LLMs under the same environment."""
