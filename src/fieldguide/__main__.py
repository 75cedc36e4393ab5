"""`python -m fieldguide` is the `fieldguide` command."""

from fieldguide.interfaces.cli import run

if __name__ == "__main__":
    run()
