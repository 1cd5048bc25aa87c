"""Every recipe of the pages about hosts runs, each by itself after what all of them share."""

import re
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[2] / "docs"


def blocks(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def recipes():
    for page in ("hosts.md", "sweeping.md", "export.md"):
        text = (DOCS / page).read_text()
        shared, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
        for section in sections:
            if blocks(section):
                name = f"{page}: {section.splitlines()[0]}"
                yield pytest.param(page, blocks(shared) + blocks(section), id=name)


@pytest.fixture(autouse=True)
def settings_of_keras(tmp_path, monkeypatch):
    """Keras keeps its settings in the home folder otherwise; a recipe sets its backend."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "jax")


@pytest.mark.parametrize(("page", "code"), recipes())
def test_a_recipe_runs(page, code):
    names = {"__name__": "recipe"}
    for block in code:
        exec(compile(block, page, "exec"), names)


def test_a_compiled_fit_of_keras_takes_the_rates_of_its_table():
    [code] = [p.values[1] for p in recipes() if p.id == "export.md: Keras"]
    names = {"__name__": "recipe"}
    for block in code:
        if "model.fit" not in block:
            exec(compile(block, "export.md", "exec"), names)
    keras, f, steps = names["keras"], names["f"], names["steps"]
    weights = []

    class Weight(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            weights.append(float(self.model.get_weights()[0].item()))

    # The mean of w x has the gradient 1 where x is 1, so that each step takes off its rate.
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.zeros((1, 1))])
    loss = lambda target, output: keras.ops.mean(output)
    model.compile(keras.optimizers.SGD(names["Rate"](f, steps)), loss=loss, jit_compile=True)
    ones = np.ones((2 * steps, 1))
    model.fit(ones, ones, batch_size=1, verbose=0, callbacks=[Weight()])
    expected = -np.cumsum(np.append(f.values(steps), [f(1)] * steps))
    np.testing.assert_allclose(weights, expected, rtol=2 * steps * 2.0**-24)
