"""Assemble, check, compare and upload the artefacts.

    python -m model_card release --namespace ORG --dry-run
    python -m model_card release --namespace ORG --dataset runs/pile_ner --base runs/dream --adapter runs/sft

Private unless --public is given. A second run uploads nothing, and finishes what a first one left undone.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.constants import is_offline_mode
from rich.console import Console

from dataset_builder.hub import HUB_ERRORS
from model_card.release import VERSION
from model_card.release.artefact import COLLECTION, KINDS, Artefact
from model_card.release.assembly import Sources, assemble
from model_card.release.collection import plan_collection, publish_collection
from model_card.release.plan import plan_repo
from model_card.release.publish import publish
from model_card.release.report import artefact_table, show_collection, show_plan
from model_card.release.validation import problems

RESULTS = Path(__file__).resolve().parents[1] / "results"


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.add_argument("--namespace", required=True, metavar="ORG", help="user or organisation on the Hub")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[*KINDS, COLLECTION],
        metavar="KEY",
        help=f"of {', '.join([*KINDS, COLLECTION])}; default: all whose folder is known",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the plan and change nothing on the Hub")
    parser.add_argument("--version", default=VERSION, help="tagged as v%(default)s by default")
    parser.add_argument("--public", action="store_true", help="make new repositories public")
    for kind in KINDS.values():
        if kind.given:
            parser.add_argument(f"--{kind.key}", type=Path, metavar="DIR", help=_HELP[kind.key])
    parser.add_argument(
        "--results",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="of the command evaluate, for the cards; default: all in model_card/results",
    )
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="keep the assembled artefacts in this new folder"
    )


_HELP = {
    "dataset": "folder that dataset_builder.build wrote",
    "base": "folder that modeling.cli.convert_dream wrote",
    "adapter": "folder that train_sft.py wrote",
    "full": "folder that modeling.cli.merge wrote",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    from model_card.__main__ import main as command

    return command(["release", *(sys.argv[1:] if argv is None else argv)])


def run(options: argparse.Namespace) -> int:
    """Assemble, check, compare and upload; exit status 1 for a fault of an artefact or of the Hub."""
    console, errors = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)
    try:
        with ExitStack() as stack:
            if options.work is None:
                work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="release-")))
            else:
                work = options.work
                work.mkdir(parents=True)  # an old one would mix versions
            artefacts = _assembled(options, work, console)
            wrong = {a.repo_id: found for a in artefacts if (found := problems(a, artefacts))}
            for name, found in wrong.items():
                for problem in found:
                    errors.print(f"{name}: {problem}", highlight=False, markup=False)
            if wrong:
                return 1
            return _release(options, artefacts, console)
    except HUB_ERRORS as error:
        errors.print(f"error: {error}", highlight=False, markup=False)
        return 1


def _assembled(options: argparse.Namespace, work: Path, console: Console) -> list[Artefact]:
    folders = {key: getattr(options, key) for key, kind in KINDS.items() if kind.given}
    given = {key: folder for key, folder in folders.items() if folder is not None}
    results = tuple(options.results or sorted(RESULTS.glob("*.json")))
    sources = Sources(options.namespace, given, results)
    wanted = options.only or [*KINDS, COLLECTION]
    keys = [key for key in KINDS if key in wanted]
    left = [] if options.only else [key for key in keys if KINDS[key].given and key not in given]
    artefacts = [assemble(key, sources, work) for key in keys if key not in left]
    console.print(artefact_table(artefacts))
    for artefact in artefacts:
        if artefact.left_out:
            names = ", ".join(artefact.left_out)
            console.print(f"{artefact.kind.key}: left out {names}", highlight=False, markup=False)
    for key in left:
        console.print(f"{key}: not released, it needs --{key} DIR", highlight=False)
    console.print()
    return artefacts


def _release(options: argparse.Namespace, artefacts: list[Artefact], console: Console) -> int:
    if options.dry_run and is_offline_mode():
        console.print("offline (HF_HUB_OFFLINE): checked, and not compared with the Hub")
        return 0
    api = HfApi(library_name="diffusion-ner-zero", library_version=options.version)
    plans = [plan_repo(api, artefact, f"v{options.version}") for artefact in artefacts]
    for plan in plans:
        show_plan(console, plan)
    tied = None
    if options.only is None or COLLECTION in options.only:
        tied = plan_collection(api, options.namespace, artefacts)
        show_collection(console, tied)
    if options.dry_run:
        return 0
    for plan in plans:
        if not plan.done:
            commit = publish(api, plan, private=not options.public)
            console.print(f"published {plan.artefact.repo_id} {plan.tag} at {commit[:12]}", highlight=False)
    if tied is not None and not tied.done:
        slug = publish_collection(api, tied, private=not options.public)
        console.print(f"published the collection {slug}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
