"""How the model does on ordinary documents, and what the labels beside a label change."""

from __future__ import annotations

from pathlib import Path

from model_card.figures.markdown import origin, points, results_of, table


def documents(folder: Path) -> str:
    """Strict F1 by kind of document and in all."""
    report = results_of(folder, "documents")
    results = report["results"]
    rows = [
        [
            kind,
            str(own["documents"]),
            f"{own['gold']:,}",
            *(points(own[k]) for k in ("precision", "recall", "f1")),
        ]
        for kind, own in results["kinds"].items()
    ]
    every = results["all"]
    scores = [f"**{points(every[k])}**" for k in ("precision", "recall", "f1")]
    rows.append(["**all**", str(results["documents"]), f"{every['gold']:,}", *scores])
    note = (
        f"Offsets and label as in the reference, micro-averaged; {results['labels']:,} different labels, all "
        f"of a document asked at once; {results['setting']}. {origin(report)}"
    )
    return "\n\n".join([table(["kind", "documents", "entities", "precision", "recall", "F1"], rows), note])


def label_order(folder: Path) -> str:
    """What the order of the labels, one absent label more, and a label alone do to the answers."""
    report = results_of(folder, "label_order")
    results = report["results"]
    order, more, alone = (results[key] for key in ("orders", "one_more", "alone"))
    rows = [
        [
            f"documents whose entities change over {order['orders']} orders of their labels",
            f"{order['changed']} of {results['documents']}",
        ],
        ["largest difference of the score of one entity", f"{order['largest_score_difference']:.2g}"],
        [
            "answers to other labels that one absent label more changes",
            f"{more['changed']:,} of {more['answers']:,}",
        ],
        ["entities of that absent label, all false", f"{more['false_entities']:,}"],
        [
            "absent labels that are answered when asked alone",
            f"{alone['answered_absent']:,} of {alone['asked_absent']:,}",
        ],
        ["entities of those, all false", f"{alone['false_entities']:,}"],
        ["precision over all labels asked alone", points(alone["precision"])],
    ]
    return "\n\n".join([table(["question", "outcome"], rows), origin(report)])
