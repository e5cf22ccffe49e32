"""How good the answers are: headline, other readings, steps, baselines, published anchors, criteria."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from model_card.evidence.criteria import check
from model_card.evidence.results import RESULTS, read
from model_card.figures.markdown import change, heads, interval, points, results_of, sources, table


def headline(folder: Path) -> str:
    """Strict F1 of every setting of the main experiment, each set and their mean."""
    report = results_of(folder, "main")
    settings, others = report["results"]["settings"], report["results"]["baselines"]
    sets = heads(*(row["sets"] for row in (*settings.values(), *others.values())))
    rows = []
    for name, row in settings.items():
        shown = f"**{name}** (default)" if name == report["results"]["headline"] else name
        rows.append(
            [shown, *_sets(row, sets), f"**{points(row['mean']['f1'])}**", interval(row["mean"]["interval"])]
        )
    for name, row in others.items():
        rows.append([name, *_sets(row, sets), points(row["mean"]["f1"]), interval(row["mean"]["interval"])])
    head = ["", *sets.values(), "mean", "95% interval"]
    return "\n\n".join([table(head, rows), sources(report)])


def readings(folder: Path) -> str:
    """The default setting in every reading."""
    results = results_of(folder, "main")["results"]
    row = results["settings"][results["headline"]]
    sets = row["sets"]
    titles = heads(sets)
    lines = [["strict, without misc (headline)", *_sets(row, titles), points(row["mean"]["f1"])]]
    low_high = [interval(sets[n]["bootstrap"]["f1"]) for n in titles]
    lines.append(["95% interval", *low_high, interval(row["mean"]["interval"])])
    if "with_misc" in row:
        values = [row["with_misc"][n]["f1"] for n in titles]
        lines.append(["misc asked and counted", *map(points, values), points(sum(values) / len(values))])
    for key, label in (("span", "character offsets"), ("uniner", "UniNER's script*")):
        lines.append([label, *(points(sets[n][key]["f1"]) for n in titles), points(row["means"][key])])
    for key, label in (("seen", "types seen in training"), ("unseen", "types never seen")):
        if key in row["means"]:
            cells = [points(sets[n][key]["f1"]) if sets[n][key]["support"] else "none such" for n in titles]
            lines.append([label, *cells, points(row["means"][key])])
        else:
            lines.append([label, *["not measured"] * (len(titles) + 1)])
    note = (
        "*On UniNER's own query files; it published none for Movie, which is read by its rules on the "
        "benchmark. It lower-cases and drops punctuation and articles, and its files lack some mentions."
    )
    return "\n\n".join([table(["reading", *titles.values(), "mean"], lines), note])


def steps(folder: Path) -> str:
    """Eight denoising steps against one, set by set, with intervals of the difference."""
    results = results_of(folder, "main")["results"]
    titles = heads(*(entry["sets"] for entry in results["steps"].values()))
    rows = []
    for entry in results["steps"].values():
        cells = [change(entry["sets"][n]) for n in titles]
        rows.append([f"{entry['many']} minus {entry['few'].split(', ')[-1]}", *cells, change(entry["mean"])])
    return table(["", *titles.values(), "mean"], rows)


def baselines(folder: Path) -> str:
    """The paired comparison with each baseline whose answers are at hand."""
    results = results_of(folder, "main")["results"]
    if not results["baselines"]:
        missing = (
            "Not measured: no baseline has answered these sets. `python -m model_card baseline --system "
            "uniner` (vLLM, a GPU) or `--system gliner`, then the experiments again."
        )
        return "\n\n".join([missing, *_path_test()])
    rows = []
    for name, row in results["baselines"].items():
        against = row["against"]
        rows.append(
            [
                name,
                row["setting"],
                points(row["mean"]["f1"]),
                points(against["f1_difference"], 2),
                interval(against["interval"], 2, "+"),
                f"{against['p_value']:.3f}",
            ]
        )
    head = ["baseline", "how", "its mean F1", "ours minus it", "95% interval", "p"]
    return table(head, rows)


def _path_test() -> list[str]:
    """Say that the way from a prompt to a score was walked with a network that is not UniNER."""
    report = read(RESULTS, "uniner_path_test")
    if report is None:
        return []
    asked = sum(entry["queries"] for entry in report["sets"].values())
    unread = sum(entry["unreadable"] for entry in report["sets"].values())
    low, high = (f(entry["strict"]["f1"] for entry in report["sets"].values()) for f in (min, max))
    return [
        f"Path test, no evidence of quality: {asked} queries went through that runner ({report['setting']}) "
        f"on {report['hardware']}, {unread} answers could not be read, F1 {points(low)} to {points(high)}. "
        f"{report['note']}"
    ]


def anchors(folder: Path) -> str:
    """Published figures of other models beside ours, each with the metric it was measured by."""
    published = read(RESULTS, "anchors")
    assert published is not None  # kept in the repository
    rows = []
    own = read(folder, "main")
    titles = heads(*(entry.get("sets", {}) for entry in published["models"].values()))
    if own is not None:
        row = own["results"]["settings"][own["results"]["headline"]]
        rows.append(
            ["this model", "strict, a set per sentence", *_sets(row, titles), points(row["mean"]["f1"])]
        )
        for key, label in (("uniner", "UniNER's script"), ("span", "character offsets")):
            cells = [points(row["sets"][n][key]["f1"]) for n in titles]
            rows.append(["this model", label, *cells, points(row["means"][key])])
    for name, entry in published["models"].items():
        cells = [f"{entry['sets'][n]:.1f}" if "sets" in entry else "" for n in titles]
        rows.append([f"{name} (published)", entry["metric"], *cells, f"{entry['mean']:.1f}"])
    cited = "; ".join(dict.fromkeys(entry["source"] for entry in published["models"].values()))
    note = f"Different scripts and rules: compare rows of the same metric only. Sources: {cited}."
    return "\n\n".join([table(["model", "metric", *titles.values(), "mean"], rows), note])


def seeds(folder: Path) -> str:
    """Strict F1 over training seeds of the same recipe: the mean, its spread, and each run's mean."""
    report = results_of(folder, "seeds")["results"]
    titles = heads(*(row["sets"] for row in report["settings"].values()))
    rows = []
    for name, row in report["settings"].items():
        cells = [f"{points(row['sets'][n]['mean'])} ± {points(row['sets'][n]['sd'])}" for n in titles]
        mean = f"**{points(row['mean']['mean'])} ± {points(row['mean']['sd'])}**"
        rows.append([name, *cells, mean, " / ".join(map(points, row["mean"]["runs"]))])
    count, one = len(report["runs"]), report["runs"][report["shipped"]]
    note = (
        f"Mean and standard deviation over {count} seeds, all with the same recipe; the last column has each "
        f"seed's mean, the released weights' at place {report['shipped'] + 1}. Evaluated {one['date']} "
        f"on {one['hardware']} in {report['dtype']}."
    )
    return "\n\n".join([table(["decoding", *titles.values(), "mean", "each seed"], rows), note])


def size(folder: Path) -> str:
    """F1 a megabyte, of this model and of published ones."""
    report = results_of(folder, "size")
    rows = [
        [
            f"{row['model']} (published)" if row["published"] else row["model"],
            row["metric"],
            f"{row['megabytes']:,.0f}",
            points(row["f1"]),
            f"{100 * row['f1'] / row['megabytes']:.3f}",
        ]
        for row in report["results"]["rows"]
    ]
    note = (
        "Megabytes (millions of bytes) of weight files; of published models two bytes for each of their "
        "parameters. Compare rows of the same metric only."
    )
    return "\n\n".join([table(["model", "metric", "MB", "mean F1", "F1 a MB"], rows), note])


def criteria(folder: Path) -> str:
    """The project's success criteria, checked by code."""
    rows = [[c.name, f"**{c.status}**", c.why] for c in check(folder)]
    return table(["criterion", "outcome", "figures"], rows)


def _sets(row: dict[str, Any], names: Iterable[str]) -> list[str]:
    return [points(row["sets"][n]["f1"]) if n in row["sets"] else "not measured" for n in names]
