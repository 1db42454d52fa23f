"""scikit-learn's logistic regression on the features that stage 1 of `train fit` learns from."""

import tempfile
from pathlib import Path

import numpy as np
from accelerate.utils import set_seed
from sklearn.linear_model import LogisticRegression

from train.data import groups_of
from train.features import Features, cached_features, choose_l2
from train.folds import Fold, Pool
from train.model import FrozenBackbone, freeze_backbone
from train.predict import predict_alone
from train.recipe import Recipe
from train.run_folder import RunFolder
from train.trainer import Trainer


def regression(recipe: Recipe, pictures: Pool, folds: list[Fold]) -> list[list[int]]:
    """Returns the classes that it gives each fold's held-out pictures, of which it sees one plain view each.

    Args:
        recipe: As stage 1 has it, with views and its way to choose the penalty.
        pictures: What there is.
        folds: Who learns from what.
    """
    return [_of_fold(recipe, pictures, fold) for fold in folds]


def _of_fold(recipe: Recipe, pictures: Pool, fold: Fold) -> list[int]:
    images = pictures.learned_in(fold)
    set_seed(recipe.seed)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, RunFolder(Path(folder, "run")), images)
        freeze_backbone(trainer.model)
        backbone = FrozenBackbone(trainer.model, 0.0, trainer.data_config["input_size"])
        batches = trainer.train_batches, trainer.valid_batches
        train, _ = cached_features(trainer.accelerator, backbone, *batches, recipe, Path(folder), trainer.stop)
        rows = images.split("train")
        groups = groups_of(rows) or [str(number) for number in range(len(rows))]
        strength = recipe.feature_l2
        model, scale = fitted(train, choose_l2(train, groups, recipe.seed) if strength == "auto" else strength)
    trainer.model.reset_classifier(0)
    columns = [str(number) for number in range(len(scale))]
    held_out, workers = pictures.rows.select(fold.held_out), recipe.num_workers
    config = trainer.data_config
    seen = predict_alone(trainer.model, config, held_out, columns, "Predicting", recipe.batch_size, workers)
    return model.predict(seen.logits / scale).tolist()


def fitted(features: Features, strength: float) -> tuple[LogisticRegression, np.ndarray]:
    """Returns the model at its minimum, and what features are to be divided by."""
    scale = features.spread().numpy()
    rows = (features.values / scale).reshape(-1, len(scale))
    truth = np.repeat(features.labels.numpy(), features.values.shape[1])
    return LogisticRegression(C=1 / strength, max_iter=2000).fit(rows, truth), scale
