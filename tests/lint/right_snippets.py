"""Programs near to the wrong ones, of which nothing is to be said."""

from __future__ import annotations

from tests.lint.snippets import LOST, after_model

_COUNTER = LOST["method_of_a_module"]
_WITH_MODEL = {
    # Two of the wrong ones, each with a word put right.
    "step_with_arguments": LOST["optimizer"].replace("jax.jit", "nnx.jit"),
    "method_of_a_module_that_is_handed_back": _COUNTER.replace(
        "return x", "return self"
    ),
    "captured_model_under_nnx_jit": """
        predict = nnx.jit(lambda x: model(x))
        predict(x)
    """,
    "name_of_a_function_that_is_bound_anew": """
        def step(x):
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
        step(x)
        step = jax.jit(lambda x: x + 1)
        step(x)
    """,
    "model_as_an_argument_of_jax_jit": """
        predict = jax.jit(lambda model, x: model(x))
        predict(model, x)
    """,
    "compiled_once_and_dropped": """
        cost = jax.jit(lambda model, x: model(x)).lower(model, x).compile()
    """,
    "optimizer_handed_back": """
        @jax.jit
        def step(model, optimizer, x):
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
            return model, optimizer
        model, optimizer = step(model, optimizer, x)
    """,
    "state_handed_back": """
        @jax.jit
        def step(graphdef, state, x):
            model, optimizer = nnx.merge(graphdef, state)
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
            return nnx.state((model, optimizer))
        graphdef, state = nnx.split((model, optimizer))
        state = step(graphdef, state, x)
    """,
    "state_named_and_handed_back": """
        @jax.jit
        def tick(model: Net, x):
            model.count.value += 1
            graphdef, state = nnx.split(model)
            return model(x), state
        y, state = tick(model, x)
        nnx.update(model, state)
    """,
    "eager_method_around_a_step": """
        {trainer}
            def update(self, x):
                gradient = nnx.jit(lambda model, x: nnx.grad(loss_fn)(model, x))
                self.optimizer.update(self.model, gradient(self.model, x))
        Trainer(model).update(x)
    """,
    "bound_method_of_a_module": """
        class Learner(nnx.Module):
            def __init__(self, model):
                self.model = model
                self.optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
            @nnx.jit
            def update(self, x):
                self.optimizer.update(self.model, nnx.grad(loss_fn)(self.model, x))
        Learner(model).update(x)
    """,
    "update_of_a_dict": """
        settings = {"rate": 1}
        @jax.jit
        def f(x):
            logs = {}
            logs.update(mean=x.mean())
            settings.update(rate=2)
            return logs
        f(x)
    """,
    "update_of_a_set_of_names": """
        seen = set()
        @nnx.jit
        def f(model, x):
            seen.update(["f"])
            return model(x)
        f(model, x)
    """,
    "optax_without_nnx": """
        params = {"w": jnp.ones(3)}
        tx = optax.adam(1e-3)
        opt_state = tx.init(params)
        @jax.jit
        def step(params, opt_state):
            grads = jax.grad(lambda p: (p["w"] ** 2).sum())(params)
            updates, opt_state = tx.update(grads, opt_state, params)
            return optax.apply_updates(params, updates), opt_state
        step(params, opt_state)
    """,
    "optax_optimizer_by_that_name": """
        optimizer = optax.sgd(0.1)
        params = jnp.ones(3)
        opt_state = optimizer.init(params)
        @jax.jit
        def step(params, opt_state):
            grads = jax.grad(lambda p: (p ** 2).sum())(params)
            updates, opt_state = optimizer.update(grads, opt_state)
            return optax.apply_updates(params, updates), opt_state
        step(params, opt_state)
    """,
    "made_inside": """
        @nnx.jit
        def create():
            model = Net(nnx.Rngs(0))
            model.count.value = jnp.array(1.0)
            return model
        create()
    """,
    "made_inside_a_scan": """
        def body(carry, x):
            rngs = nnx.Rngs(0)
            return carry, x + jax.random.normal(rngs.noise(), x.shape)
        lax.scan(body, 0, x[None])
    """,
    "abstract_model": """
        abstract = nnx.eval_shape(lambda: Net(nnx.Rngs(0)))
    """,
    "scan_inside_of_a_step": """
        @nnx.jit
        def rollout(model, x):
            def body(carry, _):
                return model(carry), None
            return jax.lax.scan(body, x, None, length=3)[0]
        rollout(model, x)
    """,
    "jit_inside_of_a_step": """
        @nnx.jit
        def outer(model, x):
            inner = jax.jit(lambda x: model(x))
            return inner(x)
        outer(model, x)
    """,
    "static_parts_of_a_captured_model": """
        @jax.jit
        def f(x):
            return x * model.linear.in_features
        f(x)
    """,
    "structure_of_a_captured_model": """
        @jax.jit
        def f(state, x):
            graphdef = nnx.graphdef(model)
            return nnx.merge(graphdef, state)(x)
        f(nnx.state(model), x)
    """,
    "captured_model_that_nothing_changes": """
        def check(x):
            net = Net(nnx.Rngs(0))
            nnx.update(net, nnx.state(model))
            @jax.jit
            def forward(x):
                return net(x)
            assert jnp.allclose(forward(x), net(x))
        check(x)
    """,
    "lambda_over_a_model_that_nothing_changes": """
        def check(x):
            net = Net(nnx.Rngs(0))
            forward = jax.jit(lambda x: net(x))
            return jax.grad(lambda x: forward(x).sum())(x)
        check(x)
    """,
    "popped_from_the_copy": """
        @jax.jit
        def f(model: Net, x):
            y = model(x)
            nnx.pop(model, nnx.Intermediate)
            return y
        f(model, x)
    """,
    "mode_of_the_copy": """
        @jax.jit
        def f(model: Net, x):
            model.eval()
            return model(x)
        f(model, x)
    """,
    "surgery_between_state_and_update": """
        class Editor:
            def __init__(self, model):
                self.model = nnx.clone(model)
            def swap(self, layer):
                original_state = nnx.state(self.model)
                self.model.linear = layer
                nnx.update(self.model, original_state)
        Editor(model).swap(nnx.Linear(3, 3, rngs=nnx.Rngs(1)))
    """,
    "gradient_at_the_top_level": """
        grads = jax.grad(lambda x: model(x).sum())(x)
    """,
    "metrics_outside_of_the_loss": """
        @nnx.jit
        def step(model, metrics, x):
            loss, grads = nnx.value_and_grad(loss_fn)(model, x)
            metrics.update(loss=loss)
        step(model, nnx.metrics.Average("loss"), x)
    """,
    "save_after_the_step": """
        @nnx.jit
        def step(model, x):
            return model(x)
        step(model, x)
        pickle.dumps(nnx.state(model))
    """,
    "save_in_a_callback": """
        @jax.jit
        def step(x):
            jax.debug.callback(lambda x: pickle.dumps(np.asarray(x)), x)
            return x
        step(x)
    """,
    "state_as_a_copy": """
        best = None
        for _ in range(3):
            if best is None:
                best = nnx.clone(nnx.state(model))
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
        nnx.update(model, best)
    """,
    "list_of_copies": """
        history, models = [], []
        for seed in range(3):
            optimizer.update(model, nnx.grad(loss_fn)(model, x))
            history.append(nnx.to_pure_dict(nnx.state(model)))
            other = Net(nnx.Rngs(seed))
            models.append(nnx.state(other))
    """,
    "state_mapped": """
        before = jax.tree.map(jnp.copy, nnx.state(model, nnx.Param))
        optimizer.update(model, nnx.grad(loss_fn)(model, x))
        print(before)
    """,
    "state_sharded_and_put_back": """
        state = nnx.state(model)
        sharded = jax.device_put(state, jax.devices()[0])
        nnx.update(model, sharded)
    """,
    "state_replaced_in_place": """
        state = nnx.state(model)
        pure = nnx.to_pure_dict(state)
        nnx.replace_by_pure_dict(state, pure)
        nnx.update(model, state)
    """,
    "best_of_several_models": """
        best_state, best_loss = None, np.inf
        for seed in range(2):
            candidate = Net(nnx.Rngs(seed))
            if loss_fn(candidate, x) < best_loss:
                best_loss, best_state = loss_fn(candidate, x), nnx.state(candidate)
        print(best_state)
    """,
    "target_network_cloned": """
        target_net = nnx.clone(model)
        optimizer.update(model, nnx.grad(loss_fn)(model, x))
        target_net(x)
    """,
    "state_for_a_carry": """
        graphdef, init_state = nnx.split(model)
        def body(state, x):
            return state, nnx.merge(graphdef, state)(x)
        lax.scan(body, init_state, x[None])
    """,
    "jit_in_a_method_of_a_module": """
        class Wrapped(nnx.Module):
            def __init__(self, model):
                self.model = model
            def __call__(self, x):
                return jax.jit(lambda model, x: model(x))(self.model, x)
            def inner(self, x):
                def body(x):
                    return self.model(x)
                return jax.checkpoint(body)(x)
        Wrapped(model)(x)
    """,
    "alias_without_training": """
        old = model
        new = nnx.clone(model)
        old(x), new(x)
    """,
    "streams_of_several_models": """
        @nnx.split_rngs(splits=2)
        @nnx.vmap(in_axes=(0,), out_axes=0)
        def create(rngs):
            return Net(rngs)
        create(nnx.Rngs(0))
    """,
    "model_of_each_key": """
        @jax.vmap
        def create(key):
            return nnx.state(Net(nnx.Rngs(key)))
        create(jax.random.split(jax.random.key(0), 2))
    """,
    "excused": """
        predict = jax.jit(lambda x: model(x))  # noqa: OAK002
        fixed = jax.jit(lambda x: model(x))  # noqa
        other = jax.jit(lambda x: model(x))  # noqa: E501, OAK002
    """,
}
_ALONE = {
    "keys_renewed": """
        key = jax.random.key(0)
        for _ in range(3):
            key, subkey = jax.random.split(key)
            noise = jax.random.normal(subkey, (3,))
    """,
    "keys_in_branches": """
        def sample(key, kind):
            if kind == "normal":
                return jax.random.normal(key)
            elif kind == "uniform":
                return jax.random.uniform(key)
            return jax.random.bernoulli(key)
        sample(jax.random.key(0), "normal")
    """,
    "keys_in_an_if_expression": """
        def sample(key, gaussian):
            return random.normal(key) if gaussian else random.uniform(key)
        sample(random.key(0), True)
    """,
    "one_key_for_constants": """
        key = jax.random.key(0)
        bias = nnx.initializers.zeros_init()(key, (3,), jnp.float32)
        scale = nnx.initializers.ones_init()(key, (3,), jnp.float32)
        kernel = nnx.initializers.normal()(key, (3, 3), jnp.float32)
    """,
    "keys_folded": """
        key = jax.random.key(0)
        for i in range(3):
            noise = jax.random.normal(jax.random.fold_in(key, i), (3,))
    """,
    "keys_of_an_array": """
        keys = jax.random.split(jax.random.key(0), 3)
        draws = [jax.random.normal(key, (3,)) for key in keys]
        others = [jax.random.normal(keys[i], (3,)) for i in range(3)]
    """,
    "inputs_and_labels_in_one_order": """
        key = jax.random.key(0)
        inputs = jax.random.permutation(key, jnp.arange(3))
        labels = jax.random.permutation(key, jnp.arange(3))
    """,
    "keys_after_an_exception": """
        def sample(key):
            try:
                return jax.random.normal(key)
            except TypeError:
                return jax.random.uniform(key)
        sample(jax.random.key(0))
    """,
    "keys_of_a_while_loop": """
        key, n = jax.random.key(0), 0
        while n < 2:
            key, a, b = jax.random.split(key, 3)
            n += 1
            x = jax.random.normal(a) + jax.random.normal(b)
    """,
    "keys_of_a_stream": """
        rngs = nnx.Rngs(0)
        a = jax.random.normal(rngs.noise(), (3,))
        b = jax.random.normal(rngs.noise(), (3,))
    """,
    "key_of_an_attribute_renewed": """
        class Sampler:
            def __init__(self):
                self.key = jax.random.key(0)
            def next_key(self):
                self.key, subkey = jax.random.split(self.key)
                return subkey
            def draw(self):
                a = jax.random.normal(self.next_key())
                return a, jax.random.uniform(self.next_key())
        Sampler().draw()
    """,
    "trainer_that_is_called": """
        class Trainer:
            def __init__(self, rngs):
                self.policy = Net(rngs)
                tx = optax.sgd(0.1)
                self.optimizer = nnx.Optimizer(self.policy, tx, wrt=nnx.Param)
            def __call__(self, x):
                return self.policy(x)
            def fit(self, x):
                return loss_fn(self.policy, x)
        trainer = Trainer(nnx.Rngs(0))
        trainer(x), trainer.fit(x)
    """,
    "linen_model_beside_nnx": """
        from flax import linen
        class Tower:
            def make(self):
                return linen.Dense(3)
        def run(x, rngs):
            tower = Tower.make(rngs=rngs) if rngs else Tower().make()
            variables = tower.init(jax.random.key(0), x)
            return jax.jit(lambda v, x: tower.apply(v, x))(variables, x)
    """,
    "wrapper_that_is_called": """
        class Scheduled:
            def __init__(self, model):
                self.model = model
            def __call__(self, x):
                return self.model(x)
        Scheduled(Net(nnx.Rngs(0)))(x)
    """,
    "list_filled_first": """
        class Stack(nnx.Module):
            def __init__(self, rngs):
                layers = []
                for _ in range(2):
                    layers.append(nnx.Linear(3, 3, rngs=rngs))
                self.layers = layers
        assert nnx.state(Stack(nnx.Rngs(0)))
    """,
    "list_filled_by_its_attribute": """
        class Stack(nnx.Module):
            def __init__(self, rngs):
                self.layers = []
                self.names = names = []
                for i in range(2):
                    self.layers.append(nnx.Linear(3, 3, rngs=rngs))
                    names.append(str(i))
        assert nnx.state(Stack(nnx.Rngs(0)))
    """,
}
RIGHT = {**after_model(_WITH_MODEL), **_ALONE}
