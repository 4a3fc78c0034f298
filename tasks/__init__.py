"""Tasks: suites of queries, as data and as generators."""

if __name__ != "conductor_gym.tasks":
    raise ImportError("import conductor_gym.tasks, not tasks")
