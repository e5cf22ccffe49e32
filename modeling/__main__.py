"""``python -m modeling COMMAND ...`` is ``diffusion-ner COMMAND ...``."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
