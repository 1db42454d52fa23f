"""What `train evaluate` prints."""

from typing import Any


def summary(metrics: dict[str, Any], split: str) -> str:
    """Returns a split's metrics as a table of classes and a few sentences."""
    width = max(map(len, [*metrics["per_class"], "class"]))
    lines = [f"{'class':{width}}  pictures  precision  recall     F1"]
    for name, row in metrics["per_class"].items():
        lines.append(
            f"{name:{width}}  {row['pictures']:8}  {row['precision']:9.2f}  {row['recall']:6.2f}  {row['f1']:5.2f}"
        )
    (low, high), (f1_low, f1_high) = metrics["accuracy_interval"], metrics["macro_f1_interval"]
    lines.append(
        f"{split} accuracy {metrics['accuracy']:.1%} of {metrics['pictures']} pictures "
        f"(95 % interval {low:.1%} – {high:.1%}), macro F1 {metrics['macro_f1']:.3f} ({f1_low:.3f} – {f1_high:.3f})"
    )
    if split == "validation":
        absent = "" if metrics["has_test"] else "there is no test split, and "
        lines.append(f"{absent}validation chose the model that was kept: its figures there are too good")
    lines.append(_calibration(metrics))
    if metrics["most_confused"]:
        pairs = [f"{row['true']} as {row['predicted']} ({row['pictures']})" for row in metrics["most_confused"][:3]]
        lines.append(f"most confused: {', '.join(pairs)}")
    if metrics["reject"]:
        lines.append(_rejection(metrics["reject"]))
    if metrics["unlike"]:
        lines.append(_unlike(metrics["unlike"], metrics["pictures"]))
    if metrics["others"]:
        lines.append(_others(metrics["others"]))
    return "\n".join(lines)


def _calibration(metrics: dict[str, Any]) -> str:
    now = f"calibration error {metrics['ece']:.3f}, negative log-likelihood {metrics['nll']:.3f}"
    before = metrics["calibrated_from"]
    if not before:
        return now
    return f"{now}; {before['ece']:.3f} and {before['nll']:.3f} without temperature {before['temperature']:.2f}"


def _rejection(reject: dict[str, Any]) -> str:
    if reject["threshold"] is None:
        return "abstains never: no threshold promised the target accuracy on the validation pictures"
    name = reject["score"].replace("_", " ")
    if not reject["answered"]:
        return f"abstains below {name} {reject['threshold']:.3f}: answers none of these pictures"
    low, high = reject["accuracy_interval"]
    return (
        f"abstains below {name} {reject['threshold']:.3f}: answers {reject['coverage']:.1%}, of which "
        f"{reject['accuracy']:.1%} are right (95 % interval {low:.1%} – {high:.1%})"
    )


def _unlike(unlike: dict[str, Any], pictures: int) -> str:
    if unlike["threshold"] is None:
        return "takes nothing for none of the classes: too few validation pictures to choose a distance by"
    low, high = unlike["false_alarms_interval"]
    return (
        f"takes {unlike['refused']} of {pictures} for none of the classes, at a distance above "
        f"{unlike['threshold']:.3f}: {unlike['false_alarms']:.1%} false alarms (95 % interval {low:.1%} – {high:.1%})"
    )


def _others(others: dict[str, Any]) -> str:
    scores = []
    for score, row in others["scores"].items():
        low, high = row["auroc_interval"]
        scores.append(f"{score.replace('_', ' ')} {row['auroc']:.2f} ({low:.2f} – {high:.2f})")
    told = f"{others['pictures']} other pictures ({others['dataset']}): AUROC by {', by '.join(scores)}"
    # Less than a coin would.
    if not any(row["auroc_interval"][0] > 0.5 for row in others["scores"].values()):
        told += "; none tells them from the classes"
    at, unlike = others["at_threshold"], others["unlike"]
    told += f"; abstains on {at['abstained']:.1%} of them" if at else ""
    if not unlike:
        return told
    low, high = unlike["refused_interval"]
    return f"{told}; takes {unlike['refused']:.1%} of them for none of the classes ({low:.1%} – {high:.1%})"
