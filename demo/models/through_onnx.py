"""A model.onnx answers: raw pixels in, no torch."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from demo.models.answer import Answer, NoNumbersError
from model_folder.folder import ModelFolder
from model_folder.onnx_session import ANSWERING, ONNX_ERRORS, open_onnx


def load_network(folder: ModelFolder, threads: int, name: str) -> Callable[[Image.Image], Answer]:
    """Loads the model.onnx of a model folder, or the quantised one.

    Args:
        folder: One that has it.
        threads: How many compute an answer.
        name: Of the file.

    Returns:
        Classifies an upright RGB picture; several threads may call it.

    Raises:
        ModelFolderError: It is damaged or hostile.
    """
    session = open_onnx(folder, threads, name)
    outputs = [value.name for value in session.get_outputs() if value.name != "maps"]

    def answer(image: Image.Image) -> Answer:
        try:
            values = session.run(outputs, {"image": np.asarray(image)}, ANSWERING)
        except ONNX_ERRORS:
            raise NoNumbersError("the model failed on this picture") from None
        return Answer(**dict(zip(outputs, values, strict=True)))

    return answer
