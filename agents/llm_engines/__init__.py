"""What runs a conductor's language model: one file each, behind protocol.py."""
