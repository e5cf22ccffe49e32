"""What training had seen of the test sets, and how the model does on the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model_card.figures.markdown import in_order, origin, points, results_of, short_title, table


def zero_shot(folder: Path) -> str:
    """What the training mix holds of each test set, and F1 on seen against unseen types."""
    report = results_of(folder, "zero_shot")
    head = ["test set", "sentences", "whole in training", "13 words in a row", "mentions", "types never seen"]
    rows = []
    for name, own in in_order(report["results"]["sets"]):
        unseen = f"{len(own['types_unseen'])} of {own['types']}"
        unseen += f": {', '.join(own['types_unseen'])}" if own["types_unseen"] else ""
        rows.append(
            [
                short_title(name),
                f"{own['sentences']:,}",
                f"{own['exact']:,} (and {own['exact_short']:,} of under five words)",
                f"{own['ngram_13']:,} of {own['sentences_13_words']:,} that long",
                f"{own['mentions_seen'] / own['mentions']:.0%} of {own['mentions']:,}",
                unseen,
            ]
        )
    note = (
        "Letter case and punctuation do not count. A mention counts if its words are marked in training with "
        "the same type, a type as seen if training asks for it by exactly this name."
    )
    return "\n\n".join([table(head, rows), note, _scores(report["results"]["scores"]), origin(report)])


def _scores(scores: dict[str, Any]) -> str:
    """F1 and recall on what training had seen and on what it had not."""
    sets = in_order(scores)
    readings = [
        ("F1, types seen", [s["seen"]["f1"] if s["seen"]["support"] else None for _, s in sets]),
        ("F1, types never seen", [s["unseen"]["f1"] if s["unseen"]["support"] else None for _, s in sets]),
        ("recall, mentions in training", [s["recall_seen"] for _, s in sets]),
        ("recall, new mentions", [s["recall_new"] for _, s in sets]),
    ]
    rows = []
    for label, values in readings:
        known = [value for value in values if value is not None]
        mean = points(sum(known) / len(known)) if known else "none such"
        rows.append([label, *("none such" if v is None else points(v) for v in values), mean])
    return table(["", *(short_title(name) for name, _ in sets), "mean"], rows)
