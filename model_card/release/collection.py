"""The Collection that ties the artefacts together on the Hub."""

from dataclasses import dataclass

from huggingface_hub import HfApi

from model_card.release.artefact import Artefact

TITLE = "DiffusionNER-Zero"
DESCRIPTION = "Zero-shot named-entity recognition by masked diffusion: data, metric, models, demo."


@dataclass(frozen=True)
class CollectionPlan:
    """What the Collection needs.

    Args:
        namespace: that owns it.
        slug: its id on the Hub, None if there is none yet.
        missing: items to add, in order.
    """

    namespace: str
    slug: str | None
    missing: tuple[Artefact, ...]

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.slug is not None and not self.missing


def plan_collection(api: HfApi, namespace: str, artefacts: list[Artefact]) -> CollectionPlan:
    """Compare the namespace's Collection with the artefacts."""
    for found in api.list_collections(owner=namespace):
        if found.title == TITLE:
            # A listing names a few items only.
            items = api.get_collection(found.slug).items
            held = {(item.item_type, item.item_id) for item in items}
            missing = tuple(a for a in artefacts if (a.kind.repo_type, a.repo_id) not in held)
            return CollectionPlan(namespace, found.slug, missing)
    return CollectionPlan(namespace, None, tuple(artefacts))


def publish_collection(api: HfApi, plan: CollectionPlan, private: bool) -> str:
    """Make the Collection if there is none, add what it lacks, and return its slug."""
    slug = plan.slug
    if slug is None:
        slug = api.create_collection(
            TITLE, namespace=plan.namespace, description=DESCRIPTION, private=private, exists_ok=True
        ).slug
    for artefact in plan.missing:
        kind = artefact.kind
        api.add_collection_item(slug, artefact.repo_id, kind.repo_type, note=kind.note, exists_ok=True)
    return slug
