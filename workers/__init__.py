"""Workers: pools as data, and the backends that answer a call."""

if __name__ != "conductor_gym.workers":
    raise ImportError("import conductor_gym.workers, not workers")
