"""transformers.pipeline as its documentation has it, in a gr.Interface or alone. Started by serve.py."""

import json
import sys

from transformers import pipeline


def main() -> None:
    """Runs `page MODEL`, or `alone MODEL NUMBER PICTURES...`, whose last line is JSON."""
    what, model, *words = sys.argv[1:]
    classify = pipeline("image-classification", model=model)
    classes = len(classify.model.config.id2label)
    if what == "alone":
        from benchmarks.side_answer import p50

        print(json.dumps({"alone": p50(lambda file: classify(str(file), top_k=classes), int(words[0]), words[1:])}))
        return
    import gradio as gr

    def predict(image):
        return {answer["label"]: answer["score"] for answer in classify(image, top_k=classes)}

    gr.Interface(predict, gr.Image(type="pil"), gr.Label(), api_name="predict").launch()


if __name__ == "__main__":
    main()
