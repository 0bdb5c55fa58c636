"""`python -m dyto`, the same as `dyto`."""

from dyto.cli import main

if __name__ == "__main__":
    main()
