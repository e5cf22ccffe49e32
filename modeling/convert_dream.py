"""``python -m modeling.convert_dream`` is ``diffusion-ner convert``; its code is in ``cli.convert``."""

import sys

from .cli.convert import main

if __name__ == "__main__":
    sys.exit(main())
