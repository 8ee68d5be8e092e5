"""Roll back after catastrophic overfitting: the last robust weights, and a stronger attack."""

from oodguard.models.errors import RecipeError
from oodguard.training.config.recipe import AttackSettings, Recipe
from oodguard.training.fit.catastrophic_overfitting import RobustnessDrop
from oodguard.training.run_folder import Epoch, Rollback, RunProgress, tensors_name

MAX_ROLLBACKS = 3


def strengthen(attack: AttackSettings, rollbacks: int) -> AttackSettings:
    """Return the attack after so many rollbacks: each doubles the steps and halves their size.

    The result is always PGD, with at most 100 steps.
    """
    if rollbacks == 0:
        return attack
    factor = 2**rollbacks
    return attack.model_copy(
        update={
            "kind": "pgd",
            "steps": min(attack.steps * factor, 100),
            "step_size": attack.step_size / factor,
        }
    )


def roll_back(
    progress: RunProgress, epoch: Epoch, drop: RobustnessDrop, recipe: Recipe
) -> RunProgress:
    """Return the progress without `epoch` and the epochs since robustness was last intact.

    Raises:
        RecipeError: the run was rolled back `MAX_ROLLBACKS` times already.
    """
    rollbacks = len(progress.rolled_back)
    if recipe.attack is None or progress.good is None:
        raise ValueError("a rollback requires an attack and a checkpoint")
    if rollbacks == MAX_ROLLBACKS:
        raise RecipeError(
            f"epoch {epoch.epoch + 1}: {drop}, after {rollbacks} rollbacks: catastrophic"
            " overfitting persists. The last checkpoint is intact; train again with more"
            " attack.steps, a smaller attack.epsilon_255 or a smaller schedule.peak_rate"
        )
    attack = strengthen(recipe.attack, rollbacks + 1)
    entry = Rollback(
        reason=str(drop),
        kept=progress.good,
        attack=f"pgd, {attack.steps} steps of {attack.step_size:g} epsilon",
        lost=(*progress.epochs[progress.good :], epoch),
    )
    return progress.model_copy(
        update={
            "tensors": tensors_name(progress.good),
            "epochs": progress.epochs[: progress.good],
            "rolled_back": (*progress.rolled_back, entry),
        }
    )


def rollback_warning(progress: RunProgress, epoch: Epoch) -> str:
    """Return the warning about the last rollback of `progress`, which discarded `epoch`."""
    entry = progress.rolled_back[-1]
    return (
        f"epoch {epoch.epoch + 1}: catastrophic overfitting: {entry.reason} while training accuracy"
        f" is {epoch.training_accuracy:.1%}. Rolled back to the weights after epoch {entry.kept};"
        f" the training attack is now {entry.attack} (rollback {len(progress.rolled_back)} of at"
        f" most {MAX_ROLLBACKS})"
    )
