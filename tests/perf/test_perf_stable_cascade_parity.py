"""The comparison with the original's Stable Cascade can fail, and knows no checkout as one."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

PERF = Path(__file__).parents[2] / "perf"


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    for folder in (PERF, PERF / "parity"):
        monkeypatch.syspath_prepend(str(folder))
    names = ("original_stable_cascade", "stable_cascade")
    return {name: importlib.import_module(name) for name in names}


def outputs(**changed: Any) -> dict[str, dict[str, Any]]:
    return {"stage_c": {"relative": 1e-6, "errors": {"another time": 0.5}} | changed}


def test_equal_outputs_pass(rooms: dict[str, ModuleType]) -> None:
    assert rooms["stable_cascade"].misses_of(outputs()) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"relative": 2e-5}, "apart by 2e-05"),
        ({"relative": float("nan")}, "apart by nan"),
        ({"errors": {"another time": 5e-5}}, "'another time' moves outputs by 5e-05 alone"),
        ({"errors": {"another time": float("nan")}}, "'another time'"),
    ],
)
def test_what_is_apart_or_would_pass_unseen_is_a_miss(
    rooms: dict[str, ModuleType], changed: dict[str, Any], said: str
) -> None:
    (miss,) = rooms["stable_cascade"].misses_of(outputs(**changed))
    assert said in miss


def test_another_folder_is_no_checkout(rooms: dict[str, ModuleType], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no checkout of Stability-AI/StableCascade"):
        rooms["original_stable_cascade"].Original(tmp_path)


class Narrow:
    """An original whose previewer lacks a key, or has another shape."""

    def __init__(self, change: str) -> None:
        self.change = change

    def make(self, part: str, arguments: dict[str, Any]) -> Any:
        assert (part, arguments) == ("previewer", {})
        from trainers.stable_cascade.full_previewer import FullPreviewer

        tensors: dict[str, Tensor] = FullPreviewer(16, 512).state_dict()
        if self.change == "missing":
            del tensors["blocks.24.bias"]
        elif self.change == "stray":
            tensors["blocks.25.bias"] = torch.zeros(3)
        elif self.change == "shape":
            tensors["blocks.24.bias"] = torch.zeros(4)

        class Saved:
            def state_dict(self) -> dict[str, Tensor]:
                return tensors

        return Saved()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("missing", "keys are missing: blocks.24.bias"),
        ("stray", "keys are unexpected: blocks.25.bias"),
        ("shape", r"another shape: blocks.24.bias \(4,\) for \(3,\)"),
    ],
)
def test_a_key_more_or_less_ends_the_comparison(
    rooms: dict[str, ModuleType], change: str, said: str
) -> None:
    from ppdbench.errors import MissingPrerequisite

    assert rooms["stable_cascade"].check_keys(Narrow(""), "previewer")["keys"] == 58
    with pytest.raises(MissingPrerequisite, match=said):
        rooms["stable_cascade"].check_keys(Narrow(change), "previewer")


def test_the_key_digest_is_of_names_and_shapes(rooms: dict[str, ModuleType]) -> None:
    digest = rooms["stable_cascade"].key_digest
    one, two = torch.zeros(2, 3), torch.zeros(3, 2)
    assert digest({"a": one, "b": two}) == digest({"b": two + 1, "a": one})
    assert len({digest(each) for each in ({"a": one}, {"a": two}, {"b": one})}) == 3
