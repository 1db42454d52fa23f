"""Command line: `python -m train lr-find | fit | cross-validate | evaluate | clean | static | push`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from files.errors import UserError, one_line_exit
from files.paths import command_line, expand_home

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True)

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file such as recipes/resnet34.yaml.")]
Words = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings; they win over RECIPE.")]


@app.callback()
def describe() -> None:
    """Dataset folder -> model folder. RUN/model loads in timm, transformers and app.py."""


@app.command("lr-find")
def lr_find(recipe: RecipeFile, words: Words = None) -> None:
    """Suggests a learning rate for the stage that comes next in output_dir; nothing is trained for good.

    Example: python -m train lr-find recipes/resnet34.yaml dataset=dances output_dir=runs/first
    """
    from train.recipe import Recipe, load_settings

    settings = load_settings(Recipe, recipe, words or [])
    from train.stopping import stopping_at_once

    with stopping_at_once(), _quiet_about_lost_processes():
        from accelerate import PartialState

        from train.fit import lr_find as find
        from train.run_folder import RunFolder
        from train.trainer import lr_figure

        stage, result = find(settings)
    if PartialState().is_main_process:
        print(f"stage {stage.number}: {result.verdict(stage.rate_key)}")
        print(f"The curve: {lr_figure(RunFolder(settings.output_dir), stage)}")


@app.command()
def fit(recipe: RecipeFile, words: Words = None) -> None:
    """Fine-tunes by RECIPE and writes RUN/model.

    Ctrl-C and SIGTERM save and stop (exit codes 130 and 143); a second Ctrl-C stops at once.

    Example: python -m train fit recipes/sample.yaml dataset=dances output_dir=runs/first
    """
    from train.recipe import Recipe, load_settings

    settings = load_settings(Recipe, recipe, words or [])
    from train.stopping import Stopped, stopping_at_once

    try:
        with stopping_at_once(), _quiet_about_lost_processes():
            from accelerate import PartialState

            from train.fit import fit as run_fit

            run = run_fit(settings)
    except Stopped:
        if os.environ.get("RANK", "0") == "0":
            command = _resume(recipe, words or [])
            print(f"\nstopped; what was done is kept. Continue with:\n  {command}", file=sys.stderr)
        raise
    if PartialState().is_main_process:
        print(f"{run.model}: ready for timm, transformers and app.py (checked)")
        print("Next:", command_line("python", "-m", "train", "evaluate", run.model, f"dataset={settings.dataset}"))


@contextmanager
def _quiet_about_lost_processes() -> Iterator[None]:
    """Ends this process without a word when another of the run is gone: that one, or the launcher, has said why."""
    try:
        yield
    except RuntimeError as error:
        from train.processes import is_lost_process

        if not is_lost_process(error):
            raise
        sys.exit(1)


@app.command("cross-validate")
def cross_validate(
    recipe: RecipeFile,
    words: Words = None,
    fractions: Annotated[
        str | None, typer.Option(help="Also draw a learning curve: train on parts of the pictures, 0.25,0.5,0.75,1.")
    ] = None,
) -> None:
    """Trains by RECIPE once per fold of train and validation; each model answers for what it never saw.

    Writes RUN/predictions.parquet, which `clean` reads. Stopped, the same command goes on; started twice, two
    processes share the folds. The test split has no part in it.

    Example: python -m train cross-validate recipes/resnet34.yaml dataset=dances output_dir=runs/first folds=5
    """
    words = [*(words or []), *([f"fractions={fractions}"] if fractions else [])]
    # Imported first: a recipe with folds is a recipe.
    from train.cross_validate import CrossValidation
    from train.cross_validate import cross_validate as run_cross_validate
    from train.recipe import load_settings
    from train.stopping import Stopped, stopping_at_once

    settings = load_settings(CrossValidation, recipe, words)
    try:
        with stopping_at_once():
            result = run_cross_validate(settings)
    except Stopped:
        command = command_line("python", "-m", "train", "cross-validate", recipe, *words)
        print(f"\nstopped; what was done is kept. Continue with:\n  {command}", file=sys.stderr)
        raise
    print(result.summary())
    print("Next:", command_line("python", "-m", "train", "clean", settings.output_dir, f"dataset={settings.dataset}"))


def _resume(recipe: Path, words: list[str]) -> str:
    """Returns the command that goes on with a run."""
    launcher = ["accelerate", "launch", "..."] if "WORLD_SIZE" in os.environ else ["python"]
    again = [word for word in words if not word.startswith("resume_from_checkpoint=")]
    return command_line(*launcher, "-m", "train", "fit", recipe, *again, "resume_from_checkpoint=true")


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model folder or Hub id.")],
    words: Words = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare two runs that were judged: evaluate --compare RUN_A RUN_B")
    ] = False,
) -> None:
    """Judges MODEL on a split: accuracy with its interval, per class, calibration, confusion matrix.

    others=PHOTOS also shows it pictures of something else. --compare tells whether RUN_B is better than RUN_A.

    Example: python -m train evaluate runs/first/model dataset=dances
    """
    if compare:
        _compare(model, words or [])
        return
    from accelerate import PartialState

    from train.evaluate import Evaluation
    from train.evaluate import evaluate as run_evaluate
    from train.recipe import load_settings

    settings = load_settings(Evaluation, None, words or [])
    with _quiet_about_lost_processes():
        result = run_evaluate(model, settings)
    if PartialState().is_main_process:
        print(result.summary())


def _compare(first: str, words: list[str]) -> None:
    from train.compare import Comparison, compare
    from train.recipe import load_settings

    if not words or "=" in words[0]:
        raise UserError("--compare takes two runs: python -m train evaluate --compare RUN_A RUN_B")
    print(compare(Path(first), Path(words[0]), load_settings(Comparison, None, words[1:])))


@app.command()
def clean(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="What cross-validate wrote to.")],
    words: Words = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the cleaner, or only write the list.")
    ] = True,
) -> None:
    """Lists doubtful labels of train and validation in RUN/label_issues.csv, and shows them in the browser.

    What you decide there goes to RUN/corrections.csv at once; `dataset_card build --corrections` replays it.

    Example: python -m train clean runs/first dataset=dances
    """
    from train.clean import Cleaning, find_doubts, open_cleaner, summary
    from train.recipe import load_settings
    from train.run_folder import RunFolder

    settings = load_settings(Cleaning, None, words or [])
    doubts = find_doubts(run, settings)
    print(summary(doubts, RunFolder(run).label_issues), flush=True)
    if browser:
        open_cleaner(run, settings, doubts)


@app.command()
def static(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model folder, RUN/model, or Hub id.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    numbers: Annotated[
        str | None, typer.Option("--model", help="float or int8; without it int8 where the model folder has that.")
    ] = None,
    package: Annotated[
        Path | None,
        typer.Option("--onnxruntime-web", help="Its npm archive, where there is no network to fetch it."),
    ] = None,
) -> None:
    """Writes a page without a server: the model answers in the visitor's browser. Any host of files can serve it.

    Example: python -m train static runs/first/model --out site
    """
    from demo.static_page.site import Numbers, write_site

    if numbers not in (None, *Numbers):
        raise UserError(f"--model is {numbers!r}: {' and '.join(Numbers)} are allowed")
    print(write_site(model, out, Numbers(numbers) if numbers else None, package))


@app.command()
def push(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder, RUN/model.")],
    repo_id: Annotated[str, typer.Argument(metavar="REPO_ID", help="Such as user/dances-resnet34.")],
    space: Annotated[str | None, typer.Option(help="Also push a Space that shows it, such as user/nritya.")] = None,
    static_space: Annotated[
        str | None, typer.Option(help="Also push a static Space: the model answers in the visitor's browser.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Its dataset's Hub id, when trained on a folder.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Let everybody see it.")] = False,
    revision: Annotated[str | None, typer.Option(help="Push to this branch instead of main.")] = None,
    tag: Annotated[str | None, typer.Option(help="Give the result this tag.")] = None,
    squash: Annotated[
        bool, typer.Option("--squash", help="Rewrite every branch to one commit: earlier ones are gone for good.")
    ] = False,
    delete_tags: Annotated[
        bool, typer.Option("--delete-tags", help="Delete the tags that still hold what --squash removes.")
    ] = False,
) -> None:
    """Pushes MODEL to the Hub, private unless --public. Pushing again sends what differs.

    Pictures in the model folder that everybody will see are checked before anything is sent: their licences, in every
    earlier commit and tag, too.

    Example: python -m train push runs/first/model user/dances-resnet34 --space user/nritya
    """
    # The page is written by the room that shows it; only this door knows both.
    from demo.static_page.site import make_site
    from hub.publish import PushOptions
    from train.push import push_model

    options = PushOptions(public, revision, tag, squash, delete_tags=delete_tags)
    for done in push_model(model, repo_id, space, static_space, dataset, options, make_site):
        print(done)


def main(words: list[str] | None = None) -> None:
    """Runs a command, by default the process's own; a user's mistake ends with one line and exit code 2."""
    # Libraries import matplotlib, which can't be done where a notebook's shell names a backend that is not installed.
    os.environ["MPLBACKEND"] = "agg"
    with one_line_exit():
        app([expand_home(word) for word in (sys.argv[1:] if words is None else words)])


if __name__ == "__main__":
    main()
