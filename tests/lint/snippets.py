"""Programs with a hazard in them, and programs like them without, as users write them.

Each row is a program of its own: `HEAD`, with one of the ways to import nnx, and the
body. The wrong ones are named by the code of the rule that is to find them.
"""

from __future__ import annotations

import textwrap

HEAD = """\
import functools, pickle
from functools import partial
import numpy as np
import jax
import jax.numpy as jnp
import optax
from jax import lax, random
{nnx}

class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.linear = nnx.Linear(3, 3, rngs=rngs)
        self.count = nnx.Variable(jnp.array(0.0))

    def __call__(self, x):
        return self.linear(x)

def loss_fn(model, x):
    return (model(x) ** 2).mean()

x = jnp.ones((2, 3))
"""
MODEL = """\
model = Net(nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
"""
TRAINER = """\
class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
"""
IMPORTS = {
    "oakum": "import oakum as nnx",
    "flax": "from flax import nnx",
    "dotted": "import flax.nnx as nnx",
}


def program(body: str, style: str = "oakum") -> str:
    """The whole program of a row."""
    return HEAD.format(nnx=IMPORTS[style]) + textwrap.dedent(body)


def after_model(rows: dict[str, str]) -> dict[str, str]:
    """The rows' programs with a model; `{trainer}` stands for the head of a class."""
    bodies = {name: textwrap.dedent(body) for name, body in rows.items()}
    return {n: MODEL + b.replace("{trainer}\n", TRAINER) for n, b in bodies.items()}


_LEAK = {
    "global_under_jax_jit": """
        @jax.jit
        def step(x):
            grads = nnx.grad(loss_fn)(model, x)
            optimizer.update(model, grads)
        step(x)
    """,
    "bound_form_of_the_optimizer": """
        bound = nnx.ModelAndOptimizer(model, optax.adam(1e-3))
        @jax.jit
        def step(x):
            grads = nnx.grad(loss_fn)(bound.model, x)
            bound.update(grads)
        step(x)
    """,
    "partial_decorator": """
        @functools.partial(jax.jit, static_argnames=("train",))
        def step(x, train=True):
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
        step(x)
    """,
    "partial_without_module_name": """
        from jax import jit
        @partial(jit, donate_argnums=())
        def step(x):
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
        step(x)
    """,
    "wrapped_under_its_own_name": """
        def step(x):
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
        step = jax.jit(step)
        step(x)
    """,
    "setattr": """
        @jax.jit
        def step(x):
            setattr(model.linear.kernel, "value", x)
        step(x)
    """,
    "closure_in_a_method": """
        {trainer}
                @jax.jit
                def update(x):
                    grads = nnx.grad(loss_fn)(self.model, x)
                    self.optimizer.update(self.model, grads)
                self.update = update
        Trainer(model).update(x)
    """,
    "method_with_static_self": """
        class Trainer:
            def __init__(self, model):
                self.model = model
                self.opt = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
            @partial(jax.jit, static_argnums=0)
            def update(self, x):
                self.opt.update(self.model, nnx.grad(loss_fn)(self.model, x))
        Trainer(model).update(x)
    """,
    "method_under_plain_jit": """
        {trainer}
            @jax.jit
            def update(self, x):
                self.optimizer.update(self.model, nnx.grad(loss_fn)(self.model, x))
        Trainer(model).update(x)
    """,
    "bound_method_under_jit": """
        {trainer}
                self.update = jax.jit(self._update)
            def _update(self, x):
                grads = nnx.grad(loss_fn)(self.model, x)
                self.optimizer.update(self.model, grads)
        Trainer(model).update(x)
    """,
    "optimizer_of_unknown_origin": """
        def make_step(model, optimizer):
            @nnx.jit
            def step(x):
                optimizer.update(model, nnx.grad(loss_fn)(model, x))
            return step
        make_step(model, optimizer)(x)
    """,
    "alias_inside": """
        {trainer}
            def update(self, x):
                @jax.jit
                def step(x):
                    optimizer = self.optimizer
                    optimizer.update(self.model, nnx.grad(loss_fn)(self.model, x))
                return step(x)
        Trainer(model).update(x)
    """,
    "metrics_in_a_loss": """
        metrics = nnx.metrics.Average("loss")
        @nnx.jit
        def step(model, x):
            def loss_and_log(model):
                loss = loss_fn(model, x)
                metrics.update(loss=loss)
                return loss
            return nnx.grad(loss_and_log)(model)
        step(model, x)
    """,
    "untyped_metrics_argument_in_a_loss": """
        @nnx.jit
        def step(model, metrics, x):
            def loss_and_log(model):
                loss = loss_fn(model, x)
                metrics.update(loss=loss)
                return loss
            return nnx.value_and_grad(loss_and_log)(model)
        step(model, nnx.metrics.Average("loss"), x)
    """,
    "metrics_argument_in_a_loss": """
        @nnx.jit
        def step(model, metrics: nnx.metrics.Average, x):
            @nnx.grad
            def gradient(model):
                metrics.update(loss=(loss := loss_fn(model, x)))
                return loss
            return gradient(model)
        step(model, nnx.metrics.Average("loss"), x)
    """,
    "variable_in_scan": """
        def body(carry, x):
            model.count.value += 1
            return carry, model(x)
        lax.scan(body, 0, x[None])
    """,
    "variable_in_nnx_scan": """
        def body(carry, x):
            model.count[...] = model.count[...] + 1
            return carry, model(x)
        nnx.scan(body)(0, x[None])
    """,
    "variable_in_vmap": """
        counter = nnx.Variable(jnp.array(0.0))
        def count(x):
            counter.value = counter.value + x.sum()
            return x
        jax.vmap(count)(x)
    """,
    "variable_in_jax_grad": """
        def loss(w):
            model.count.value = w
            return w ** 2
        jax.grad(loss)(1.0)
    """,
    "lambda_in_grad": """
        jax.grad(lambda x: model.sow(nnx.Intermediate, "mean", x.mean()) or x.sum())(x)
    """,
    "rngs_in_jit": """
        rngs = nnx.Rngs(0)
        @jax.jit
        def noisy(x):
            return x + jax.random.normal(rngs.noise(), x.shape)
        noisy(x)
    """,
    "rngs_of_a_new_model": """
        rngs = nnx.Rngs(params=0)
        @nnx.jit
        def create():
            return Net(rngs)
        create()
    """,
    "eval_mode_inside": """
        dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
        @nnx.jit
        def predict(x):
            dropout.eval()
            return dropout(x)
        predict(x)
    """,
    "update_of_the_state": """
        @jax.jit
        def load(bias):
            nnx.update(model, {"linear": {"bias": bias}})
        load(jnp.zeros(3))
    """,
    "helper_of_the_step": """
        def apply(grads):
            optimizer.update(model, grads)
        @jax.jit
        def step(x):
            apply(nnx.grad(loss_fn)(model, x))
        step(x)
    """,
    "helper_method_of_the_step": """
        {trainer}
            def _apply(self, grads):
                self.optimizer.update(self.model, grads)
            def fit(self, x):
                @jax.jit
                def step(x):
                    self._apply(nnx.grad(loss_fn)(self.model, x))
                step(x)
        Trainer(model).fit(x)
    """,
    "partial_with_the_optimizer": """
        def step(optimizer, x):
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
        jax.jit(partial(step, optimizer))(x)
    """,
    "default_argument": """
        @nnx.jit
        def step(x, opt=optimizer):
            opt.update(model, nnx.grad(loss_fn)(model, x))
        step(x)
    """,
    "names_alone": """
        from oakum import Optimizer, grad
        adam = Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
        @jax.jit
        def step(x):
            adam.update(model, grad(loss_fn)(model, x))
        step(x)
    """,
    "pmap": """
        def step(x):
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
        jax.pmap(step)(x[None])
    """,
    "while_loop": """
        def body(n):
            model.count.value = model.count.value + 1
            return n + 1
        jax.lax.while_loop(lambda n: n < 3, body, 0)
    """,
    "plain_class_under_nnx_jit": """
        {trainer}
            @nnx.jit
            def update(self, x):
                grads = nnx.grad(loss_fn)(self.model, x)
                self.optimizer.update(self.model, grads)
        Trainer(model).update(x)
    """,
    "branch_of_cond": """
        def grow(x):
            model.count.value = model.count.value + 1
            return x
        nnx.cond(x.sum() > 0, grow, lambda x: x, x)
    """,
    "body_of_fori_loop": """
        @nnx.jit
        def run(model, optimizer, x):
            def body(i, x):
                optimizer.update(model, nnx.grad(loss_fn)(model, x))
                return x
            return lax.fori_loop(0, 3, body, x)
        run(model, optimizer, x)
    """,
    "jit_called_by_name": """
        def counted(x):
            model.count.value += x.sum()
            return model(x)
        fast = jax.jit(counted)
        fast(x)
    """,
    "jit_over_vmap": """
        @jax.jit
        @jax.vmap
        def each(x):
            model.count.value = x.sum()
            return x
        each(x)
    """,
    "attribute_of_a_module": """
        @nnx.jit
        def step(x):
            model.last = model(x)
            return model.last
        step(x)
    """,
}
_STALE = {
    "lambda": """
        predict = jax.jit(lambda x: model(x))
        predict(x)
    """,
    "decorated": """
        @jax.jit
        def predict(x):
            return model(x).argmax(-1)
        predict(x)
    """,
    "trained_after_it_was_compiled": """
        def run(x):
            net = Net(nnx.Rngs(0))
            predict = jax.jit(lambda x: net(x))
            before = predict(x)
            net.linear.kernel[...] += 1.0
            return before - predict(x)
        run(x)
    """,
    "handed_to_a_trainer": """
        def fit(net):
            nnx.update(net, nnx.state(model))
        def run(x):
            net = Net(nnx.Rngs(0))
            predict = jax.jit(lambda x: net(x))
            before = predict(x)
            fit(net)
            return before - predict(x)
        run(x)
    """,
    "compiled_and_handed_out": """
        def make():
            net = Net(nnx.Rngs(0))
            @jax.jit
            def predict(x):
                return net(x)
            return predict
        make()(x)
    """,
    "optimized_under_a_local_name": """
        def run(x):
            net = Net(nnx.Rngs(0))
            tuner = nnx.Optimizer(net, optax.sgd(0.1))
            @jax.jit
            def predict(x):
                return net(x)
            before = predict(x)
            tuner.update(nnx.grad(loss_fn)(net, x))
            return before - predict(x)
        run(x)
    """,
    "model_itself": """
        predict = jax.jit(model)
        predict(x)
    """,
    "call_method": """
        predict = jax.jit(model.__call__)
        predict(x)
    """,
    "layer_of_a_model": """
        @jax.jit
        def embed(x):
            return model.linear(x)
        embed(x)
    """,
    "value_of_a_variable": """
        @jax.jit
        def project(x):
            return x @ model.linear.kernel.value
        project(x)
    """,
    "closure_in_init": """
        class Agent:
            def __init__(self, rngs):
                self.model = Net(rngs)
                self.act = jax.jit(lambda x: self.model(x))
        Agent(nnx.Rngs(0)).act(x)
    """,
    "bound_method": """
        class Agent:
            def __init__(self, rngs):
                self.model = Net(rngs)
                self.act = jax.jit(self._act)
            def _act(self, x):
                return self.model(x)
        Agent(nnx.Rngs(0)).act(x)
    """,
    "static_self": """
        class Agent:
            def __init__(self, rngs):
                self.model = Net(rngs)
            @partial(jax.jit, static_argnums=(0,))
            def act(self, x):
                return self.model(x)
        Agent(nnx.Rngs(0)).act(x)
    """,
    "partial_with_the_model": """
        def forward(model, x):
            return model(x)
        predict = jax.jit(partial(forward, model))
        predict(x)
    """,
    "passed_on": """
        @jax.jit
        def evaluate(x):
            return loss_fn(model, x)
        evaluate(x)
    """,
    "factory": """
        def make_predict(model):
            @jax.jit
            def predict(x):
                return model(x)
            return predict
        make_predict(model)(x)
    """,
    "bare_variable": """
        scale = nnx.Param(jnp.ones(3))
        rescale = jax.jit(lambda x: x * scale)
        rescale(x)
    """,
    "names_alone": """
        from oakum import Linear, Rngs
        head = Linear(3, 3, rngs=Rngs(0))
        @jax.jit
        def f(x):
            return head(x)
        f(x)
    """,
    "over_vmap": """
        predict = jax.jit(jax.vmap(lambda x: model(x)))
        predict(x)
    """,
    "gradient_of_a_captured_model": """
        @jax.jit
        def gradient(x):
            return jax.grad(lambda x: loss_fn(model, x))(x)
        gradient(x)
    """,
}
LOST = {
    "optimizer": """
        @jax.jit
        def step(model, optimizer, x):
            loss, grads = nnx.value_and_grad(loss_fn)(model, x)
            optimizer.update(model, grads)
            return loss
        step(model, optimizer, x)
    """,
    "partial_decorator": """
        @partial(jax.jit, static_argnames="train")
        def step(model, optimizer, x, *, train):
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
        step(model, optimizer, x, train=True)
    """,
    "call_by_name": """
        def train_step(model: nnx.Module, opt: nnx.Optimizer, x):
            opt.update(model, nnx.grad(loss_fn)(model, x))
        fast = jax.jit(train_step)
        fast(model, optimizer, x)
    """,
    "variable_of_a_model": """
        @jax.jit
        def tick(model: Net, x):
            model.count.value += 1
            return model(x)
        tick(model, x)
    """,
    "untyped_model": """
        @jax.jit
        def tick(model, x):
            model.count.value = model.count.value + 1
            return model(x)
        tick(model, x)
    """,
    "called_at_once": """
        def bump(counter, x):
            counter.count.value += 1
            return x
        jax.jit(bump)(model, x)
    """,
    "known_by_a_call_through_another_name": """
        def bump(counter, x):
            counter.count.value += 1
            return x
        fast = jax.jit(bump)
        fast(model, x)
    """,
    "method_of_a_module": """
        class Counter(nnx.Module):
            def __init__(self):
                self.count = nnx.Variable(jnp.array(0))
            @jax.jit
            def tick(self, x):
                self.count[...] += 1
                return x
        Counter().tick(x)
    """,
    "only_the_loss_and_the_model_come_back": """
        @jax.jit
        def step(model, optimizer, x):
            loss, grads = nnx.value_and_grad(loss_fn)(model, x)
            optimizer.update(model, grads)
            return model, loss
        model, loss = step(model, optimizer, x)
    """,
    "metrics_under_vmap": """
        def evaluate(metrics: nnx.metrics.Average, x):
            metrics.update(values=x)
            return x
        jax.vmap(evaluate, in_axes=(None, 0))(nnx.metrics.Average(), x)
    """,
    "rngs_argument": """
        @jax.jit
        def noise(rngs: nnx.Rngs, x):
            return x + jax.random.normal(rngs.noise(), x.shape)
        noise(nnx.Rngs(0), x)
    """,
}
_KEYS = {
    "two_draws": """
        key = jax.random.key(0)
        a = jax.random.normal(key, (3,))
        b = jax.random.uniform(key, (3,))
    """,
    "draw_after_split": """
        key = random.PRNGKey(0)
        k1, k2 = random.split(key)
        a = random.normal(key, (3,))
    """,
    "in_a_loop": """
        key = jax.random.key(0)
        for i in range(3):
            noise = jax.random.normal(key, (3,))
    """,
    "in_a_comprehension": """
        def make(key):
            return [jax.random.normal(key, (3,)) for _ in range(4)]
        make(jax.random.key(0))
    """,
    "element_of_keys": """
        keys = jax.random.split(jax.random.key(0), 3)
        w = jax.random.normal(keys[0], (3, 3))
        b = jax.random.normal(keys[0], (3,))
    """,
    "initializers": """
        key = jax.random.key(0)
        init = nnx.initializers.lecun_normal()
        w = init(key, (3, 3), jnp.float32)
        u = jax.nn.initializers.normal(0.1)(key, (3, 3), jnp.float32)
    """,
    "attribute": """
        class Sampler:
            def __init__(self):
                self.key = jax.random.key(0)
            def draw(self):
                return jax.random.normal(self.key), jax.random.uniform(self.key)
        Sampler().draw()
    """,
}
_COPIES = {
    "best_in_a_loop": """
        best, best_loss = None, np.inf
        for _ in range(3):
            loss, grads = nnx.value_and_grad(loss_fn)(model, x)
            if loss < best_loss:
                best_loss, best = loss, nnx.state(model)
            optimizer.update(model, grads)
        nnx.update(model, best)
    """,
    "best_params_of_split": """
        best_state = None
        for epoch in range(3):
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
            if epoch == 1:
                graphdef, best_state = nnx.split(model)
        nnx.update(model, best_state)
    """,
    "list_of_states": """
        history = []
        for _ in range(3):
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
            history.append(nnx.state(model, nnx.Param))
        print(history[0])
    """,
    "dict_of_states": """
        snapshots = {}
        for epoch in range(3):
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
            snapshots[epoch] = nnx.state(model)
        print(snapshots[0])
    """,
    "element_of_split": """
        best = None
        for epoch in range(3):
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
            if epoch == 1:
                best = nnx.split(model)[1]
        nnx.update(model, best)
    """,
    "before_a_step": """
        before = nnx.state(model, nnx.Param)
        optimizer.update(model, nnx.grad(loss_fn)(model, x))
        print(jax.tree.map(jnp.subtract, before, nnx.state(model, nnx.Param)))
    """,
    "attribute_of_a_trainer": """
        class Trainer:
            def __init__(self, rngs):
                self.model = Net(rngs)
                self.best_state = None
            def check(self, loss):
                if loss < 1:
                    self.best_state = nnx.state(self.model)
            def restore(self):
                nnx.update(self.model, self.best_state)
    """,
    "another_name_for_the_model": """
        best_model = None
        for _ in range(3):
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
            if best_model is None:
                best_model = model
        best_model(x)
    """,
    "target_network": """
        target_net = model
        optimizer.update(model, nnx.grad(loss_fn)(model, x))
        target_net(x)
    """,
}
_CLASSES = {
    "layer": """
        class Block:
            def __init__(self, rngs: nnx.Rngs):
                self.linear = nnx.Linear(3, 3, rngs=rngs)
            def __call__(self, x):
                return nnx.relu(self.linear(x))
    """,
    "list_of_layers": """
        class Stack:
            def __init__(self, depth, *, rngs):
                self.layers = [nnx.Linear(3, 3, rngs=rngs) for _ in range(depth)]
            def __call__(self, x):
                for layer in self.layers:
                    x = layer(x)
                return x
    """,
    "parameters": """
        class Scale:
            def __init__(self, size):
                self.scale = nnx.Param(jnp.ones(size))
            def __call__(self, x):
                return x * self.scale
    """,
    "derived_from_object": """
        class Head(object):
            def __init__(self, rngs):
                self.net = Net(rngs)
            def __call__(self, x):
                return self.net(x).mean(-1)
    """,
}
_LISTS = {
    "local_list": """
        class Stack(nnx.Module):
            def __init__(self, rngs):
                blocks = []
                self.blocks = blocks
                blocks.extend([nnx.Linear(3, 3, rngs=rngs)])
        Stack(nnx.Rngs(0))
    """,
    "local_dict": """
        class Heads(nnx.Module):
            def __init__(self, names, rngs):
                heads = {}
                self.heads = heads
                for name in names:
                    heads[name] = nnx.Linear(3, 3, rngs=rngs)
        Heads(["a"], nnx.Rngs(0))
    """,
}
_SAVING = {
    "nnx_save": """
        @nnx.jit
        def step(model, x):
            nnx.save("model.safetensors", model=model)
            return model(x)
        step(model, x)
    """,
    "pickle": """
        @jax.jit
        def step(model, x):
            with open("model.pickle", "wb") as file:
                pickle.dump(nnx.state(model), file)
            return model(x)
        step(model, x)
    """,
    "numpy_in_a_loss": """
        def loss(model, x):
            y = model(x)
            np.save("y.npy", y)
            return y.mean()
        nnx.grad(loss)(model, x)
    """,
    "helper": """
        from oakum import save
        def keep(model):
            save("model.safetensors", model=model)
        @nnx.jit
        def step(model, x):
            keep(model)
        step(model, x)
    """,
}
_FLAX = {
    "OAK007 alias_of_the_attribute": """
        class Stack(nnx.Module):
            def __init__(self, rngs):
                self.layers = []
                layers = self.layers
                for _ in range(2):
                    layers.append(nnx.Linear(3, 3, rngs=rngs))
        Stack(nnx.Rngs(0))
    """,
}
_GROUPS = {
    "OAK001": after_model(_LEAK),
    "OAK002": after_model(_STALE),
    "OAK003": after_model(LOST),
    "OAK004": _KEYS,
    "OAK005": after_model(_COPIES),
    "OAK006": _CLASSES,
    "OAK007": _LISTS,
    "OAK008": after_model(_SAVING),
}
WRONG = {
    f"{code} {name}": body
    for code, rows in _GROUPS.items()
    for name, body in rows.items()
}
WRONG_UNDER_FLAX = _FLAX
