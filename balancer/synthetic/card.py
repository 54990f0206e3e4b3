"""The card of a set of synthetic images: `README.md` for Hugging Face, and `croissant.json`.

Every line is filled from the records; what is not known is said to be unknown. Neither file is an
input of any stage, so that writing them again changes no fingerprint.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from balancer.drawing.wording import printable
from balancer.files import replacing
from balancer.manifest import SyntheticRecord, fingerprint
from balancer.synthetic.gates import MANIFEST_NAME
from balancer.synthetic.records import ClassLineage

CARD_NAME, CROISSANT_NAME = "README.md", "croissant.json"
_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
_KNOWN_LICENCES = {"cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "mit", "apache-2.0"}
_NOT_MEASURED = "not measured, so not to be shared"


def write_card(
    folder: Path,
    images: Path,
    records: Sequence[SyntheticRecord],
    lineage: Mapping[str, ClassLineage],
    *,
    ratio: str,
    words: Mapping[str, str] | None = None,
) -> None:
    """Write `README.md` and `croissant.json`, whose place is beside the images.

    Args:
        folder: Folder to write to.
        images: Folder of `manifest.csv` and the images.
        records: All images, rejected ones included.
        lineage: Class to the origin of its images.
        ratio: Target ratio.
        words: Class to the word on sharing; a class without one was not measured.

    Raises:
        OSError: A file cannot be written.
    """
    description = _description(records)
    sharing = {label: (words or {}).get(label, _NOT_MEASURED) for label in lineage}
    texts = {
        CARD_NAME: _readme(records, lineage, ratio, sharing, description),
        CROISSANT_NAME: json.dumps(
            _croissant(images, records, lineage, sharing, description), indent=1, ensure_ascii=False
        )
        + "\n",
    }
    for name, text in texts.items():
        with replacing(folder / name) as partial:
            partial.write_text(text, encoding="utf-8")


def _description(records: Sequence[SyntheticRecord]) -> str:
    accepted = Counter(record.label for record in records if record.accepted)
    counts = ", ".join(f"{n} of {label}" for label, n in sorted(accepted.items()))
    return (
        f"Synthetic medical images ({counts}), made to balance the classes of a training split. "
        "For research only; not for diagnosis."
    )


def _readme(
    records: Sequence[SyntheticRecord],
    lineage: Mapping[str, ClassLineage],
    ratio: str,
    sharing: Mapping[str, str],
    description: str,
) -> str:
    accepted = [record for record in records if record.accepted]
    # JSON is YAML: quotes, colons and line breaks in a class name stay inside their value.
    head = {
        "pretty_name": f"Synthetic images: {', '.join(sorted(lineage))}",
        **_licence(lineage),
        "task_categories": ["image-classification"],
        "tags": ["synthetic", "medical", "balancer"],
        "size_categories": [next((w for n, w in _SIZES.items() if len(accepted) < n), "n>1M")],
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": MANIFEST_NAME}]}
        ],
    }
    lines = [
        "---",
        *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()),
        "---",
        "",
        f"# {_cell(str(head['pretty_name']))}",
        "",
        _cell(description),
        "",
        "| class | images | rejected by the screen | side in px | source | lineage | real images "
        "behind it | sharing |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for label, one in sorted(lineage.items()):
        mine = [record for record in records if record.label == label]
        sides = sorted({record.width for record in mine})
        n_real = "unknown" if one.training_ids == "unknown" else str(len(one.training_ids))
        cells = (
            label, str(sum(r.accepted for r in mine)), str(sum(not r.accepted for r in mine)),
            ", ".join(map(str, sides)), _source(one), one.state, n_real, sharing[label],
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    lines += [
        "",
        "## How they were made",
        "",
        f"As many as bring each class to {ratio} (largest class : every other class) in the "
        "training split, real and synthetic images together. Only real images of the training "
        "split may be seen by a generator; lineage says how far that is known. Rejected images are "
        "in `rejected/`.",
        "",
        f"`{MANIFEST_NAME}` has a row per image: SHA-256, path, class, size, number and checkpoint "
        "(with which our own images can be drawn again), and why one was rejected. Every PNG is "
        "marked inside as synthetic.",
        "",
        "## Sharing",
        "",
        "`share with care`: no more near copies of real images than held-out images explain, and a "
        "membership AUROC of 0.60 or more is excluded. `use at home`: nothing was found, but it "
        "could not be excluded. `do not share`: the images give real ones away. No word is a proof "
        "of privacy. The word is of `balancer quality`, which writes this card again with it.",
        "",
        "## Not to be used for",
        "",
        "Diagnosis; validation or test of a classifier; a claim that synthetic images help, which "
        "takes a comparison with cheaper remedies.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _source(one: ClassLineage) -> str:
    if one.name is not None:
        return one.name
    return "balancer DCGAN" + (f", checkpoint {one.checkpoint[:12]}" if one.checkpoint else "")


def _licence(lineage: Mapping[str, ClassLineage]) -> dict[str, str]:
    """Return the licence as Hugging Face names it; the classes can have several, or none known."""
    names = sorted({one.licence or "unknown" for one in lineage.values()})
    if len(names) == 1 and names[0].lower() in _KNOWN_LICENCES:
        return {"license": names[0].lower()}
    if names == ["unknown"]:
        return {"license": "unknown"}
    slug = re.sub(r"[^a-z0-9.-]+", "-", " and ".join(names).lower()).strip("-")
    return {"license": "other", "license_name": slug or "other"}


def _cell(text: str) -> str:
    """Return a text from the data in one cell of Markdown."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", printable(text)) if text else "-"


def _croissant(
    images: Path,
    records: Sequence[SyntheticRecord],
    lineage: Mapping[str, ClassLineage],
    sharing: Mapping[str, str],
    description: str,
) -> dict[str, Any]:
    licences = sorted({one.licence or "unknown" for one in lineage.values()})
    words = "; ".join(f"{label}: {word}" for label, word in sharing.items())
    columns = {
        "image_id": "sc:Text", "path": "sc:Text", "label": "sc:Text", "width": "sc:Integer",
        "height": "sc:Integer", "accepted": "sc:Boolean", "reason": "sc:Text",
    }  # fmt: skip
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "synthetic-images",
        "description": f"{description} Sharing: {words}.",
        "license": " and ".join(licences),
        "version": "1.0.0",
        "keywords": ["synthetic", "medical", *sorted(lineage)],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": MANIFEST_NAME,
                "name": MANIFEST_NAME,
                "description": "A row per image.",
                "contentUrl": MANIFEST_NAME,
                "encodingFormat": "text/csv",
                "sha256": fingerprint((images / MANIFEST_NAME).read_bytes()),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "images",
                "name": "images",
                "description": "The images, rejected ones included.",
                "field": [
                    {
                        "@type": "cr:Field",
                        "@id": f"images/{name}",
                        "name": name,
                        "description": f"Column {name} of {MANIFEST_NAME}.",
                        "dataType": kind,
                        "source": {
                            "fileObject": {"@id": MANIFEST_NAME},
                            "extract": {"column": name},
                        },
                    }
                    for name, kind in columns.items()
                ],
            }
        ],
    }


_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context of Croissant, word for word as mlcroissant 1.1 has it."""
