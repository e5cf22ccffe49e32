"""The command ``python -m modeling.convert_dream``; its code is in ``cli.convert_dream``."""

import sys

from .cli.convert_dream import main

if __name__ == "__main__":
    sys.exit(main())
