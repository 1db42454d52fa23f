"""A model folder without a model.onnx answers through transformers. Imported only then: torch takes its time."""

from collections.abc import Callable

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification
from transformers.utils import logging

from demo.models.answer import Answer
from model_folder.folder import REFERENCE, ModelFolder, ModelFolderError


def load_network(folder: ModelFolder) -> Callable[[Image.Image], Answer]:
    """Loads the weights of a model folder.

    Returns:
        Classifies an upright RGB picture; several threads may call it.

    Raises:
        ModelFolderError: transformers can't load it.
    """
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        network = AutoModelForImageClassification.from_pretrained(folder.path).eval()
        processor = AutoImageProcessor.from_pretrained(folder.path)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelFolderError(f"{folder.name} can't be loaded: {str(error).strip().splitlines()[0]}") from None
    # The weights may lie in the mapped file still, which may be replaced while it is served.
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data = tensor.data.clone()

    # `fit` writes reference features of such networks only whose answer is what the head makes of the features.
    compares = (folder.path / REFERENCE).is_file()

    @torch.inference_mode()
    def answer(image: Image.Image) -> Answer:
        pixels = processor(image)["pixel_values"]
        if not compares:
            return Answer(network(pixel_values=pixels).logits[0].softmax(0).numpy())
        maps = network.timm_model.forward_features(pixels)
        logits, features = (network.timm_model.forward_head(maps, pre_logits=only)[0] for only in (False, True))
        return Answer(logits.softmax(0).numpy(), features.numpy())

    return answer
