"""Uploads what a plan says: one commit an artefact, so that no half of one is ever visible."""

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from model_card.release.plan import RepoPlan, compare


class PublishError(RuntimeError):
    """The upload could not be finished; the message says why and what to do."""


def publish(api: HfApi, plan: RepoPlan, private: bool) -> str:
    """Create, upload, check and tag; return the commit. What an earlier run did is not done again.

    A run that is cut off leaves ``main`` as it was, or complete without its tag: the same command goes on
    from there, and large files that have arrived are not sent again.

    Args:
        api: the Hub's.
        plan: of the artefact.
        private: make a new repository private; an existing one keeps its visibility.

    Raises:
        PublishError: someone else changed the repository meanwhile, or it does not hold what was uploaded.
        HfHubHTTPError, OSError: the Hub refuses, or cannot be reached.
    """
    artefact, repo_type = plan.artefact, plan.artefact.kind.repo_type
    head = plan.head
    if head is None:
        sdk = "gradio" if repo_type == "space" else None
        api.create_repo(artefact.repo_id, repo_type=repo_type, private=private, space_sdk=sdk, exist_ok=True)
        head = str(api.repo_info(artefact.repo_id, repo_type=repo_type).sha)
    commit = head
    if plan.change:
        try:
            commit = api.upload_folder(
                repo_id=artefact.repo_id,
                repo_type=repo_type,
                folder_path=artefact.folder,
                commit_message=f"Release {plan.tag}",
                delete_patterns="*",
                parent_commit=head,
            ).oid
        except HfHubHTTPError as error:
            if error.response is None or error.response.status_code not in (409, 412):
                raise
            raise PublishError(
                f"{artefact.repo_id} was changed by someone else while this ran, so nothing was committed: "
                "look at what changed, and run the same command again"
            ) from error
    left = compare(api, artefact, commit)
    if left:
        names = ", ".join((*left.added, *left.changed, *left.removed)[:3])
        raise PublishError(
            f"{artefact.repo_id} does not hold what was uploaded ({names} ...), so it was not tagged: "
            "run the same command again"
        )
    api.create_tag(artefact.repo_id, tag=plan.tag, revision=commit, repo_type=repo_type)
    return commit
