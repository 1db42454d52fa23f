"""Forward and backward of a timm model on random tensors, and nothing else: the most that a loop could reach."""

import argparse
import json
import os
import time

BEGAN = float(os.environ["BENCH_BEGAN"])


def main() -> None:
    """Prints pictures per second as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    options = parser.parse_args()

    import timm
    import torch
    import torch.nn.functional as F

    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = timm.create_model(options.architecture, num_classes=8).to(device, memory_format=layout)
    images = torch.randn(options.batch_size, 3, options.size, options.size, device=device).to(memory_format=layout)
    labels = torch.arange(options.batch_size, device=device) % 8
    ends = []
    for _ in range(options.steps):
        model.zero_grad()
        # The loss is read, as a loop must that shows it and stops when it is no number.
        with torch.autocast(device, torch.bfloat16, enabled=options.bf16):
            logits = model(images)
        loss = F.cross_entropy(logits.float(), labels)
        loss.backward()
        loss.item()
        ends.append(time.time())
    rate = (len(ends) - 1) * options.batch_size / (ends[-1] - ends[0])
    print(json.dumps({"images_per_second": rate}))


if __name__ == "__main__":
    main()
