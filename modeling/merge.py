"""The command ``python -m modeling.merge``; its code is in ``cli.merge``."""

import sys

from .cli.merge import main

if __name__ == "__main__":
    sys.exit(main())
