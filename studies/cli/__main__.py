"""`python -m studies.cli` is `resfront`."""

from . import main

if __name__ == "__main__":
    main()
