"""`python -m conductor_gym`."""

from conductor_gym.cli import main

if __name__ == "__main__":
    main()
