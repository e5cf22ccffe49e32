"""Shows a plan: what is in each artefact and what the Hub would receive."""

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from model_card.release.artefact import Artefact
from model_card.release.collection import TITLE, CollectionPlan
from model_card.release.plan import RepoPlan

_SHOWN = 12  # names of files a list


def artefact_table(artefacts: list[Artefact]) -> Table:
    """Return the artefacts with their files and sizes."""
    table = Table("artefact", "repository", "files", "size", box=None, pad_edge=False)
    for artefact in artefacts:
        kind = artefact.kind
        files = str(len(artefact.files))
        table.add_row(kind.key, f"{kind.repo_type} {artefact.repo_id}", files, decimal(artefact.size))
    return table


def show_plan(console: Console, plan: RepoPlan) -> None:
    """Print what one repository would receive."""
    artefact, change = plan.artefact, plan.change
    if plan.done:
        state = f"{plan.tag} is published, nothing to upload"
    elif plan.head is None:
        state = f"new, {decimal(plan.upload_size)} to upload, tag {plan.tag}"
    elif not change:
        state = f"main is up to date, tag {plan.tag} to set"
    else:
        state = f"{decimal(plan.upload_size)} to upload, tag {plan.tag}"
    visibility = {True: ", private", False: ", public", None: ""}[plan.private]
    console.print(f"{artefact.kind.repo_type} {artefact.repo_id}{visibility}: {state}", highlight=False)
    for sign, names in (("+", change.added), ("~", change.changed), ("-", change.removed)):
        for name in names[:_SHOWN]:
            path = artefact.files.get(name)
            size = f"  {decimal(path.stat().st_size)}" if path else ""
            console.print(f"  {sign} {name}{size}", highlight=False, markup=False)
        if len(names) > _SHOWN:
            console.print(f"  {sign} and {len(names) - _SHOWN} more", highlight=False)


def show_collection(console: Console, plan: CollectionPlan) -> None:
    """Print what the Collection would receive."""
    if plan.done:
        state = "complete"
    else:
        state = ("new, " if plan.slug is None else "") + f"{len(plan.missing)} to add"
    console.print(f"collection {plan.namespace}/{TITLE}: {state}", highlight=False)
    for artefact in plan.missing:
        console.print(f"  + {artefact.kind.repo_type} {artefact.repo_id}", highlight=False)
