"""Leaderboard: tracks, evaluation, metrics, result files, reports."""

if __name__ != "conductor_gym.leaderboard":
    raise ImportError("import conductor_gym.leaderboard, not leaderboard")
