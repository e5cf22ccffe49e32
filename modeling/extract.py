"""The command ``python -m modeling.extract``; its code is in ``cli.extract``."""

import sys

from .cli.extract import main

if __name__ == "__main__":
    sys.exit(main())
