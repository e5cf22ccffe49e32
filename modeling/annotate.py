"""``python -m modeling.annotate`` is ``diffusion-ner annotate``; its code is in ``cli.annotate``."""

import sys

from .cli.annotate import main

if __name__ == "__main__":
    sys.exit(main())
