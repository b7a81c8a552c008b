from __future__ import annotations

import pytest
from pydantic import ValidationError

from training.transformer.config import Gru4RecConfig, TransformerConfig


def test_xlnet_with_clm_is_refused_because_it_leaks_the_target() -> None:
    with pytest.raises(ValidationError, match="reads the very item that it is asked to predict"):
        TransformerConfig(architecture="xlnet", masking="clm")


def test_gpt2_with_mlm_is_refused() -> None:
    with pytest.raises(ValidationError, match="must be trained with masking 'clm'"):
        TransformerConfig(architecture="gpt2", masking="mlm")


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValidationError, match="multiple of n_heads"):
        TransformerConfig(d_model=10, n_heads=4)


def test_unknown_keys_are_refused_and_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        TransformerConfig.model_validate({"dropout": 0.1})
    with pytest.raises(ValidationError):
        TransformerConfig().seed = 3


def test_a_gru_has_no_settings_of_a_transformer() -> None:
    with pytest.raises(ValidationError, match="n_heads"):
        Gru4RecConfig.model_validate({"n_heads": 2})
    with pytest.raises(ValidationError):
        Gru4RecConfig(hidden_size=0)
