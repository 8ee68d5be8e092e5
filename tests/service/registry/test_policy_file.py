"""policy.toml as data: its values, their precedence, and its errors."""

import os
from pathlib import Path

import pytest

from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.decision import Policy
from oodguard.models.errors import BundleError
from oodguard.service.errors import PolicyError
from oodguard.service.registry.policy_file import MAX_BYTES, PolicyFile, read_policy
from oodguard.service.settings import Settings


@pytest.fixture
def bundles(three_models: Path) -> dict[str, Bundle]:
    return {folder: open_bundle(three_models / folder) for folder in ("one/nine", "one/ten", "two")}


def read(folder: Path, text: str | bytes, **settings: object) -> PolicyFile:
    path = folder / "policy.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_policy(Settings.model_validate({"models": folder, **settings}))


def test_policy_file_precedes_settings_key_by_key(
    three_models: Path, bundles: dict[str, Bundle]
) -> None:
    text = (
        '[models.one]\nalpha = 0.1\ndelta = "none"\n'
        '[models."one@9"]\nscore = "darkness"\nalpha = 0.2\n'
    )
    policy = read(three_models, text, alpha=0.3, delta=0.4).policy
    assert policy(bundles["one/ten"]) == Policy(score="brightness", alpha=0.1, delta=None)
    assert policy(bundles["one/nine"]) == Policy(score="darkness", alpha=0.2, delta=None)
    assert policy(bundles["two"]) == Policy(score="brightness", alpha=0.3, delta=0.4)


def test_policy_file_routes_precede_settings_key_by_key(three_models: Path) -> None:
    set_before = {"default_model": "one", "shadow_model": "two", "shadow_share": 0.5}
    routing = read(three_models, 'default_model = "two"\n', **set_before).routing
    assert routing.default
    assert routing.default.text == "two"
    assert routing.shadow
    assert routing.shadow.text == "two"
    assert routing.shadow_share == 0.5
    assert read(three_models, 'shadow_model = "none"\n', **set_before).routing.shadow is None


def test_policy_file_is_optional(three_models: Path, bundles: dict[str, Bundle]) -> None:
    policy = read_policy(Settings(models=three_models, alpha=0.1))
    assert not policy.found
    assert policy.policy(bundles["two"]).alpha == 0.1
    assert read_policy(Settings(bundle=three_models / "two")).path is None


def test_policy_file_of_a_single_bundle_is_the_configured_one(
    three_models: Path, bundles: dict[str, Bundle]
) -> None:
    path = three_models / "other.toml"
    path.write_text("[models.two]\nalpha = 0.1\n", encoding="utf-8")
    settings = Settings(bundle=three_models / "two", policy=path)
    assert read_policy(settings).policy(bundles["two"]).alpha == 0.1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "alpha = 0.1\n",
            "alpha is not a known key, expected default_model, shadow_model, shadow_share, models:"
            " write alpha in a table [models.NAME]",
        ),
        (
            "[models.one]\nshadow_share = 0.1\n",
            "models.one.shadow_share is not a known key, expected score, alpha, delta, by_class,"
            " under_attack, beta: write shadow_share above the first table",
        ),
        (
            "[models.one]\nalhpa = 0.1\n",
            "models.one.alhpa is not a known key, expected score, alpha, delta, by_class,",
        ),
        ("[models.one]\nalpha = nan\n", "models.one.alpha is nan, expected a finite number"),
        ("[models.one]\nalpha = inf\n", "models.one.alpha is inf, expected a finite number"),
        ("[models.one]\nalpha = 0\n", "models.one.alpha is 0, expected a number greater than 0"),
        ("[models.one]\nalpha = 1.5\n", "models.one.alpha is 1.5, expected a number less than 1"),
        ('[models.one]\nalpha = "0.1"\n', "models.one.alpha is '0.1', expected a number"),
        ("[models.one]\nalpha = true\n", "models.one.alpha is true, expected a number"),
        ('[models.one]\nalpha = "some"\n', "models.one.alpha is 'some', expected a number"),
        ("[models.one]\nby_class = 1\n", "models.one.by_class is 1, expected true or false"),
        (
            "[models.one]\nunder_attack = 0.5\n",
            "models.one.under_attack is 0.5, expected a whole number",
        ),
        ("[models.one]\nunder_attack = 0\n", "models.one.under_attack is 0, expected at least 1"),
        ("[models.one]\nbeta = 1.5\n", "models.one.beta is 1.5, expected a number less than 1"),
        ("[models.one]\ndelta = -1\n", "models.one.delta is -1, expected a number greater than 0"),
        ("[models.one]\nscore = 1\n", "models.one.score is 1, expected a string"),
        ("[models]\none = 0.1\n", "models.one is 0.1, expected a table"),
        ("shadow_share = 2\n", "shadow_share is 2, expected at most 1"),
        ('default_model = ""\n', "default_model is '', expected a string with a length of at"),
        ("[models.one\n", "invalid TOML: "),
        ("a = 1\na = 2\n", "invalid TOML: "),
        (b"\xff\n", "byte 0 is invalid, expected UTF-8"),
        ("", "the file is empty or its last line has no end, expected a complete file"),
        ("[models.one]\nalpha = 0.0", "its last line has no end"),
        ("a" + ".a" * 32_000 + " = 1\n", "invalid TOML: the dotted key a.a.a.a"),
        ("a = " + "[" * 20_000 + "\n", "invalid TOML: "),
        ("#" * MAX_BYTES + "\n", "larger than the limit of 65536 bytes"),
        ("#" * 10_000_000, "larger than the limit of 65536 bytes"),
    ],
    ids=lambda each: repr(each)[:40],
)
def test_policy_file_with_invalid_content_is_refused(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/policy.toml: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[models.three]\nalpha = 0.1\n",
            "models.three is not a served model, expected one of: one, two, one@9, one@10, two@1",
        ),
        ('[models."one@"]\nalpha = 0.1\n', "models.one@ is not a served model"),
        ('[models."one@11"]\nalpha = 0.1\n', "models.one@11 is not a served model"),
        (
            '[models.two]\nscore = "energy"\n',
            "models.two (two@1): the score is 'energy', expected one of brightness, darkness",
        ),
        (
            "[models.two]\nalpha = 0.001\n",
            "models.two (two@1): 250 calibration images are too few for alpha 0.001 with delta"
            " 0.05, expected at least 2995",
        ),
        (
            "[models.two]\nalpha = 5e-324\n",
            "models.two (two@1): 250 calibration images are too few",
        ),
        (
            '[models."one@9"]\ndelta = 1e-300\n',
            "models.one@9: 250 calibration images are too few",
        ),
        ('[models.two]\nalpha = "none"\n', "models.two (two@1): alpha is none and beta is none"),
        (
            "[models.two]\nby_class = true\n",
            "models.two (two@1): by_class is true, but the bundle has no predicted classes",
        ),
        (
            "[models.two]\nbeta = 0.1\n",
            "models.two (two@1): beta is 0.1, but the bundle has no labels",
        ),
        (
            "[models.two]\nunder_attack = 2\n",
            "models.two (two@1): under_attack is 2, but the bundle has no scores of attacked",
        ),
        (
            "[models.two]\nunder_attack = 2\nby_class = true\n",
            "models.two (two@1): by_class is true and under_attack is 2, expected one of them",
        ),
        ("shadow_share = 0.5\n", "shadow_share is 0.5, but there is no shadow model"),
        ('shadow_model = "two"\n', "shadow_model is two, but its share is 0: set shadow_share"),
        ('shadow_model = "two"\nshadow_share = 0\n', "shadow_model is two, but its share is 0"),
    ],
)
def test_policy_file_that_does_not_match_the_bundles_is_refused(
    three_models: Path, bundles: dict[str, Bundle], text: str, message: str
) -> None:
    policy = read(three_models, text, default_model="one")
    with pytest.raises(PolicyError) as caught:
        policy.check(list(bundles.values()))
    assert str(caught.value).startswith(f"{three_models}/policy.toml: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('default_model = "one@11"\n', "default_model: the model 'one' has no version '11'"),
        ('default_model = "one@"\n', "default_model: the model 'one' has no version ''"),
        ('default_model = "three"\n', "default_model: the model 'three' is not served"),
        ('shadow_model = "three"\n', "shadow_model: the model 'three' is not served"),
    ],
)
def test_policy_file_that_routes_to_a_missing_model_is_refused(
    three_models: Path, bundles: dict[str, Bundle], text: str, message: str
) -> None:
    policy = read(three_models, text, default_model="one")
    with pytest.raises(BundleError) as caught:
        policy.check(list(bundles.values()))
    assert str(caught.value).startswith(f"{three_models}/policy.toml: {message}")


def test_policy_file_may_be_a_link_to_a_file(three_models: Path) -> None:
    # Kubernetes replaces the link to the folder when a ConfigMap changes.
    (three_models / "policy.toml").symlink_to("..data/policy.toml")
    settings = Settings(models=three_models)
    with pytest.raises(PolicyError, match="the target of the link does not exist"):
        read_policy(settings)
    for alpha in ("0.1", "0.2"):
        folder = three_models / f"..{alpha}"
        folder.mkdir()
        (folder / "policy.toml").write_text(f"[models.one]\nalpha = {alpha}\n", encoding="utf-8")
        (three_models / "..new").symlink_to(folder.name)
        (three_models / "..new").replace(three_models / "..data")
        assert read_policy(settings).document.models["one"].alpha == float(alpha)


def test_policy_file_that_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    settings = Settings(policy=path)
    # A pipe without a writer would block, and a device would never end.
    os.mkfifo(path)
    with pytest.raises(PolicyError, match="not a regular file"):
        read_policy(settings)
    for target, reason in (
        ("/dev/zero", "not a regular file"),
        (tmp_path, "is a folder, expected a regular file"),
        (path, "Too many levels of symbolic links"),
    ):
        path.unlink()
        path.symlink_to(target)
        with pytest.raises(PolicyError, match=reason):
            read_policy(settings)
