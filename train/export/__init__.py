"""model.onnx and model.int8.onnx: a trained network, and all that pictures go through before it, as one file."""
