"""Agents: one readable file each, on the batched protocol of base.py."""

if __name__ != "conductor_gym.agents":
    raise ImportError("import conductor_gym.agents, not agents")
