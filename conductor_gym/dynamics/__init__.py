"""The compiled core: keyed draws, episode state, `apply_outcome`, observations."""
