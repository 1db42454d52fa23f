"""What a model folder holds and how it is read and trusted: config, ONNX session, reference pictures; no torch."""
