"""The page without a server, measured in Chromium: `python -m benchmarks.static_page --help`.

Claimed: all that a visitor fetches is at most 40 MB for an int8 ResNet34 and 25 MB for an EfficientNet-Lite0; its
probabilities are app.py's to 5e-3 in the median; a visit with a phone's processor, four times slower, has
no task on the main thread of more than 100 ms.
"""

import argparse
import json
import os
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.serve import write_pictures, write_served_model
from benchmarks.sides import ROOT
from demo.answering import Answering
from demo.models.model import load_model
from demo.static_page.site import Numbers, choose_network, write_site
from model_folder.folder import INT8_ONNX, open_model_folder
from tests.browser.files_server import FilesServer

_WATCHING = """
window.said = [];
window.Worker = class extends Worker {
  constructor(...words) {
    super(...words);
    this.addEventListener("message", ({ data }) => data.probs && window.said.push(Array.from(data.probs)));
  }
};
"""


def main(words: list[str] | None = None) -> None:
    """Prints one table."""
    options = parse(words)
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    model = options.model.resolve() if options.model else write_served_model(options)
    site = options.work / "site"
    numbers = Numbers(options.numbers) if options.numbers else None
    network = choose_network(open_model_folder(str(model), for_torch=False), numbers)
    # app.py's side answers through the same file.
    os.environ["MODEL_FORMAT"] = "int8" if network.name == INT8_ONNX else "float"
    write_site(str(model), site, numbers, None)
    if options.photos:
        pictures = sorted(path for path in options.photos.rglob("*") if path.suffix in (".jpg", ".png"))
        pictures = pictures[:: max(1, len(pictures) // options.pictures)][: options.pictures]
    else:
        pictures = write_pictures(options.work / "pictures", options.pictures, options.width)
    (large,) = write_pictures(options.work / "large", 1, 4000)
    before = os.getloadavg()[0]
    with sync_playwright() as playwright, FilesServer(site).running() as files:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        rows = {
            **visit(browser, files, pictures, large, slower=1),
            **{f"{key}, phone": value for key, value in visit(browser, files, pictures, large, slower=4).items()},
            **agreement(browser, files, model, pictures),
        }
        browser.close()
    print(f"{network}, {len(pictures)} pictures, load {before:.1f} before and {os.getloadavg()[0]:.1f} after\n")
    print("| | |\n|---|--:|\n" + "\n".join(f"| {key} | {value} |" for key, value in rows.items()))


def parse(words: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder; without it one with random weights is written")
    parser.add_argument("--architecture", default="resnet34")
    parser.add_argument("--numbers", choices=list(Numbers), help="of the file that answers; int8 where there is one")
    parser.add_argument("--size", type=int, default=224, help="of what the model sees")
    parser.add_argument("--photos", type=Path, help="a folder of pictures; without it some are drawn")
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--width", type=int, default=1024, help="of a drawn picture")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench-static", help="made anew each time")
    return parser.parse_args(words)


def visit(browser: Browser, files: FilesServer, pictures: list[Path], large: Path, slower: int) -> dict[str, Any]:
    """Times a first visit, answers, and a second visit without the server's help."""
    phone = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True}
    context = browser.new_context(**(phone if slower > 1 else {}))
    context.add_init_script(_WATCHING)
    page = context.new_page()
    browser.start_tracing(page=page, categories=["disabled-by-default-devtools.timeline"])
    sent, start = files.sent, time.perf_counter()
    _open(page, files.address, slower)
    ready = time.perf_counter() - start
    first = _answer(page, pictures[0])
    sent = files.sent - sent
    each = [_answer(page, picture) for picture in pictures]
    twelve = _answer(page, large)
    longest = longest_task(browser.stop_tracing())
    page.close()
    start = time.perf_counter()
    _open(context.new_page(), files.address, slower)
    second = time.perf_counter() - start
    context.close()
    return {
        "sent until the first answer, MB": f"{sent / 1e6:.1f}",
        "first visit until the model is ready, s": f"{ready:.1f}",
        "first answer after that, ms": f"{1e3 * first:.0f}",
        "each picture, p50, ms": f"{1e3 * statistics.median(each):.0f}",
        "12 megapixels, ms": f"{1e3 * twelve:.0f}",
        "second visit until ready, s": f"{second:.1f}",
        "longest task on the main thread, ms of its own time": f"{longest:.0f}",
    }


def longest_task(trace: bytes) -> float:
    """Returns the milliseconds that the longest task of any page's main thread computed for.

    Not those that it lasted, for this machine does other things, too. A processor that is made slower keeps the thread
    busy meanwhile, which counts.
    """
    events = json.loads(trace)["traceEvents"]
    threads = [event for event in events if event["name"] == "thread_name"]
    mains = {(event["pid"], event["tid"]) for event in threads if event["args"]["name"] == "CrRendererMain"}
    tasks = [event for event in events if event["name"] == "RunTask" and (event["pid"], event["tid"]) in mains]
    return max(task.get("tdur", 0) for task in tasks) / 1e3


def agreement(browser: Browser, files: FilesServer, model: Path, pictures: list[Path]) -> dict[str, Any]:
    """Compares probabilities with those of app.py's own way from file to answer."""
    answering = Answering(load_model(str(model)))
    context = browser.new_context()
    context.add_init_script(_WATCHING)
    page = _open(context.new_page(), files.address, 1)
    differences, same = [], 0
    for number, picture in enumerate(pictures):
        _answer(page, picture)
        probs, ours = page.evaluate("(number) => window.said[number]", number), answering.answer(picture).probs
        differences += [abs(one - other) for one, other in zip(probs, ours.values(), strict=True)]
        same += max(ours, key=ours.__getitem__) == list(ours)[probs.index(max(probs))]
    context.close()
    return {
        "difference of a probability from app.py's, median": f"{statistics.median(differences):.1e}",
        "largest": f"{max(differences):.1e}",
        "same likeliest class": f"{same} of {len(pictures)}",
    }


def _open(page: Page, address: str, slower: int) -> Page:
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slower})
    page.goto(address)
    page.locator("#loading [role=status]", has_text="Ready.").wait_for(timeout=300_000)
    return page


def _answer(page: Page, picture: Path) -> float:
    before = page.evaluate("window.said.length")
    start = time.perf_counter()
    page.set_input_files("#giving input", picture)
    while page.evaluate("window.said.length") == before:
        page.wait_for_timeout(5)
    page.locator(".answer:is(.sure, .unsure, .ood)").wait_for()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
