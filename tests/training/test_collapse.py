import pytest

from oodguard.training.config.recipe import AttackSettings, parse_recipe
from oodguard.training.fit.catastrophic_overfitting import (
    CatastrophicOverfittingDetector,
    RobustnessDrop,
    strengthened,
)
from oodguard.training.run_folder import Epoch


def _epoch(number: int, attacked: float, *, auroc: float | None = None, own: float = 0.8) -> Epoch:
    return Epoch(
        epoch=number,
        loss=1.0,
        training_accuracy=own,
        accuracy=0.9,
        attacked_accuracy=attacked,
        attacked_auroc=auroc,
        duration_s=1.0,
    )


def _fall(*epochs: Epoch, first: int = 0, images: int = 500) -> RobustnessDrop | None:
    return CatastrophicOverfittingDetector(first=first, images=images).fall(epochs[:-1], epochs[-1])


def test_accuracy_lost_while_training_accuracy_rises_is_a_collapse() -> None:
    fall = _fall(_epoch(0, 0.50), _epoch(1, 0.55), _epoch(2, 0.02, own=0.95))
    assert fall is not None
    assert fall.is_collapse
    assert str(fall) == "attacked accuracy fell from 0.550 to 0.020"
    assert fall.depth == pytest.approx(0.53 / 0.22)  # the margin is 40 % of the best


def test_the_ranking_can_collapse_where_accuracy_stays() -> None:
    fall = _fall(_epoch(0, 0.5, auroc=0.8), _epoch(1, 0.5, auroc=0.3))
    assert fall is not None
    assert fall.is_collapse
    assert fall.figure == "attacked_auroc"


@pytest.mark.parametrize(
    ("best", "came", "collapse", "slight"),
    [
        (0.50, 0.29, True, False),  # the margin is 0.2
        (0.50, 0.31, False, False),
        (0.50, 0.41, False, True),  # a slow decline: these weights may be gone back to
        (0.12, 0.03, False, False),  # 0.1 is the least margin
        (0.12, 0.01, True, False),
    ],
)
def test_how_deep_a_fall_is(best: float, came: float, collapse: bool, slight: bool) -> None:
    fall = _fall(_epoch(0, best), _epoch(1, came))
    assert fall is not None
    assert (fall.is_collapse, fall.is_slight) == (collapse, slight)


def test_chance_on_few_images_is_no_collapse() -> None:
    epochs = _epoch(0, 0.5), _epoch(1, 0.1)  # four standard errors of 20 images are 0.45
    few, many = _fall(*epochs, images=20), _fall(*epochs, images=500)
    assert few is not None
    assert many is not None
    assert (few.is_collapse, many.is_collapse) == (False, True)


def test_no_fall_is_seen_where_training_fails_as_a_whole_or_epsilon_still_grows() -> None:
    assert _fall(_epoch(0, 0.5), _epoch(1, 0.6)) is None
    assert _fall(_epoch(0, 0.5, own=0.8), _epoch(1, 0.0, own=0.1)) is None
    assert _fall(_epoch(0, 0.5), _epoch(1, 0.0), first=1) is None


def test_a_guard_judges_from_behind_the_warm_up_and_the_ramp(recipe_text: str) -> None:
    text = recipe_text.replace("epochs = 2", "epochs = 10\nwarm_up = 0.15")
    plain = parse_recipe(text, origin="tiny.toml")
    ramped = parse_recipe(text.replace("= 2\n", "= 2\nramp = 0.3\n", 1), origin="tiny.toml")
    assert CatastrophicOverfittingDetector.from_recipe(plain, images=500).first == 2
    assert CatastrophicOverfittingDetector.from_recipe(ramped, images=500).first == 3


def test_a_method_without_an_attack_is_never_judged(recipe_text: str) -> None:
    kept = [part for part in recipe_text.split("\n\n") if not part.startswith("[attack]")]
    recipe = parse_recipe("\n\n".join(kept).replace('"aloe"', '"oe"'), origin="tiny.toml")
    guard = CatastrophicOverfittingDetector.from_recipe(recipe, images=500)
    assert guard.fall((_epoch(0, 0.5),), _epoch(1, 0.0)) is None


def test_each_roll_back_doubles_the_steps_and_halves_them() -> None:
    attack = AttackSettings(
        kind="n-fgsm", epsilon_255=4, outlier_epsilon_255=8, step_size=1.0, ramp=0.3
    )
    assert strengthened(attack, 0) == attack
    assert strengthened(attack, 2) == AttackSettings(
        kind="pgd", epsilon_255=4, outlier_epsilon_255=8, steps=4, step_size=0.25, ramp=0.3
    )
    many = AttackSettings(epsilon_255=8, steps=80, step_size=0.5)
    assert strengthened(many, 1).steps == 100  # the most that a recipe may ask for
