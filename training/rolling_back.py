"""The way back to intact weights once robustness has collapsed."""

from models.errors import RecipeError
from training.checkpoint import Epoch, Progress, RollBack, RunFolder, tensors_name
from training.collapse import MOST_ROLL_BACKS, Fall, strengthened
from training.loop import Trainer
from training.recipe import Recipe


def rolled_back(progress: Progress, epoch: Epoch, fall: Fall, recipe: Recipe) -> Progress:
    """Return how far the run has come once the collapse, at `epoch`, is undone.

    Raises:
        RecipeError: it was undone as often as makes sense.
    """
    before = len(progress.rolled_back)
    if recipe.attack is None or progress.good is None:
        raise ValueError("a collapse without an attack, or before the first checkpoint")
    if before == MOST_ROLL_BACKS:
        raise RecipeError(
            f"epoch {epoch.epoch + 1}: {fall}, after {before} roll-backs: robustness collapses"
            " again and again. The checkpoint before is whole; train anew with more attack.steps,"
            " a smaller attack.epsilon_255 or a smaller schedule.peak_rate"
        )
    attack = strengthened(recipe.attack, before + 1)
    entry = RollBack(
        reason=str(fall),
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


def return_to(run: RunFolder, trainer: Trainer, progress: Progress) -> None:
    """Give the trainer the weights that `progress` names, and the attack that it calls for."""
    trainer.restore(run.tensors(progress))
    trainer.harden(len(progress.rolled_back))


def told(progress: Progress, epoch: Epoch) -> str:
    """Say plainly what happened at `epoch` and what is done about it."""
    number, entry = len(progress.rolled_back), progress.rolled_back[-1]
    return (
        f"epoch {epoch.epoch + 1}: robustness has collapsed (catastrophic overfitting):"
        f" {entry.reason} while training accuracy is {epoch.training_accuracy:.1%}. Rolled back to"
        f" the weights after epoch {entry.kept}; from here on training attacks with {entry.attack}"
        f" (roll-back {number} of at most {MOST_ROLL_BACKS})"
    )
