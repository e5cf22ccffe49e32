"""Train a masked-diffusion entity recogniser: ``diffusion-ner train`` as a script that accelerate can launch.

python train_sft.py --config modeling/configs/train_mini.yaml
python train_sft.py --config modeling/configs/train_dream_sft.yaml --max_steps 100
python train_sft.py --init mini --data my.jsonl --output_dir runs/mine
"""

import sys

from modeling.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
