"""An extractor pushed to a Hub is loaded from there; without a token the Hub refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from modeling.backbones.saving import write_model
from tests.hub.server import serve, with_project
from tests.modeling.tiny import tiny_pointer, toy_tokenizer

CODE = """
import json, sys
from modeling import EntityExtractor

own = EntityExtractor.from_pretrained(sys.argv[1], device="cpu")
texts = ["alice smith met bob .", "it rained ."]
expected = own.batch_predict_entities(texts, ["person", "city"])
address = own.push_to_hub("acme/own", private=True, commit_message="Mine")
again = own.push_to_hub("acme/own")
loaded = EntityExtractor.from_pretrained("acme/own", device="cpu")
print(json.dumps([address, loaded.batch_predict_entities(texts, ["person", "city"]) == expected]))
"""


def test_what_is_pushed_is_loaded(tmp_path: Path) -> None:
    tokenizer = toy_tokenizer()
    write_model(tiny_pointer(tmp_path / "encoder", tokenizer), tokenizer, tmp_path / "model")
    with serve() as hub:
        for token in (True, False):
            home = tmp_path / f"home-{token}"
            home.mkdir()
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", CODE, str(tmp_path / "model")],
                env=with_project(hub.environment(home, token)),
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            if token:
                assert done.returncode == 0, done.stderr
                address, alike = json.loads(done.stdout.splitlines()[-1])
                assert "acme/own" in address
                assert alike
            else:
                assert done.returncode != 0
                assert "401" in done.stderr
