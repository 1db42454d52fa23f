"""Command line: `python -m train lr-find | fit | evaluate | predict | cross-validate | clean | static | push`."""

import os
import sys
import threading
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
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A model folder, RUN/model, or a Hub id.")]


@app.callback()
def describe() -> None:
    """Dataset folder -> model folder. RUN/model loads in timm, transformers and app.py."""


@app.command("lr-find")
def lr_find(recipe: RecipeFile, words: Words = None) -> None:
    """Suggests a learning rate for the stage that comes next in output_dir; no training is kept.

    Example: python -m train lr-find recipes/resnet34.yaml dataset=dances output_dir=runs/first
    """
    from train.recipe import Recipe, load_settings

    settings = load_settings(Recipe, recipe, words or [])
    with _stoppable(None):
        with _loading():
            from train.fit import lr_find as run_lr_find
            from train.run_folder import RunFolder
            from train.trainer import lr_figure
        stage, result = run_lr_find(settings)
        run = RunFolder(settings.output_dir)
        _say(f"stage {stage.number}: {result.verdict(stage.rate_key)}\nThe curve: {lr_figure(run, stage)}")
        found = [f"{stage.rate_key}={result.suggestion:.1e}"] if result.suggestion else []
        resume = ["resume_from_checkpoint=true"] if run.recipe.exists() else []
        _say_next("fit", recipe, *_without(words, stage.rate_key, "resume_from_checkpoint"), *found, *resume)


@app.command()
def fit(recipe: RecipeFile, words: Words = None) -> None:
    """Fine-tunes by RECIPE and writes RUN/model.

    Ctrl-C and SIGTERM save and stop (exit codes 130 and 143); a second Ctrl-C stops at once.

    Example: python -m train fit recipes/sample.yaml dataset=dances output_dir=runs/first
    """
    from train.recipe import Recipe, load_settings

    settings = load_settings(Recipe, recipe, words or [])
    launcher = ["accelerate", "launch", "..."] if "WORLD_SIZE" in os.environ else ["python"]
    again = [*_without(words, "resume_from_checkpoint"), "resume_from_checkpoint=true"]
    with _stoppable(command_line(*launcher, "-m", "train", "fit", recipe, *again)):
        with _loading():
            from train.fit import fit as run_fit
            from train.run_folder import RunFolder
        run_fit(settings)
        model = RunFolder(settings.output_dir).model
        _say(f"{model}: ready for timm, transformers and app.py (checked)")
        _say_next("evaluate", model, f"dataset={settings.dataset}")


@app.command()
def evaluate(
    model: Model,
    words: Words = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare two runs that were judged: evaluate --compare RUN_A RUN_B")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Also judge every source, author, event, license or size alone."),
    ] = None,
) -> None:
    """Judges MODEL on a split: accuracy with its interval, per class, calibration, confusion matrix.

    others=PHOTOS judges it on pictures of something else, too. --compare tells whether RUN_B is better than RUN_A.

    Example: python -m train evaluate runs/first/model dataset=dances
    """
    from train.recipe import cross_validate_command, load_settings

    words = [*(words or []), *([f"by={by}"] if by else [])]
    with _stoppable(None):
        if compare:
            if not words or "=" in words[0]:
                raise UserError("--compare takes two runs: python -m train evaluate --compare RUN_A RUN_B")
            with _loading():
                from train.compare import Comparison
                from train.compare import compare as run_compare
            _say(str(run_compare(Path(model), Path(words[0]), load_settings(Comparison, None, words[1:]))))
            return
        with _loading():
            from train.evaluate import Evaluation
            from train.evaluate import evaluate as run_evaluate
        settings = load_settings(Evaluation, None, words)
        _say(run_evaluate(model, settings).summary())
        run = Path(model) if (Path(model) / "model").is_dir() else Path(model).parent
        if (run / "recipe.yaml").is_file() and not (run / "predictions.parquet").exists():
            _say(f"Next: {cross_validate_command(run / 'recipe.yaml', run, settings.dataset)}")
        else:
            _say_next("push", model, "USER/NAME")


@app.command()
def predict(
    model: Model,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTOS... [KEY=VALUE]...",
            help="Photographs, folders of them, or one dataset (folder or Hub id); split=, batch_size=, num_workers=.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The table to write: .csv or .parquet; - for CSV on standard output.")],
) -> None:
    """Answers for photographs, or for a split of a dataset, and writes a table with a row per picture.

    Its columns: file, label, probability, second, second_probability, abstains, ood_distance, ood, error. A picture
    that can't be decoded has an error and no answer; where none can be, the exit code is 1.

    Example: python -m train predict runs/first/model photos --out answers.csv
    """
    from train.recipe import load_settings

    with _stoppable(None):
        with _loading():
            from train.predict import Prediction, summarize, write_answers
            from train.predict import predict as run_predict
        given = [word for word in words if "=" in word and not Path(word).exists()]
        photos = [word for word in words if word not in given]
        if not photos:
            raise UserError("there are no PHOTOS: python -m train predict MODEL PHOTOS --out answers.csv")
        if out.is_dir():
            raise UserError(f"--out {out} is a folder: name a file, .csv or .parquet")
        answers = run_predict(model, photos, **load_settings(Prediction, None, given).model_dump())
        if not _is_main():
            return
        write_answers(answers, out)
        for row in answers[answers["error"].notna()].itertuples():
            print(f"{row.file}: {row.error}", file=sys.stderr)
        if str(out) != "-":
            print(f"{summarize(answers)}\n{out}: {len(answers)} rows")
            print(f"Next: MODEL_ID={command_line(model)} python app.py")
        if answers["label"].isna().all():
            sys.exit(1)


@app.command("cross-validate")
def cross_validate(
    recipe: RecipeFile,
    words: Words = None,
    fractions: Annotated[
        str | None, typer.Option(help="Also draw a learning curve: train on parts of the pictures, 0.25,0.5,0.75,1.")
    ] = None,
) -> None:
    """Trains by RECIPE once per fold of train and validation; each model answers for pictures that it never saw.

    Writes RUN/predictions.parquet, which `clean` reads. Stopped, the same command goes on; started twice, two
    processes share the folds. The test split has no part in it.

    Example: python -m train cross-validate recipes/resnet34.yaml dataset=dances output_dir=runs/first folds=5
    """
    from train.recipe import load_settings

    words = [*(words or []), *([f"fractions={fractions}"] if fractions else [])]
    with _stoppable(command_line("python", "-m", "train", "cross-validate", recipe, *words)):
        with _loading():
            from train.cross_validate import CrossValidation
            from train.cross_validate import cross_validate as run_cross_validate
        settings = load_settings(CrossValidation, recipe, words)
        _say(run_cross_validate(settings).summary())
        _say_next("clean", settings.output_dir, f"dataset={settings.dataset}")


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
    from train.recipe import load_settings

    with _loading():
        from train.clean import Cleaning, find_doubts, open_cleaner, summary
        from train.run_folder import RunFolder
    settings = load_settings(Cleaning, None, words or [])
    doubts = find_doubts(run, settings)
    folder = RunFolder(run)
    print(summary(doubts, folder.label_issues), flush=True)
    corrections = settings.corrections or folder.corrections
    build = ("build", "PHOTOS", "--out", settings.dataset, "--corrections", corrections)
    print("Next:", command_line("python", "-m", "dataset_card", *build), flush=True)
    if browser:
        open_cleaner(run, settings, doubts)


@app.command()
def static(
    model: Model,
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
    print(f"writing a page for {model}, with ONNX Runtime Web from {package or 'npm'} ...", file=sys.stderr)
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
    with _loading():
        # The demo writes the page; no other module of this room knows the demo.
        from demo.static_page.site import make_site
        from hub.publish import PushOptions
        from train.push import push_model

    options = PushOptions(public, revision, tag, squash, delete_tags=delete_tags)
    for done in push_model(model, repo_id, space, static_space, dataset, options, make_site):
        print(done)


@contextmanager
def _stoppable(again: str | None) -> Iterator[None]:
    """Ends the command by a signal with the exit code 128 + its number, and says how to go on where that is possible.

    When another process of this run is gone, it or the launcher has said why: this one ends with exit code 1.
    """
    # Heavy imports come later: a command that has just begun listens to signals, too.
    from train.stopping import Stopped, stopping_at_once

    try:
        with stopping_at_once():
            yield
    except Stopped:
        if again and _is_main():
            print(f"\nstopped; what was done is kept. Continue with:\n  {again}", file=sys.stderr)
        raise
    except RuntimeError as error:
        from train.processes import is_lost_process

        if not is_lost_process(error):
            raise
        sys.exit(1)


@contextmanager
def _loading() -> Iterator[None]:
    """Says on a terminal what takes so long when imports take more than a second, as they do after a cold start."""
    note = threading.Timer(1, lambda: print("loading PyTorch and datasets ...", file=sys.stderr, flush=True))
    if sys.stderr.isatty() and _is_main():
        note.start()
    try:
        yield
    finally:
        note.cancel()


def _is_main() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _say(text: str) -> None:
    if _is_main():
        print(text)


def _say_next(*words: object) -> None:
    _say(f"Next: {command_line('python', '-m', 'train', *words)}")


def _without(words: list[str] | None, *keys: str) -> list[str]:
    return [word for word in words or [] if word.partition("=")[0] not in keys]


def main(words: list[str] | None = None) -> None:
    """Runs a command, by default the process's own; a user's mistake ends with one line and exit code 2."""
    # Libraries import matplotlib, which can't be done where a notebook's shell names a backend that is not installed.
    os.environ["MPLBACKEND"] = "agg"
    with one_line_exit():
        app([expand_home(word) for word in (sys.argv[1:] if words is None else words)])


if __name__ == "__main__":
    main()
