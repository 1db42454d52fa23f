"""Command line: `python -m dataset_card sample | collect | build | check | push`."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from files.errors import one_line_exit
from files.paths import command_line, expand_home

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def describe() -> None:
    """Photographs -> a Hugging Face dataset folder with a card."""


@app.command()
def sample(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder to draw into.")],
    per_class: Annotated[int, typer.Option(min=3, help="Pictures per dance.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other pictures.")] = 8,
) -> None:
    """Draws stylised dancers of the eight classical dances.

    Example: python -m dataset_card sample build/photos
    """
    from dataset_card.sample import draw_sample

    count = draw_sample(photos, per_class, seed)
    following = command_line("python", "-m", "dataset_card", "build", photos, "--out", "DATASET")
    print(f"{photos}: {count} drawings of 8 dances. Next: {following}")


@app.command()
def collect(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder to collect into.")],
    dance: Annotated[str, typer.Option(help="Such as kathak; for any other class add --category or --query.")],
    contact: Annotated[
        str, typer.Option(envvar="NRITYA_CONTACT", help="Your e-mail or web address: servers require it.")
    ] = "",
    source: Annotated[
        Literal["commons", "openverse", "icrawler"], typer.Option(help="icrawler: no licences, private use only.")
    ] = "commons",
    limit: Annotated[int, typer.Option(min=1, help="Pictures of this dance, including those already there.")] = 200,
    depth: Annotated[int, typer.Option(min=0, max=5, help="Levels of sub-categories on Wikimedia Commons.")] = 2,
    category: Annotated[list[str] | None, typer.Option(help="Instead of the dance's own; may be repeated.")] = None,
    query: Annotated[list[str] | None, typer.Option(help="Instead of the dance's own; may be repeated.")] = None,
) -> None:
    """Collects photographs of a dance that may be published, with licence and author. Run it again to go on.

    Example: python -m dataset_card collect photos --dance kathak --contact me@example.org
    """
    from dataset_card.collect import collect as collect_photographs

    report = collect_photographs(photos, dance, contact, source, limit, depth, category or [], query or [])
    print(report.summary(photos))
    report.check()


@app.command()
def build(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder with a sub-folder per class.")],
    out: Annotated[Path, typer.Option(help="The dataset folder to write; an earlier one is replaced.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws every split anew.")] = 8,
    splits: Annotated[
        Literal["draw", "folders"], typer.Option(help="folders: PHOTOS/{train,validation,test}/CLASS says the split.")
    ] = "draw",
    ratios: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Shares of train, validation, test; 0.7,0.15,0.15 by default.")
    ] = None,
    move_leaks: Annotated[
        bool, typer.Option("--move-leaks", help="Leave what given splits share out of train, and of validation.")
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="classes.json, as the page without a server saves taught classes: they need no sub-folders."
        ),
    ] = None,
    corrections: Annotated[
        Path | None, typer.Option(help="CSV with sha256, action keep/delete/relabel, label.")
    ] = None,
    keep_splits: Annotated[
        str | None,
        typer.Option(metavar="DATASET", help="Folder or Hub id whose pictures keep their splits; by default --out."),
    ] = None,
    only_redistributable: Annotated[
        bool, typer.Option("--only-redistributable", help="Leave out what must not be published.")
    ] = False,
    min_per_class: Annotated[
        int | None, typer.Option(min=3, help="Leave out classes with fewer different pictures.")
    ] = None,
    max_side: Annotated[int, typer.Option(min=64, help="Longest side of a picture, in pixels.")] = 1024,
    min_side: Annotated[int, typer.Option(min=1, help="Shortest side that a picture may have, in pixels.")] = 32,
    format: Annotated[
        Literal["keep", "jpeg", "png"],
        typer.Option(help="What pictures are saved as that can't be published byte for byte; keep: PNG stays PNG."),
    ] = "jpeg",
    num_proc: Annotated[int | None, typer.Option(min=1, help="Files read at once; by default one per core.")] = None,
) -> None:
    """Turns PHOTOS into a dataset folder: parquet, card, figures.

    Pictures that an earlier folder at --out has stay in their split, so that nothing ever moves from test to train.
    --ratios 0.85,0.15,0 makes no test split; a later build keeps to that unless --ratios is given again.
    PHOTOS/provenance.jsonl says where files come from, PHOTOS/removed.csv which must never come back.

    Example: python -m dataset_card build photos --out dances
    """
    from dataset_card.build import build as build_dataset
    from dataset_card.build import summary
    from dataset_card.curate.splits import plan_splits

    report = build_dataset(
        photos,
        out,
        seed,
        plan=plan_splits(ratios, splits == "folders", move_leaks, keep_splits),
        labels=labels,
        corrections=corrections,
        keep_splits=keep_splits,
        only_redistributable=only_redistributable,
        min_per_class=min_per_class,
        max_side=max_side,
        min_side=min_side,
        format=format,
        num_proc=num_proc,
    )
    print(summary(report))
    print(
        f"{out}: ready for load_dataset({json.dumps(str(out), ensure_ascii=False)}); its card is {out / 'README.md'}"
    )


@app.command()
def check(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="A folder, or a Hub id such as user/dances@v1.")],
    config: Annotated[str | None, typer.Option(help="Its configuration, where it has several.")] = None,
) -> None:
    """Looks for faults in any dataset of labelled pictures; exit code 1 when there are some.

    Example: python -m dataset_card check dances
    """
    import datasets
    import huggingface_hub

    from dataset_card.check import check as check_dataset
    from dataset_card.check import table

    # The table, or the one line of an error, says what these two would log.
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    huggingface_hub.logging.set_verbosity_error()
    report = check_dataset(dataset, config)
    print(table(report))
    if report.ended("FOUND"):
        raise typer.Exit(1)


@app.command()
def push(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset folder.")],
    repo_id: Annotated[str, typer.Argument(metavar="REPO_ID", help="Such as user/dances.")],
    public: Annotated[bool, typer.Option("--public", help="Let everybody see it; licences must allow it.")] = False,
    revision: Annotated[str | None, typer.Option(help="Push to this branch instead of main.")] = None,
    tag: Annotated[str | None, typer.Option(help="Give the result this tag.")] = None,
    squash: Annotated[
        bool, typer.Option("--squash", help="Rewrite every branch to one commit: earlier ones are gone for good.")
    ] = False,
    takedown: Annotated[
        bool, typer.Option("--takedown", help="--squash, so that pictures in removed.csv are served no longer.")
    ] = False,
    delete_tags: Annotated[
        bool,
        typer.Option("--delete-tags", help="Delete the tags that still hold what --squash or --takedown removes."),
    ] = False,
) -> None:
    """Pushes DATASET to the Hub, private unless --public. Pushing again sends what differs.

    Whatever everybody will see is checked before anything is sent: licences, the card, and every earlier commit,
    branch and tag.

    Example: python -m dataset_card push dances user/dances
    """
    from dataset_card.push import push_dataset
    from hub.publish import PushOptions

    options = PushOptions(public, revision, tag, squash, takedown, delete_tags)
    print(push_dataset(dataset, repo_id, options))


def main(words: list[str] | None = None) -> None:
    """Runs a command, by default the process's own; a user's mistake ends with one line and exit code 2."""
    # Libraries import matplotlib, which can't be done where a notebook's shell names a backend that is not installed.
    os.environ["MPLBACKEND"] = "agg"
    with one_line_exit():
        app([expand_home(word) for word in (sys.argv[1:] if words is None else words)])


if __name__ == "__main__":
    main()
