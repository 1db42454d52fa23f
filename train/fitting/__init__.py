"""Fine-tuning: recipe, pictures, model, optimizer, loop, checkpoints."""
