"""`python -m fieldguide` is the `fieldguide` command."""

from fieldguide.interfaces.cli import main

if __name__ == "__main__":
    main()
