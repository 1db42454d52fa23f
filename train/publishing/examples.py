"""Example pictures of a model folder, for the demo to offer."""

import io
import json
import re
from pathlib import Path

import datasets
from PIL import Image

from train.fitting.data import LabelledImages, image_bytes

_UNSHAREABLE = {"", "unknown", "other"}
_EXAMPLE_SIDE = 640


def write_examples(folder: Path, images: LabelledImages) -> list[Path]:
    """Writes one picture per class that the model has not learned from, for the demo to offer.

    Only pictures whose licence is known come along, with author and licence in `examples.json`.
    """
    rows = images.splits.get("test", images.splits["validation"])
    if "license" not in rows.column_names:
        return []
    rows = rows.cast_column("image", datasets.Image(decode=False))
    written: dict[int, dict[str, str]] = {}
    for index, (label, license_id) in enumerate(zip(rows["label"], rows["license"], strict=True)):
        if label in written or license_id in _UNSHAREABLE:
            continue
        row = rows[index]
        # A class may be called anything; a file of ours may not, and no two are called alike.
        stem = re.sub(r'[/\\:*?"<>|.\x00-\x1f]+', "-", images.label_names[label])
        taken = {entry["file"] for entry in written.values()}
        file = f"{stem}.jpg" if f"{stem}.jpg" not in taken else f"{stem}-{label}.jpg"
        folder.mkdir(exist_ok=True)
        with Image.open(io.BytesIO(image_bytes(row["image"]))) as picture:
            fresh = picture.convert("RGB")
            fresh.thumbnail((_EXAMPLE_SIDE, _EXAMPLE_SIDE))
            fresh.save(folder / file, quality=90)
        origin = {key: row.get(key, "") for key in ("license", "author", "source_url")}
        written[label] = {"file": file, "label": images.label_names[label], **origin}
    if written:
        entries = [written[label] for label in sorted(written)]
        (folder / "examples.json").write_text(
            json.dumps(entries, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return [folder / entry["file"] for entry in written.values()]
