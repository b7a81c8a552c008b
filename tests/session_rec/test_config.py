"""TOML into settings: strict, and helpful when it fails."""

from pathlib import Path

import pytest
from pydantic import Field

from session_rec.config import Config, load_config
from session_rec.errors import ConfigError


class Topics(Config):
    events: str = "clicks"


class Limits(Config):
    most_minutes: int = 9


class Job(Config):
    epochs: int = Field(3, ge=1)
    name: str = "x"
    topics: Topics = Topics()
    limits: Limits | None = None
    models: dict[str, Limits] = {}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "job.toml"
    path.write_text(text)
    return path


def test_file_and_overrides(tmp_path):
    path = write(tmp_path, 'epochs = 5\n[topics]\nevents = "a"\n')
    job = load_config(path, Job, ["topics.events=b", "name=some words", "epochs=7"])
    assert job == Job(epochs=7, name="some words", topics=Topics(events="b"))


def test_an_unknown_key_names_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="unknown key 'epoch'; the nearest known one is 'epochs'"):
        load_config(write(tmp_path, "epoch = 5"), Job)
    with pytest.raises(ConfigError, match="'topics.event'.*'events'"):
        load_config(None, Job, ["topics.event=b"])
    with pytest.raises(ConfigError, match="'limits.minutes'.*'most_minutes'"):
        load_config(None, Job, ["limits.minutes=1"])
    with pytest.raises(ConfigError, match=r"'models.fast.minutes'.*is 'most_minutes'"):
        load_config(None, Job, ["models.fast.minutes=1"])
    # In another table: its own name alone would be the one that was just refused.
    with pytest.raises(ConfigError, match=r"unknown key 'events'; .*is 'topics.events'"):
        load_config(None, Job, ["events=b"])
    with pytest.raises(ConfigError, match=r"'topics.most_minutes'; .*is 'limits.most_minutes'"):
        load_config(None, Job, ["topics.most_minutes=1"])
    with pytest.raises(ConfigError, match="unknown key 'x'; there is nothing to set"):
        load_config(None, Config, ["x=1"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs = 0", "'epochs': input should be greater"),
        ("epochs = ", "is not TOML"),
        ('epochs = "many"', "'epochs'"),
        ('topics = "a"', "'topics'"),
    ],
)
def test_values_that_do_not_fit(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words):
        load_config(write(tmp_path, text), Job)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="is not there"):
        load_config(tmp_path / "no.toml", Job)
    with pytest.raises(ConfigError, match="key=value"):
        load_config(None, Job, ["epochs"])
