"""Families beside those of examples/models: written from public layers, and compared.

    python scripts/families/compare.py [family ... | dtypes]

Needs PyTorch and transformers, in an environment of their own. Each family gets a tiny
model of transformers, every weight drawn anew; ours loads its files by a few lines of
rules, gives the same logits to 1e-5 (for 200 tokens, where it takes them), and is saved
again: the files are the same bit for bit, and transformers reads them. So it is for the
models of examples/models, in three dtypes, and for tensors of every dtype.
"""

# pyright: reportMissingImports=false

import importlib
import json
import sys
import tempfile
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.torch
import torch
import transformers

ROOT = Path(__file__).parents[2]
sys.path[:0] = map(str, (ROOT, ROOT / "scripts", ROOT / "examples" / "models"))

from families.block import FAMILIES, Block, Decoder  # noqa: E402

import oakum as nnx  # noqa: E402
from oakum.weights.files._source import open_source  # noqa: E402

MODULES = ("decoders", "newer", "experts", "attentions", "t5", "bart", "images")
for module in MODULES:  # each puts its families into FAMILIES
    importlib.import_module(f"families.{module}")

LENGTH = 200
FOLDER = ROOT / "tests" / "weights" / "families"


def draw(model, generator):
    """Draws every weight anew; scales of norms around their neutral value."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            start = parameter.mean() if parameter.ndim < 2 else 0.0
            if parameter.ndim < 2:
                parameter.copy_(torch.round(torch.as_tensor(start)) + 0.2 * noise)
            else:
                fan = parameter[0].numel() if parameter.ndim else 1
                wide = 0.3 if "emb" in name or "wte" in name else 1.0 / fan**0.5
                parameter.copy_(wide * noise)
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                noise = torch.rand(buffer.shape, generator=generator)
                buffer.copy_(noise + 0.5)


def bits(folder):
    source = open_source(folder)
    return {name: np.array(source.view(name)).tobytes() for name in source.tensors}


def compare(name: str) -> None:
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    theirs, kind, rules = FAMILIES[name]()
    theirs = theirs.eval()
    draw(theirs, generator)
    theirs.tie_weights()
    make = (
        (lambda: Decoder(kind, rngs=nnx.Rngs(0))) if isinstance(kind, Block) else kind
    )
    given = inputs(name, generator)
    with torch.no_grad():
        expected = theirs(**given)
    expected = output(expected)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as new:
        theirs.save_pretrained(folder)
        model = nnx.eval_shape(make)
        report = nnx.weights.load(model, folder, rules)
        model.eval()
        arrays = [jnp.asarray(x.numpy()) for x in given.values()]
        ours = np.asarray(jax.jit(lambda *xs: model(*xs))(*arrays))
        error = float(np.abs(ours - expected).max())
        config = json.loads(Path(folder, "config.json").read_text())
        nnx.weights.save(model, new, rules, config=config)
        same = bits(new) == bits(folder)
        again = type(theirs).from_pretrained(new).eval()
        with torch.no_grad():
            back = float(np.abs(output(again(**given)) - expected).max())
        lines = len(rules.given if isinstance(rules, nnx.weights.Rules) else rules)
        flag = "" if error <= 1e-5 and same and back == 0 and lines <= 25 else "  <---"
        print(
            f"{name:10} {lines:2} rules, of {np.abs(expected).max():.1f} off by "
            f"{error:.1e}, back {'the same' if same else 'DIFFERENT'}, from_pretrained "
            f"off by {back:.0e}, suspicious {len(report.suspicious)}{flag}",
            flush=True,
        )
        for line in report.suspicious:
            print("    ", line)
        if not same:
            one, two = bits(new), bits(folder)
            print(
                "    ", [k for k in one.keys() | two.keys() if one.get(k) != two.get(k)]
            )


def output(out) -> np.ndarray:
    for name in ("logits", "logits_per_image", "last_hidden_state"):
        if getattr(out, name, None) is not None:
            return getattr(out, name).detach().numpy()
    raise ValueError(list(out))


def inputs(name, generator):
    tokens = torch.randint(3, 95, (1, LENGTH), generator=generator)
    if name in ("t5", "bart"):
        target = torch.randint(3, 95, (1, LENGTH), generator=generator)
        return {"input_ids": tokens, "decoder_input_ids": target}
    if name == "whisper":
        sound = torch.randn((1, 16, LENGTH), generator=generator)
        return {"input_features": sound, "decoder_input_ids": tokens}
    images = torch.randn((2, 3, 32, 32), generator=generator)
    if name == "clip":
        tokens = torch.randint(3, 95, (3, 77), generator=generator)
        tokens[:, 60] = 95
        return {"input_ids": tokens, "pixel_values": images}
    if name == "wav2vec2":
        return {"input_values": torch.randn((1, 10 * LENGTH), generator=generator)}
    if name in ("resnet", "convnext", "mobilenet_v2"):
        return {"pixel_values": images}
    return {"input_ids": tokens}


def compare_example(name: str) -> None:
    """A model of examples/models: what it saves, read by transformers, and back."""
    folder = FOLDER / name
    module = importlib.import_module(name)
    config = json.loads((folder / "config.json").read_text())
    kind = getattr(transformers, config["architectures"][0])
    expected = open_source(folder / "expected.safetensors")
    key = "pixel_values" if name == "vit" else "input_ids"
    given = np.array(expected.view("images" if name == "vit" else "tokens"))
    given = {key: torch.from_numpy(given)}

    def logits(folder):
        with torch.no_grad():
            return output(kind.from_pretrained(folder).eval()(**given))

    first = logits(folder)
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        config["dtype"] = np.dtype(dtype).name
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            model = module.load(str(folder))
            nnx.weights.save(model, one, config=config, dtype=dtype)
            again = kind.from_pretrained(one)
            again.save_pretrained(two)  # by transformers, of what ours wrote
            model = module.load(two)
            with tempfile.TemporaryDirectory() as three:
                nnx.weights.save(model, three, config=config)
                same = bits(one) == bits(two) == bits(three)
            equal = dtype != jnp.float32 or (
                bits(one) == bits(folder) and np.array_equal(logits(one), first)
            )
        flag = "" if same and equal else "  <---"
        print(f"{name:10} {np.dtype(dtype).name}: bits {same}, logits {equal}{flag}")


def compare_dtypes() -> None:
    """Tensors of each dtype of PyTorch, through a model and out again."""
    kinds = ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"]
    kinds += ["bfloat16", "float16", "int8", "uint8", "int32", "bool", "float32"]
    for name in kinds:
        dtype = getattr(torch, name)
        values = (10 * torch.randn(6, 4)).to(dtype)
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            tensors = {"fc.weight": values, "fc.bias": values[:, 0].contiguous()}
            safetensors.torch.save_file(tensors, f"{one}/model.safetensors")
            model = nnx.eval_shape(lambda: nnx.Linear(4, 6, rngs=nnx.Rngs(0)))
            nnx.weights.load(model, one, {"fc": ""})
            nnx.weights.save(model, two, {"fc": ""})
            found = safetensors.torch.load_file(f"{two}/model.safetensors")
            same = bits(one) == bits(two) and found["fc.weight"].dtype == dtype
            kept = str(model.kernel.value.dtype)
        print(f"{name:16} in the model {kept:16} bits {same}{'' if same else '  <---'}")


def main() -> None:
    warnings.simplefilter("ignore")
    transformers.utils.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    examples = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
    for name in sys.argv[1:] or [*FAMILIES, *examples, "dtypes"]:
        try:
            if name == "dtypes":
                compare_dtypes()
            elif name in examples:
                compare_example(name)
            else:
                compare(name)
        except Exception as error:
            print(f"{name:10} FAILED: {type(error).__name__}: {str(error)[:1500]}")


if __name__ == "__main__":
    main()
