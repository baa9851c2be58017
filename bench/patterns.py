"""What ordinary patterns of calls cost, as ratios to the same arithmetic by hand.

    python bench/patterns.py [--only NAME,...] [--libraries oakum,flax] [--rounds 40]
                             [--docs]

By hand: a plain `jax.jit` over a flat list of arrays, without donation, in which the
same objects are rebuilt, so that program and arithmetic are the same and the call alone
differs. Processor time of all threads; many short rounds, interleaved over the variants
in turning order; the lower decile of each. Traces of the user's function in the timed
rounds are counted: there must be none.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
WIDTH = 8
LIBRARIES = {"oakum": "oakum", "flax": "flax.nnx"}


class Pattern(NamedTuple):
    """One pattern.

    Attributes:
        make: given a library and a counter of traces, makes the call of the library and
            the call by hand.
        target: the ratio that is aimed at.
        steps: how many calls one measurement makes.
    """

    make: Callable[[Any, list[int]], tuple[Callable[[], Any], Callable[[], Any]]]
    target: float
    steps: int = 20


def net(nnx: Any, depth: int = 3, dropout: bool = False) -> Any:
    """A residual network: six leaves a block, and a stream of keys where asked for."""
    listed = getattr(nnx, "List", list)

    class Block(nnx.Module):
        def __init__(self, rngs: Any):
            self.a = nnx.Linear(WIDTH, WIDTH, rngs=rngs)
            self.b = nnx.Linear(WIDTH, WIDTH, rngs=rngs)
            self.n = nnx.LayerNorm(WIDTH, rngs=rngs)
            if dropout:
                self.d = nnx.Dropout(0.1, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            h = nnx.relu(self.a(self.n(x)))
            return x + self.b(self.d(h) if dropout else h)

    class Net(nnx.Module):
        def __init__(self, rngs: Any):
            self.blocks = listed([Block(rngs) for _ in range(depth)])

        def __call__(self, x: Any) -> Any:
            for block in self.blocks:
                x = block(x)
            return x

    return Net(nnx.Rngs(0))


@functools.cache
def weights_class(nnx: Any) -> Any:
    """One class for all models, which are of one structure then."""
    listed = getattr(nnx, "List", list)

    class Weights(nnx.Module):
        """A module of so many leaves, all of which its forward reads."""

        def __init__(self, count: int) -> None:
            self.parts = listed([nnx.Param(jnp.full(8, 1.0)) for _ in range(count)])

        def __call__(self, x: Any) -> Any:
            for part in self.parts:
                x = x * part[...]
            return x

    return Weights


def adam(nnx: Any, model: Any) -> Any:
    return nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)


def train_body(nnx: Any, traces: list[int]) -> Callable[..., Any]:
    def train(model: Any, optimizer: Any, x: Any) -> Any:
        traces[0] += 1
        loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
        optimizer.update(model, grads)
        return loss

    return train


def by_hand(nnx: Any, body: Callable[..., Any], *objects: Any) -> Callable[..., Any]:
    """A step over a flat list: objects are rebuilt from it inside the program."""
    graphdef, state = nnx.split(objects)
    leaves, treedef = jax.tree.flatten(state)

    @jax.jit
    def flat(leaves: Any, *args: Any) -> Any:
        rebuilt = nnx.merge(graphdef, jax.tree.unflatten(treedef, leaves))
        result = body(*rebuilt, *args)
        return jax.tree.leaves(nnx.split(rebuilt)[1]), result

    box = [list(map(jnp.array, leaves))]

    def step(*args: Any) -> Any:
        box[0], result = flat(box[0], *args)
        return result

    return step


def read_by_hand(nnx: Any, body: Callable[..., Any], *objects: Any) -> Callable:
    """A forward over a flat list."""
    graphdef, state = nnx.split(objects)
    leaves, treedef = jax.tree.flatten(state)

    @jax.jit
    def flat(leaves: Any, *args: Any) -> Any:
        return body(*nnx.merge(graphdef, jax.tree.unflatten(treedef, leaves)), *args)

    return lambda *args: flat(leaves, *args)


def of_step(prepare: Callable[..., Any] | None = None, sizes: tuple = (4,)) -> Any:
    """A train step over batches of some sizes in turn, with something before each."""

    def make(nnx: Any, traces: list[int]) -> Any:
        model = net(nnx)
        objects, body = (model, adam(nnx, model)), train_body(nnx, traces)
        step, hand = nnx.jit(body), by_hand(nnx, body, *objects)
        xs = [jnp.ones((size, WIDTH)) for size in sizes]
        before = prepare(nnx, model) if prepare else lambda: None

        def ours() -> Any:
            for x in xs:
                before()
                result = step(*objects, x)
            return result

        return ours, lambda: [hand(x) for x in xs][-1]

    return make


def hold_arrays(nnx: Any, model: Any) -> Callable[[], Any]:
    held = [None]

    def hold() -> None:
        held[0] = jax.tree.leaves(nnx.state(model, nnx.Param))

    return hold


def average_by_reference(nnx: Any, model: Any) -> Callable[[], Any]:
    boxes = [v for _, v in nnx.to_flat_state(nnx.state(model, nnx.Param))]
    kept: list[Any] = []

    def keep() -> None:
        kept[:] = [box[...] for box in boxes]

    return keep


def update_from_kept(nnx: Any, model: Any) -> Callable[[], Any]:
    kept = jax.tree.map(jnp.array, nnx.state(nnx.clone(model), nnx.Param))
    return lambda: nnx.update(model, kept)


def modes(nnx: Any, traces: list[int]) -> Any:
    model = net(nnx, dropout=True)
    objects, body = (model, adam(nnx, model)), train_body(nnx, traces)

    def forward(model: Any, x: Any) -> Any:
        traces[0] += 1
        return model(x)

    step, evaluate = nnx.jit(body), nnx.jit(forward)
    hand = by_hand(nnx, body, *objects)
    model.eval()
    hand_forward = read_by_hand(nnx, forward, model)
    x = jnp.ones((4, WIDTH))

    def ours() -> Any:
        model.train()
        step(*objects, x)
        model.eval()
        return evaluate(model, x)

    return ours, lambda: (hand(x), hand_forward(x))[1]


def two_structures(nnx: Any, traces: list[int]) -> Any:
    """One function of a model that is now in one mode and now in the other."""
    model, x = net(nnx, dropout=True), jnp.ones((4, WIDTH))

    def forward(model: Any, x: Any) -> Any:
        traces[0] += 1
        return model(x)

    jitted = nnx.jit(forward)
    model.train()
    trains = by_hand(nnx, forward, model)  # dropout counts its draws
    model.eval()
    evaluates = read_by_hand(nnx, forward, model)

    def ours() -> Any:
        model.train()
        jitted(model, x)
        model.eval()
        return jitted(model, x)

    return ours, lambda: (trains(x), evaluates(x))[1]


def many_steps(count: int) -> Any:
    def make(nnx: Any, traces: list[int]) -> Any:
        model = net(nnx)
        objects, body = (model, adam(nnx, model)), train_body(nnx, traces)
        step, hand = nnx.train.scan_steps(body), by_hand(nnx, body, *objects)
        xs = jnp.ones((count, 4, WIDTH))
        each = list(xs)
        return lambda: step(*objects, xs), lambda: [hand(x) for x in each][-1]

    return make


def sown(trains: bool) -> Any:
    def make(nnx: Any, traces: list[int]) -> Any:
        inner = net(nnx)

        class Sower(nnx.Module):
            def __init__(self) -> None:
                self.net = inner

            def __call__(self, x: Any) -> Any:
                y = self.net(x)
                self.sow(nnx.Intermediate, "y", y)
                return y

        model = Sower()
        objects = (model, adam(nnx, model)) if trains else (model,)
        train = train_body(nnx, traces)

        def body(*args: Any) -> Any:
            if trains:
                return train(*args)
            traces[0] += 1
            return args[0](args[1])

        def functional(*args: Any) -> Any:
            result = body(*args)
            return result, nnx.pop(args[0], nnx.Intermediate)

        hand = (by_hand if trains else read_by_hand)(nnx, functional, *objects)
        step, x = nnx.jit(body), jnp.ones((4, WIDTH))

        def ours() -> Any:
            result = step(*objects, x)
            nnx.pop(model, nnx.Intermediate)
            return result

        return ours, lambda: hand(x)

    return make


def gradients_between(nnx: Any, traces: list[int]) -> Any:
    model = net(nnx)
    optimizer, x = adam(nnx, model), jnp.ones((4, WIDTH))

    def gradients(model: Any, x: Any) -> Any:
        traces[0] += 1
        return nnx.grad(lambda m: (m(x) ** 2).mean())(model)

    def apply(model: Any, optimizer: Any, grads: Any) -> None:
        traces[0] += 1
        optimizer.update(model, grads)

    first, second = nnx.jit(gradients), nnx.jit(apply)
    flat_first = read_by_hand(nnx, lambda m, x: jax.tree.leaves(gradients(m, x)), model)
    treedef = jax.tree.structure(nnx.eval_shape(gradients, model, x))
    flat_second = by_hand(
        nnx,
        lambda m, o, leaves: apply(m, o, jax.tree.unflatten(treedef, leaves)),
        *(model, optimizer),
    )
    return (
        lambda: second(model, optimizer, first(model, x)),
        lambda: flat_second(flat_first(x)),
    )


def many_models(count: int) -> Any:
    def make(nnx: Any, traces: list[int]) -> Any:
        def forward(model: Any, x: Any) -> Any:
            traces[0] += 1
            return model(x)

        models = [weights_class(nnx)(6) for _ in range(count)]
        hands = [jax.tree.leaves(nnx.state(m)) for m in models]
        jitted, x, at = nnx.jit(forward), jnp.ones(8), [0, 0]

        @jax.jit
        def flat(leaves: Any, x: Any) -> Any:
            for leaf in leaves:
                x = x * leaf
            return x

        def ours() -> Any:
            at[0] = (at[0] + 1) % count
            return jitted(models[at[0]], x)

        def hand() -> Any:
            at[1] = (at[1] + 1) % count
            return flat(hands[at[1]], x)

        return ours, hand

    return make


def fresh_model(nnx: Any, traces: list[int]) -> Any:
    def forward(model: Any, x: Any) -> Any:
        traces[0] += 1
        return model(x)

    model, x = net(nnx), jnp.ones((4, WIDTH))
    graphdef, state = nnx.split(model)
    jitted, hand = nnx.jit(forward), read_by_hand(nnx, forward, model)
    return lambda: jitted(nnx.merge(graphdef, state), x), lambda: hand(x)


def eager_key(nnx: Any, traces: list[int]) -> Any:
    model, rngs, x = net(nnx), nnx.Rngs(0), jnp.ones((4, WIDTH))

    def forward(model: Any, x: Any, key: Any) -> Any:
        traces[0] += 1
        return model(x) + jax.random.uniform(key)

    jitted, hand = nnx.jit(forward), read_by_hand(nnx, forward, model)
    fold, key, count = jax.jit(jax.random.fold_in), jax.random.key(0), [0]

    def by_hand() -> Any:
        count[0] += 1
        return hand(x, fold(key, count[0]))

    return lambda: jitted(model, x, rngs()), by_hand


def forward_of(count: int, keyword: bool = False, plain: bool = False) -> Any:
    def make(nnx: Any, traces: list[int]) -> Any:
        def forward(model: Any, x: Any) -> Any:
            traces[0] += 1
            return model(x)

        model, x = weights_class(nnx)(count), jnp.ones(8)
        leaves = jax.tree.leaves(nnx.state(model))

        @jax.jit
        def flat(leaves: Any, x: Any) -> Any:
            for leaf in leaves:
                x = x * leaf
            return x

        jitted = (jax.jit if plain else nnx.jit)(forward)
        if keyword:
            return lambda: jitted(model, x=x), lambda: flat(leaves, x=x)
        return lambda: jitted(model, x), lambda: flat(leaves, x)

    return make


def state_to_plain_jit(nnx: Any, traces: list[int]) -> Any:
    model, x = net(nnx, 12), jnp.ones((4, WIDTH))
    graphdef, state = nnx.split(model)

    def forward(state: Any, x: Any) -> Any:
        traces[0] += 1
        return nnx.merge(graphdef, state)(x)

    jitted = jax.jit(forward)
    hand = read_by_hand(nnx, lambda m, x: m(x), model)
    return lambda: jitted(state, x), lambda: hand(x)


PATTERNS = {
    "plain step": Pattern(of_step(), 1.0),
    "ten steps in one call": Pattern(many_steps(10), 0.2, 5),
    "second shape": Pattern(of_step(sizes=(4, 3)), 1.0, 10),
    "third shape": Pattern(of_step(sizes=(4, 3, 2)), 1.0, 7),
    "train and eval": Pattern(modes, 1.5, 10),
    "two structures in turn": Pattern(two_structures, 1.5, 10),
    "sow in a step, pop": Pattern(sown(True), 1.5, 10),
    "sow in a forward, pop": Pattern(sown(False), 1.5),
    "gradients between two": Pattern(gradients_between, 1.5, 10),
    "100 models": Pattern(many_models(100), 1.6, 200),
    "1000 models": Pattern(many_models(1000), 1.6, 1000),
    "fresh model": Pattern(fresh_model, 3.0, 10),
    "arrays held": Pattern(of_step(hold_arrays), 1.2, 10),
    "average by reference": Pattern(of_step(average_by_reference), 1.2, 10),
    "update before each": Pattern(of_step(update_from_kept), 1.2, 10),
    "eager key": Pattern(eager_key, 4.0),
    **{
        f"forward, {n} leaves": Pattern(forward_of(n), 1.2, 200) for n in (1, 5, 14, 20)
    },
    "forward, keyword": Pattern(forward_of(5, keyword=True), 1.2, 200),
    **{
        f"plain jax.jit, {n} leaves": Pattern(forward_of(n, plain=True), 2.0, 20)
        for n in (16, 74, 290)
    },
    "State to plain jax.jit": Pattern(state_to_plain_jit, 2.0),
}


def once(call: Callable[[], Any], steps: int) -> float:
    start = time.process_time()
    for _ in range(steps):
        result = call()
    jax.block_until_ready(jax.tree.leaves(result))
    return (time.process_time() - start) / steps


def decile(times: list[float]) -> float:
    return sorted(times)[len(times) // 10]


class Measured(NamedTuple):
    """Processor time of a call; its ratio to that by hand, and to that by hand after a
    pause; and traces while timed."""

    ours: float
    ratio: float
    ratio_paused: float
    traces: int


def spin(loops: int) -> None:
    for _ in range(loops):
        pass


def paused(hand: Callable[[], Any], pause: float, steps: int, rounds: int) -> float:
    """The time of a call by hand that is made after Python was busy for a while.

    A call after a pause takes up to four times as long as one of many in a row,
    presumably since XLA's threads sleep meanwhile: what a pattern pays that does
    something in Python between its calls, in whatever library.

    Args:
        hand: the call.
        pause: seconds that Python is busy before each.
        steps, rounds: calls a round, and rounds.
    """
    loops = int(pause / (once(lambda: spin(100_000), 10) / 100_000))
    both, alone = [], []
    for _ in range(rounds):
        both.append(once(lambda: (spin(loops), hand())[1], steps))
        alone.append(once(lambda: spin(loops), steps))
    return decile(both) - decile(alone)


def measure(pattern: Pattern, library: str, rounds: int) -> Measured:
    """Times a pattern, in turn with the same by hand."""
    nnx, traces = importlib.import_module(LIBRARIES[library]), [0]
    calls = pattern.make(nnx, traces)
    steps = pattern.steps
    if library != "oakum":  # its calls take ten times as long
        rounds, steps = max(10, rounds // 4), max(1, steps // 5)
    for _ in range(3):
        for call in calls:
            once(call, steps)
    before, times = traces[0], ([], [])
    for turn in range(rounds):
        for which in (0, 1) if turn % 2 else (1, 0):
            times[which].append(once(calls[which], steps))
    ours, hand = map(decile, times)
    traced = traces[0] - before
    slow = hand
    if library == "oakum" and ours > 1.1 * hand:
        # All Python of ours at once before it: a pattern of two calls pauses twice.
        pause = ours - paused(calls[1], ours - hand, steps, rounds)
        slow = max(hand, paused(calls[1], max(pause, 0.0), steps, rounds))
    return Measured(ours, ours / hand, ours / slow, traced)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--libraries", default="oakum")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--docs", action="store_true")
    args = parser.parse_args()
    libraries = args.libraries.split(",")
    rows = []
    for name, pattern in PATTERNS.items():
        if args.only and not any(part in name for part in args.only.split(",")):
            continue
        cells = []
        for library in libraries:
            try:
                cells.append(measure(pattern, library, args.rounds))
            except AttributeError as error:  # what the library does not have
                cells.append("–" if library != "oakum" else str(error))
        rows.append((name, pattern.target, cells))
        print(_line(name, pattern.target, cells), flush=True)
    if args.docs:
        _, heading, rest = PAGE.read_text().partition("\n## ")  # of other scripts
        PAGE.write_text(_page(libraries, rows) + heading + rest)


def _line(name: str, target: float, cells: list[Any]) -> str:
    texts = [c if isinstance(c, str) else _cell(c) for c in cells]
    return f"{name:26} <= {target:<4} " + " ".join(texts)


def _cell(found: Measured) -> str:
    text = f"{found.ours * 1e6:9.1f} us {found.ratio:6.2f} ({found.traces} traces)"
    if found.ratio_paused != found.ratio:
        text += f", {found.ratio_paused:.2f} of a call after a pause"
    return text


def _page(libraries: list[str], rows: list[Any]) -> str:
    versions = ", ".join(
        [f"jax {jax.__version__}", f"Python {platform.python_version()}"]
        + [
            f"{lib} {importlib.import_module(LIBRARIES[lib].split('.')[0]).__version__}"
            for lib in libraries
            if lib != "oakum"
        ]
    )
    head = " | ".join(["pattern", *libraries, "aim", "after a pause"])
    lines = [
        "# What calls cost",
        "",
        "A compiled call is to cost what the same arithmetic costs that an expert",
        "writes by hand: a plain `jax.jit` over a flat list of arrays, without",
        "donation, is 1.0 here. Each row is one way to use a model; what stands below",
        "1.0 gains by giving its old state away. Processor time of all threads, the",
        f"lower decile of many short rounds in turn; {versions},",
        "CPU. The models are tiny, so that the arithmetic hides nothing: with larger",
        "ones every ratio tends to 1.",
        "",
        "The last column is oakum's time beside that of the same call by hand after",
        "Python was busy for as long as it is in oakum. Such a call takes longer than",
        "one of many in a row (15 us, and 61 after 84 us of pure Python), which a",
        "pattern pays that does anything at all between its calls.",
        "",
        f"| {head} |",
        f"|{'---|' * (3 + len(libraries))}",
    ]
    for name, target, cells in rows:
        texts = [c if isinstance(c, str) else f"{c.ratio:.2f}" for c in cells]
        texts += [str(target), f"{cells[0].ratio_paused:.2f}"]
        lines.append(f"| {name} | {' | '.join(texts)} |")
    traced = sum(
        c.traces for _, _, cells in rows for c in cells[:1] if not isinstance(c, str)
    )
    lines += [
        "",
        f"Traces while it was timed, in oakum: {traced}. Many steps in one call are",
        "[`nnx.train.scan_steps`](runs.md#many-steps-in-one-call). The table is",
        "written by `python bench/patterns.py --libraries oakum,flax --docs`.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
