"""Dataset folder -> model folder: fine-tuning, judging, publishing."""
