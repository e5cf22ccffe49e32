"""Training; it needs the extra ``train``."""

from ..backbones.extras import require

require("train", "accelerate", "datasets", "peft", "trl")
