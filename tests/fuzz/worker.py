"""One slice of a fuzz run: a process that tries cases of one target by one engine for some seconds.

python -m tests.fuzz.worker TARGET ENGINE SECONDS SEED FOLDER CORPUS
"""

from __future__ import annotations

import os
import random
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

ENGINES = {
    "atheris": "atheris (libFuzzer), bytes guided by the branches that they reach",
    "hypothesis": "hypothesis, numbers of its choice",
    "random": "random bytes",
}
LENGTHS = (16, 64, 256, 1024)  # of random bytes
LONGEST = 4096  # bytes of atheris
ROUND = 2000  # examples of hypothesis under one seed


class TimeUp(KeyboardInterrupt):
    """Ends a round of hypothesis, which takes any other exception for a failure."""


def engines() -> list[str]:
    """Return the engines to use here: atheris has wheels for Linux alone, random bytes stand in for it."""
    return ["atheris" if find_spec("atheris") else "random", "hypothesis"]


def by_atheris(name: str, seconds: float, seed: int, folder: Path, corpus: Path) -> None:
    """Fuzz by libFuzzer, which ends the process; the corpus is kept for the next slice."""
    import atheris

    with atheris.instrument_imports(include=["modeling", "metric"]):
        from tests.fuzz.targets import attempt, target_of

        target = target_of(name)
    from tests.fuzz.draws import ByteDraws
    from tests.fuzz.findings import Findings

    _quiet()
    findings = Findings(folder)

    def one(data: bytes) -> None:
        findings.case(attempt(target, ByteDraws(data)))

    corpus.mkdir(parents=True, exist_ok=True)
    options = {
        "max_total_time": max(1, round(seconds)),
        "seed": seed % 2**31 + 1,  # 0 draws one
        "max_len": LONGEST,
        "len_control": 20,
        "rss_limit_mb": 6000,
        "timeout": 60,
        "verbosity": 0,
        "artifact_prefix": f"{folder}/",
    }
    atheris.Setup([sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), str(corpus)], one)
    atheris.Fuzz()


def by_hypothesis(name: str, seconds: float, seed: int, folder: Path) -> None:
    """Fuzz by hypothesis, round after round; failures are kept as they come, not made smaller."""
    import hypothesis
    from hypothesis import strategies as st

    from tests.fuzz.draws import HypothesisDraws
    from tests.fuzz.findings import Clock, Findings
    from tests.fuzz.targets import attempt, target_of

    target = target_of(name)
    _quiet()
    findings, clock = Findings(folder), Clock(seconds)
    options = hypothesis.settings(
        max_examples=ROUND,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    for number in range(sys.maxsize):

        @hypothesis.seed(seed * 1_000_003 + number)
        @options
        @hypothesis.given(st.data())
        def one(data: st.DataObject) -> None:
            if clock.over():
                raise TimeUp
            findings.case(attempt(target, HypothesisDraws(data)))

        try:
            one()
        except TimeUp:
            return


def by_random(name: str, seconds: float, seed: int, folder: Path) -> None:
    """Try random bytes."""
    from tests.fuzz.draws import ByteDraws
    from tests.fuzz.findings import Clock, Findings
    from tests.fuzz.targets import attempt, target_of

    target = target_of(name)
    _quiet()
    findings, clock = Findings(folder), Clock(seconds)
    stream = random.Random(seed)
    while not clock.over():
        findings.case(attempt(target, ByteDraws(stream.randbytes(stream.choice(LENGTHS)))))


def _quiet() -> None:
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of answers that fill their canvas, by the thousand


def main() -> None:
    """Run the command line."""
    name, engine, seconds, seed, folder, corpus = sys.argv[1:]
    if engine == "atheris":
        by_atheris(name, float(seconds), int(seed), Path(folder), Path(corpus))
    elif engine == "hypothesis":
        by_hypothesis(name, float(seconds), int(seed), Path(folder))
    else:
        by_random(name, float(seconds), int(seed), Path(folder))


if __name__ == "__main__":
    main()
