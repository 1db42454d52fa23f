"""The model that answers, through ONNX Runtime or transformers."""
