from pathlib import Path

import pytest

from benchmarks.recipes import read_recipes
from session_rec.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def recipes(tmp_path):
    def read(text, models=(), seed=None, has_clock=True):
        path = tmp_path / "recipes.toml"
        path.write_text(text)
        return read_recipes(path, models, seed, has_clock)

    return read


def test_a_table_is_a_recipe_named_by_its_kind_or_naming_it(recipes):
    a, b = recipes("[vmis-knn]\nneighbours = 7\n[wide]\nkind = 'vmis-knn'\nneighbours = 900\n")
    assert (a.name, a.kind, a.settings.neighbours) == ("vmis-knn", "vmis-knn", 7)
    assert (b.name, b.kind, b.settings.neighbours) == ("wide", "vmis-knn", 900)
    assert a.seed is None


def test_models_choose_and_may_be_kinds_that_the_file_does_not_name(recipes):
    chosen = recipes("[vmis-knn]\n[wide]\nkind = 'vmis-knn'\n", ["popularity", "wide"])
    assert [r.name for r in chosen] == ["popularity", "wide"]


def test_the_seed_is_not_part_of_the_recipe(recipes):
    text = "[item2vec]\nvector_size = 8\nseed = 3\n"
    (own,), (other,) = recipes(text), recipes(text, seed=4)
    (larger,) = recipes("[item2vec]\nvector_size = 9\nseed = 3\n")
    assert (own.seed, other.seed) == (3, 4)
    assert own.config_hash == other.config_hash != larger.config_hash


def test_half_lives_are_switched_off_without_a_clock(recipes):
    text = "[vmis-knn]\nrecency_half_life_days = 4.0\n"
    (with_clock,), (without,) = recipes(text), recipes(text, has_clock=False)
    assert with_clock.settings.recency_half_life_days == 4.0 and not with_clock.notes
    assert without.settings.recency_half_life_days == 0.0
    assert "switched off: ts is no clock" in without.notes[0]


def test_parts_get_the_seed_and_lose_their_clocks_too(recipes):
    text = """
[blend]
kind = "two-stage"
parts.item2vec.epochs = 2
parts.neighbours = { kind = "vmis-knn", recency_half_life_days = 3.0 }
"""
    (one,), (other,) = recipes(text, seed=4), recipes(text, seed=5, has_clock=False)
    assert one.seed == 4
    assert one.settings.parts["item2vec"] == {"epochs": 2, "seed": 4}
    assert one.settings.parts["neighbours"]["recency_half_life_days"] == 3.0
    assert one.notes == ()
    assert other.settings.parts["neighbours"]["recency_half_life_days"] == 0.0
    assert other.notes == (
        "blend.parts.neighbours: recency_half_life_days = 3.0 switched off: ts is no clock",
    )
    assert recipes(text, seed=6)[0].config_hash == one.config_hash != other.config_hash


def test_so_do_a_teacher_and_its_parts(recipes):
    text = """
[taught]
kind = "gru4rec"
[taught.teacher.settings.parts.vmis-knn]
recency_half_life_days = 3.0
[taught.teacher.settings.parts.gru4rec]
epochs = 2
"""
    (one,), (other,) = recipes(text, seed=4), recipes(text, seed=5, has_clock=False)
    teacher = one.settings.teacher
    assert (teacher.kind, one.seed, teacher.settings["seed"]) == ("two-stage", 4, 4)
    assert teacher.settings["parts"]["gru4rec"] == {"epochs": 2, "seed": 4}
    assert other.notes == (
        "taught.teacher.settings.parts.vmis-knn: recency_half_life_days = 3.0 switched off: "
        "ts is no clock",
    )
    assert recipes(text, seed=6)[0].config_hash == one.config_hash != other.config_hash


@pytest.mark.parametrize(
    "text,models,sentence",
    [
        ("[vmis-knn]\nneigbours = 3\n", [], "nearest known one is 'neighbours'"),
        ("[vmis-knn]\n", ["vmis"], "unknown model 'vmis'"),
        ("[fast]\n", [], "unknown model kind 'fast'"),
        ("seed = 3\n", [], "outside a table"),
        ("[vmis-knn", [], "is not TOML"),
    ],
)
def test_mistakes_are_named(recipes, text, models, sentence):
    with pytest.raises(ConfigError, match=sentence):
        recipes(text, models)


@pytest.mark.parametrize("path", sorted((ROOT / "configs/quality").glob("*.toml")), ids=str)
def test_committed_recipes_are_valid(path):
    assert read_recipes(path, [], None, True)


@pytest.mark.parametrize("path", sorted((ROOT / "configs/quality").glob("*.toml")), ids=str)
def test_the_distilled_model_and_its_teacher_have_the_recipes_of_their_kinds(path):
    by_name = {recipe.name: recipe.settings for recipe in read_recipes(path, [], 3, True)}
    distilled, teacher = by_name["distilled"], by_name["distilled"].teacher
    assert distilled.model_copy(update={"teacher": None}) == by_name["transformer"]
    assert teacher.model() == by_name["two-stage"]
