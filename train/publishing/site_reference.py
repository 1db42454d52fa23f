"""What training pictures look like to a model, and small copies of them, as one file for a page without a server.

One, and fetched with the model: which of many pictures a visitor's browser asked for would tell the host of the files
what the visitor's own picture looks like.
"""

import json

import numpy as np
from safetensors.numpy import save

from model_folder.facts import plain, read_dances
from model_folder.folder import ModelFolder
from model_folder.reference_features import ReferenceFeatures
from model_folder.reference_pictures import ReferencePicture, open_pictures

REFERENCE_FILE = "reference.safetensors"
_LONGEST_CREDIT = 80


def reference_file(folder: ModelFolder, reference: ReferenceFeatures) -> bytes:
    """Returns a file of the safetensors format, the same for the same model folder.

    Its tensors are `features`, each of length 1, float16 of shape (pictures, features), and `jpegs`, uint8: the small
    copies, one after the other. Its metadata have `pictures`, JSON with an object per picture, in the order of the
    features: name of the dance, credit, url, and how many `bytes` of `jpegs` are its copy. Where the licence lets none
    be shared, these are 0, and credit and url are empty. Without pictures in the model folder the list is empty.

    Raises:
        ModelFolderError: The folder's pictures are damaged or hostile.
    """
    dances = read_dances(folder.config)
    pictures = open_pictures(folder, len(reference.features))
    told = [_told(picture, dances[picture.label].name if picture.label in dances else "") for picture in pictures]
    jpegs = b"".join(picture.jpeg or b"" for picture in pictures)
    return save(
        {"features": reference.features.astype(np.float16), "jpegs": np.frombuffer(jpegs, np.uint8)},
        {"pictures": json.dumps(told, ensure_ascii=False, separators=(",", ":"))},
    )


def _told(picture: ReferencePicture, name: str) -> dict[str, str | int]:
    credit = ", ".join(filter(None, (plain(of, _LONGEST_CREDIT) for of in (picture.author, picture.license))))
    shown = picture.jpeg is not None
    return {
        "name": name or plain(picture.label),
        "credit": credit if shown else "",
        "url": picture.source_url if shown else "",
        "bytes": len(picture.jpeg or b""),
    }
