"""Weights of strangers: no reader raises what it does not say, and none runs what a file says.

Damaged safetensors, torch files, headers and configurations, 10,000 each with `-m slow`; and a
pickle that would make a file, under every name that a loader looks for, in each loader. Elsewhere:
what a loader says of files that are missing or of another model (`tests/rewards/`, `tests/users/`,
`tests/generators/`, `tests/trainers/`).
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import Draw, damage, edit, hold, profiles, require_said, takes
from safetensors.torch import save
from tiny_pipelines import stable_diffusion
from tiny_vlm import write_vlm

from ppdbench.errors import PpdbenchError
from ppdbench.generators.diffusers import diffusers
from ppdbench.generators.local_model import LocalModel
from ppdbench.protocols import GenerationRequest, LoadContext
from ppdbench.rewards.checkpoint import read_weights
from ppdbench.rewards.folder import describes_itself, files_of, read_tower_folder
from ppdbench.rewards.open_clip_tower import load_tower
from ppdbench.suites.shapes.classifier import load_classifier
from ppdbench.users.vlm_files import find_vlm
from ppdbench.users.vlm_load import load_vlm
from trainers.adapters.checkpoints import load_state, save_state
from trainers.adapters.header import ADAPTER_FILE, FORMAT_VERSION, AdapterHeader, read_header
from trainers.encoded.sharded_tensor import read_tensor
from trainers.shapes.rewriter_parts import new_model, new_tokenizer
from trainers.stable_cascade.adapter_shape import AdapterShape
from trainers.stable_cascade.load import load_base

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "ppdbench" / "suites" / "shapes" / "assets"
TENSORS = {"a": torch.zeros(3, 4), "b": torch.ones(2).half()}
HEADER = AdapterHeader(
    method="ppd",
    base_sha256="0" * 64,
    shape=AdapterShape(user_dim=3),
    width=8,
    user_vector="reward_weights",
    rewards=("clip", "hps"),
    unconditional_user="null-user",
    facts={"steps": 3},
)
TOLD = {"format_version": FORMAT_VERSION} | asdict(HEADER)
WHOLE = save(TENSORS, metadata={"adapter": json.dumps(TOLD)})


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """What libraries warn of in damaged files is theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def with_header(head: Any) -> bytes:
    """The tensors' bytes behind another header."""
    size = struct.unpack_from("<Q", WHOLE)[0]
    told = json.dumps(head).encode()
    return struct.pack("<Q", len(told)) + told + WHOLE[8 + size :]


def safetensors(draw: Draw) -> bytes:
    """A file with damaged bytes, or with a header of other sizes, offsets, types or words."""
    if draw.random() < 0.4:
        return damage(WHOLE, draw, draw.randrange(3))
    head = json.loads(WHOLE[8 : 8 + struct.unpack_from("<Q", WHOLE)[0]])
    if draw.random() < 0.5:
        at = draw.choice(("a", "b"))
        number = draw.choice((-1, 0, 1, 47, 48, 49, 2**31, 2**63, 2**64 - 1))
        place, where = draw.choice((("data_offsets", draw.randrange(2)), ("shape", 0)))
        head[at][place][where] = number
        if draw.random() < 0.3:
            head[at]["dtype"] = draw.choice(("F64", "BOOL", "F8_E4M3", "I8", "C64", "U64", "", 7))
        return with_header(head)
    return with_header(edit(head, draw, draw.randrange(3)))


# --- files ----------------------------------------------------------------------------------------


@profiles
def test_safetensors_are_tensors_or_an_error(number: int, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"

    def body(data: bytes) -> bool:
        path.write_bytes(data)
        takes(lambda: read_tensor(path, "a"))
        return takes(
            lambda: read_weights(path),
            lambda found: [tensor.float().sum() for tensor in found.values()],
        )

    # A header that says to be longer than the file, and than any file.
    huge = [struct.pack("<Q", size) + WHOLE[8:] for size in (2**20, 2**40, 2**64 - 1)]
    hold(body, safetensors, number=number, folder=tmp_path, examples=huge)


def torch_file(draw: Draw) -> bytes:
    """A torch file with other bytes in it, or with another pickle within."""
    buffer = io.BytesIO()
    torch.save({"state_dict": TENSORS}, buffer, _use_new_zipfile_serialization=draw.random() < 0.8)
    data = buffer.getvalue()
    if draw.random() < 0.4 or not zipfile.is_zipfile(io.BytesIO(data)):
        return damage(data, draw, draw.randrange(3))
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            found = old.read(name)
            new.writestr(name, damage(found, draw, 1) if name.endswith("data.pkl") else found)
    return made.getvalue()


@profiles
def test_torch_files_are_tensors_or_an_error(number: int, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"

    def body(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            read_weights(path)
        except PpdbenchError as error:
            # What a file claims is asked of the system at once, and refused: none of it is used.
            if not isinstance(error.__cause__, MemoryError):
                require_said(error)
            return False
        return True

    hold(body, torch_file, number=number, folder=tmp_path)


@profiles
def test_an_adapters_header_is_one_or_an_error(number: int, tmp_path: Path) -> None:
    def file(draw: Draw) -> bytes:
        if draw.random() < 0.3:
            return safetensors(draw)
        text = json.dumps(edit(TOLD, draw, draw.randrange(3)))
        told = "[" * 5000 if draw.random() < 0.02 else text
        return save({"a": torch.zeros(1)}, metadata={"adapter": told})

    def body(data: bytes) -> bool:
        (tmp_path / ADAPTER_FILE).write_bytes(data)
        return takes(lambda: read_header(tmp_path))

    hold(body, file, number=number, folder=tmp_path)


def test_a_training_state_that_is_none_is_named(tmp_path: Path) -> None:
    for state in ({}, {"identity": 1}, {"identity": None}, {"step": 3}):
        save_state(tmp_path, state)
        with pytest.raises(PpdbenchError, match="cannot be read"):
            load_state(tmp_path, {"a": 1})


@profiles
def test_a_rewards_folder_is_described_or_refused(number: int, tmp_path: Path) -> None:
    config = json.loads((ASSETS / "clip" / "config.json").read_bytes())
    named = {"arch": "ViT-B-32", "weights": "model.safetensors"}
    (tmp_path / "model.safetensors").write_bytes(WHOLE)
    for file in (ASSETS / "clip").glob("*.txt*"):
        shutil.copy(file, tmp_path)

    def text(draw: Draw) -> bytes:
        if draw.random() < 0.02:
            return b'{"a":' * 5000
        data = json.dumps(edit(draw.choice((config, named)), draw, draw.randrange(3))).encode()
        return damage(data, draw, 1) if draw.random() < 0.2 else data

    def body(data: bytes) -> bool:
        (tmp_path / "config.json").write_bytes(data)
        describes_itself(tmp_path)
        files_of(tmp_path)
        return takes(lambda: read_tower_folder(tmp_path, owner="it").sha256)

    long = json.dumps({**named, "weights": "x" * 300}).encode()
    null = json.dumps({**named, "weights": "x\0y"}).encode()
    hold(body, text, number=number, folder=tmp_path, examples=[long, null])


# --- code -----------------------------------------------------------------------------------------

NAMES = (
    *("model.safetensors", "model.pt", "model.pth", "model.bin", "model.ckpt", "model.pkl"),
    *("pytorch_model.bin", "diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors"),
)


class Payload:
    """Makes a file where it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


def pickles(place: Path) -> list[bytes]:
    """The payload as a bare pickle, and in torch's three forms."""
    made = [pickle.dumps(Payload(place)), pickle.dumps({"a": Payload(place)}, protocol=0)]
    for modern in (True, False):
        buffer = io.BytesIO()
        torch.save(
            {"state_dict": {"a": torch.zeros(2), "b": Payload(place)}},
            buffer,
            _use_new_zipfile_serialization=modern,
        )
        made.append(buffer.getvalue())
    return made


def test_the_payload_is_one(tmp_path: Path) -> None:
    """Else nothing below could fail."""
    pickle.loads(pickles(tmp_path / "owned")[0])  # noqa: S301 - our own
    assert (tmp_path / "owned").is_dir()


def draw_once(folder: Path) -> None:
    context = LoadContext(suite=None, device="cpu", argument=str(folder))  # type: ignore[arg-type]
    wanted = GenerationRequest(id="1", caption="a", user=None, seed=1, width=16, height=16)
    list(diffusers(context).generate([wanted]))


def language_model(folder: Path) -> Path:
    tokenizer = new_tokenizer()
    new_model(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def assets(name: str) -> Callable[[Path], Path]:
    return lambda folder: Path(shutil.copytree(ASSETS / name, folder))


def state_of(folder: Path) -> Path:
    folder.mkdir()
    save_state(folder, {"identity": {}})
    return folder


def base_of(folder: Path) -> Path:
    return Path(shutil.copytree(ROOT / "trainers" / "assets" / "shapes" / "base", folder))


def adapter_of(folder: Path) -> Path:
    folder.mkdir()
    (folder / ADAPTER_FILE).write_bytes(WHOLE)
    return folder


LOADERS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "a reward": (
        assets("clip"),
        lambda folder: load_tower(read_tower_folder(folder, owner="it"), "cpu"),
    ),
    "the classifier": (assets("classifier"), lambda folder: load_classifier(folder, "cpu")),
    "a vision-language model": (
        write_vlm,
        lambda folder: load_vlm(find_vlm(str(folder)), "cpu"),
    ),
    "a language model": (
        language_model,
        lambda folder: list(LocalModel(str(folder), "cpu").answer([[]])),
    ),
    "a pipeline": (stable_diffusion, draw_once),
    "a base": (base_of, load_base),
    "an adapter": (adapter_of, read_header),
    "a training's state": (state_of, lambda folder: load_state(folder, {})),
}


@pytest.mark.parametrize("loader", sorted(LOADERS))
def test_no_loader_runs_a_pickle(loader: str, tmp_path: Path) -> None:
    """Every weights file becomes the payload, under its own name and under all others."""
    make, load = LOADERS[loader]
    whole = make(tmp_path / "whole")
    weights = [path for path in whole.rglob("*") if path.suffix in (".safetensors", ".pt")]
    assert weights
    owned = tmp_path / "owned"
    for number, data in enumerate(pickles(owned)):
        for only_pickled in (False, True):
            folder = Path(shutil.copytree(whole, tmp_path / f"{number}-{only_pickled}"))
            (folder / "manifest.json").unlink(missing_ok=True)  # its hashes are no defence
            for path in weights:
                own = folder / path.relative_to(whole)
                for name in NAMES:
                    (own.parent / name).write_bytes(data)
                if only_pickled and own.suffix == ".safetensors":
                    for each in own.parent.glob("*.safetensors"):
                        each.unlink()
                else:
                    own.write_bytes(data)
            with pytest.raises(PpdbenchError):
                load(folder)
            assert not owned.exists()


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.bin", "model.ckpt", "model"])
def test_no_weights_file_runs_a_pickle_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    for data in pickles(tmp_path / "owned"):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(PpdbenchError, match="cannot be read"):
            read_weights(tmp_path / name)
    assert not (tmp_path / "owned").exists()


def own_code(folder: Path, owned: Path) -> None:
    """Let a model say that its classes are in a file beside it."""
    code = f"import os\nos.mkdir({str(owned)!r})\n"
    (folder / "mine.py").write_text(code, encoding="utf-8")
    autos = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoProcessor")
    for name in ("config.json", "tokenizer_config.json", "processor_config.json"):
        path = folder / name
        found = json.loads(path.read_bytes()) if path.is_file() else {}
        found["auto_map"] = dict.fromkeys(autos, "mine.Mine")
        found["auto_map"]["AutoTokenizer"] = ["mine.Mine", None]
        if name != "config.json":
            found["tokenizer_class"] = found["processor_class"] = "Mine"
        path.write_text(json.dumps(found), encoding="utf-8")


LOAD = {
    "a language model": "LocalModel({0!r}, 'cpu').prompt([])",
    "a vision-language model": "load_vlm(find_vlm({0!r}), 'cpu')",
}


@pytest.mark.slow
@pytest.mark.parametrize("loader", sorted(LOAD))
def test_nobody_is_asked_whether_to_run_a_models_code(loader: str, tmp_path: Path) -> None:
    """transformers asks on the terminal unless it is told; here somebody says yes to all."""
    folder = LOADERS[loader][0](tmp_path / "model")
    own_code(folder, tmp_path / "owned")
    lines = (
        "from ppdbench.generators.local_model import LocalModel",
        "from ppdbench.users.vlm_files import find_vlm",
        "from ppdbench.users.vlm_load import load_vlm",
        LOAD[loader].format(str(folder)),
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        input="y\n" * 20,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "HF_HOME": str(tmp_path / "hub"), "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert not (tmp_path / "owned").exists(), done.stderr[-2000:]
    assert "[y/N]" not in done.stdout + done.stderr
