"""Adapters come back whole, and only to the base they were trained on."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_cascade import write_base

from ppdbench.errors import FingerprintMismatch, MissingPrerequisite
from trainers.adapters.checkpoints import load_adapter, load_state, save_adapter, save_state
from trainers.adapters.header import AdapterHeader, Embedding, read_header
from trainers.stable_cascade.adapter_shape import AdapterShape
from trainers.stable_cascade.load import load_base
from trainers.stable_cascade.stage_c import Base
from trainers.training.policy import Policy

SHAPE = AdapterShape(user_dim=3, tokens=4, token_dim=8, scale=0.5)


@pytest.fixture
def saved(tiny_base: Base, tmp_path: Path) -> tuple[Path, AdapterHeader, Policy]:
    policy = Policy(tiny_base, SHAPE, seed=3)
    with torch.no_grad():
        for tensor in policy.adapter.tensors().values():
            tensor.add_(0.1)
    header = AdapterHeader(
        method="ppd",
        base_sha256=tiny_base.sha256,
        shape=SHAPE,
        width=32,
        user_vector="reward_weights",
        rewards=("clip", "aesthetic", "hps"),
        unconditional_user="base",
        facts={"steps": 3},
    )
    save_adapter(tmp_path, policy.adapter.tensors(), header)
    return tmp_path, header, policy


def test_round_trip(saved: tuple[Path, AdapterHeader, Policy], tiny_base_folder: Path) -> None:
    folder, header, policy = saved
    assert read_header(folder) == header
    base = load_base(tiny_base_folder)
    adapter = load_adapter(folder, base)
    kept = {name: tensor.half().float() for name, tensor in policy.adapter.tensors().items()}
    assert adapter.tensors().keys() == kept.keys()
    assert all(torch.equal(adapter.tensors()[name], tensor) for name, tensor in kept.items())
    assert not any(parameter.requires_grad for parameter in adapter.parameters())
    latents, timestep = torch.ones(2, *base.latent_shape), torch.tensor([0.3, 0.7])
    text, users = base.encode_text(["a red square", ""]), torch.eye(2, 3)
    before = policy(latents, timestep, text, users)
    with adapter.tokens(users):
        after = base.predict_noise(latents, timestep, text)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-3)  # float16's rounding, no more
    policy.adapter.load_tensors(kept)
    assert torch.equal(after, policy(latents, timestep, text, users))


def test_a_table_of_users_comes_back_and_is_not_spoken_of_without_one(
    saved: tuple[Path, AdapterHeader, Policy], tiny_base: Base, tmp_path: Path
) -> None:
    folder, header, _ = saved
    with safe_open(folder / "adapter.safetensors", framework="pt") as opened:
        described = json.loads(opened.metadata()["adapter"])
    assert "user_rank" not in described["shape"]  # files of before there were tables are the same
    learnt = Policy(tiny_base, replace(SHAPE, user_rank=2), seed=3)
    more = replace(header, shape=learnt.adapter.shape)
    save_adapter(tmp_path / "learnt", learnt.adapter.tensors(), more)
    assert read_header(tmp_path / "learnt") == more
    found = load_adapter(tmp_path / "learnt", tiny_base).tensors()
    table = learnt.adapter.tensors()["user_projection.table.weight"]
    assert torch.equal(found["user_projection.table.weight"], table.half().float())


def test_embeddings_are_normalised_as_they_were_in_training(
    saved: tuple[Path, AdapterHeader, Policy],
) -> None:
    folder, header, policy = saved
    known = Embedding(encoder="e", revision="r", mean=(1.0, 0.1, -2.0), std=(0.5, 3.0, 1 / 3))
    header = replace(header, user_vector="embedding", embedding=known)
    save_adapter(folder, policy.adapter.tensors(), header)
    assert read_header(folder) == header
    vectors = known.normalised(np.array([[1, 0.1, -2], [2, 3.1, -1]], np.float32))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [[0, 0, 0], [2, 1, 3]], atol=1e-6)


def test_files_of_the_first_format_still_load(
    saved: tuple[Path, AdapterHeader, Policy], tiny_base: Base
) -> None:
    folder, header, policy = saved
    description = asdict(header) | {"format_version": 1}
    del description["embedding"]
    tensors = {name: tensor.clone() for name, tensor in policy.adapter.tensors().items()}
    metadata = {"adapter": json.dumps(description)}
    save_file(tensors, folder / "adapter.safetensors", metadata=metadata)
    assert read_header(folder) == header
    loaded = load_adapter(folder, tiny_base).tensors()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def test_file_names_blocks_by_path(saved: tuple[Path, AdapterHeader, Policy]) -> None:
    names = set(load_file(saved[0] / "adapter.safetensors"))
    assert "down_blocks.0.2.attention.to_k_user.weight" in names
    assert "user_projection.linear.bias" in names
    assert len(names) == 4 * 2 + 4


def test_equal_adapters_are_equal_files(saved: tuple[Path, AdapterHeader, Policy]) -> None:
    folder, header, policy = saved
    before = (folder / "adapter.safetensors").read_bytes()
    for _ in range(5):
        save_adapter(folder, policy.adapter.tensors(), header)
        assert (folder / "adapter.safetensors").read_bytes() == before


def test_another_base_is_refused(saved: tuple[Path, AdapterHeader, Policy], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(MissingPrerequisite, match="another base"):
        load_adapter(saved[0], load_base(write_base(other, seed=9)))


HEADERS = {
    "version": '{"format_version": 99}',
    "list": "[1]",
    "half": '{"format_version": 2, "method": "ppd"}',
    "more": '{"format_version": 2, "shape": {"sides": 3}, "rewards": []}',
}


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "torn", *HEADERS])
def test_damaged_adapter_is_refused(
    change: str, saved: tuple[Path, AdapterHeader, Policy], tiny_base: Base
) -> None:
    folder, header, _ = saved
    path = folder / "adapter.safetensors"
    tensors = load_file(path)
    name = "down_blocks.0.2.attention.to_k_user.weight"
    if change == "missing":
        del tensors[name]
    elif change == "extra":
        tensors["down_blocks.9.2.attention.to_k_user.weight"] = tensors[name].clone()
    elif change == "shape":
        tensors[name] = tensors[name][:1].clone()
    save_adapter(folder, tensors, header)
    if change == "torn":
        path.write_bytes(path.read_bytes()[:200])
    elif change in HEADERS:
        save_file(tensors, path, metadata={"adapter": HEADERS[change]})
    with pytest.raises(MissingPrerequisite) as caught:
        load_adapter(folder, tiny_base)
    assert "\n" not in caught.value.cause


def test_state_round_trip_and_identity(tmp_path: Path) -> None:
    identity = {"config": {"beta": 1.0, "log_every": 5}, "base": "b"}
    assert load_state(tmp_path, identity) is None
    save_state(tmp_path, {"identity": identity, "step": 4, "adapter": {"w": torch.ones(2)}})
    state = load_state(tmp_path, identity)
    assert state is not None and state["step"] == 4
    changed = {"config": {"beta": 2.0, "log_every": 9}, "base": "b"}
    with pytest.raises(FingerprintMismatch, match=r"config\.beta \(1\.0 -> 2\.0\)"):
        load_state(tmp_path, changed, tolerate=["config.log_every"])
    with pytest.raises(FingerprintMismatch, match="log_every"):
        load_state(tmp_path, {"config": {"beta": 1.0, "log_every": 9}, "base": "b"})


def test_state_that_cannot_be_read_says_what_to_delete(tmp_path: Path) -> None:
    (tmp_path / "trainer_state.pt").write_bytes(b"torn")
    with pytest.raises(MissingPrerequisite, match=r"delete trainer_state\.pt"):
        load_state(tmp_path, {})
