"""The command ``python -m modeling.annotate``; its code is in ``cli.annotate``."""

import sys

from .cli.annotate import main

if __name__ == "__main__":
    sys.exit(main())
