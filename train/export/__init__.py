"""From trained weights to a model folder: checked, calibrated, exported to ONNX, quantised and described."""

import sys


def announce(stage: str) -> None:
    """Prints what begins now on standard error, where progress bars go, too."""
    print(stage, file=sys.stderr, flush=True)
