"""Training in several processes (row L19): two and three real ones, over gloo, on the CPU.

`ranks.py` runs in each of them and writes what it found; the tests compare.
"""

import math
import sys
from pathlib import Path

import lehr
import pytest
import ranks
import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, GradientAccumulationPlugin
from ranks import TRAININGS, learner, loaders, points

sys.path.insert(0, str(Path(__file__).parent / "reference"))
from together import together

# Seconds after which two processes are taken to wait for each other in vain.
PATIENCE = 240


def run(folder, size, *scenarios):
    """Run scenarios in several processes; return what each found."""
    command = [sys.executable, str(Path(__file__).with_name("ranks.py")), str(folder), *scenarios]
    ended = together(command, size, PATIENCE)
    assert not any(code for code, _, _ in ended), "\n".join(err for _, _, err in ended)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(size)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that holds a checkpoint of a single process."""
    folder = tmp_path_factory.mktemp("ranks")
    learn = ranks.cut_learner(None, folder / "resumed" / "alone")
    learn.fit(1, cbs=lehr.CheckpointCallback())
    return folder


@pytest.fixture(scope="module")
def pair(folder):
    return run(folder, 2)


@pytest.fixture(scope="module")
def trio(tmp_path_factory):
    return run(tmp_path_factory.mktemp("trio"), 3, "resumed", "batches")


def of(pair, scenario):
    return [found[scenario] for found in pair]


def close(got, expected, rel=1e-9):
    """Whether numbers, tensors, lists or dictionaries of them are as expected."""
    if isinstance(expected, dict):
        return got.keys() == expected.keys() and all(
            close(got[key], expected[key], rel) for key in expected
        )
    if isinstance(expected, torch.Tensor):
        return torch.allclose(got, expected, rtol=rel, atol=1e-12)
    if isinstance(expected, (list, tuple)):
        return len(got) == len(expected) and all(
            close(a, b, rel) for a, b in zip(got, expected, strict=True)
        )
    if isinstance(expected, str) or isinstance(got, str):
        return True  # the time
    return got == pytest.approx(expected, rel=rel, abs=1e-12, nan_ok=True)


# Training.


@pytest.mark.parametrize("training", TRAININGS[:-1], ids=lambda one: one.__name__)
def test_training_in_two_processes_is_that_of_one_with_batches_twice_as_large(pair, training):
    first, second = of(pair, training.__name__)
    alone = training(learner, 16)
    # Rates and all that is scheduled: to the last bit.
    assert first["lrs"] == second["lrs"] == alone["lrs"]
    assert first["hps"] == second["hps"] == alone["hps"]
    assert first["steps"] == second["steps"] == alone["steps"]
    for name in ("params", "state", "hypers"):
        assert first["state"][name] == second["state"][name]
    assert close(first["params"], alone["params"])
    # The epochs' rows: losses and metrics of all samples.
    assert [row[:3] for row in first["values"]] == [row[:3] for row in second["values"]]
    assert close([row[:3] for row in first["values"]], [row[:3] for row in alone["values"]])
    assert close(first.get("validated", 0), alone.get("validated", 0))
    # Each process has its own batches.
    assert first["losses"] != second["losses"]
    means = [(a + b) / 2 for a, b in zip(first["losses"], second["losses"], strict=True)]
    assert close(means, alone["losses"])


def test_half_precision_goes_with_several_processes(pair):
    first, second = of(pair, "precise")
    assert first["state"]["params"] == second["state"]["params"]
    assert first["values"][-1][0] < first["values"][0][0]


def test_models_that_begin_unlike_train_as_the_main_process_s(pair):
    first, second = of(pair, "beginnings")
    learn = learner(loaders(16))
    assert close(first["validated"], learn.validate())
    learn.fit(1)
    assert first["validated"] == second["validated"]
    assert first["state"]["params"] == second["state"]["params"]
    assert close(first["params"], ranks.found(learn)["params"])


def test_nothing_of_the_wrapper_is_left_after_a_fit(pair):
    for found in of(pair, "released"):
        assert found["freed"]
        assert found["models"] == found["ddp"] == 0
        assert found["plain"] is torch.nn.Sequential
        assert found["keys"] == list(ranks.plain_net().state_dict())


# Batches.


def inputs(count, number=0):
    return points(count, number).tensors[0][:, 0].tolist()


def dealt(many, name, epoch="first", scenario="batches"):
    """The batches of all processes in the order of the whole."""
    every = of(many, scenario)
    if name is not None:
        every = [found[name] for found in every]
    assert {found["n_iter"] for found in every} == {len(every[0][epoch])}
    turns = zip(*(found[epoch] for found in every), strict=True)
    return [batch for turn in turns for batch in turn]


def test_training_batches_are_dealt_out_and_filled_from_the_beginning(pair, trio):
    x = inputs(90)
    for many, filled in ((pair, x + x[:6]), (trio, x + x[:6])):
        batches = dealt(many, "filled")
        assert [one for batch in batches for one in batch] == filled
        assert {len(batch) for batch in batches} == {8}


def test_an_incomplete_round_is_dropped_with_drop_last(pair, trio):
    # 11 full batches.
    for many, left in ((pair, 80), (trio, 72)):
        batches = dealt(many, "dropped")
        assert [one for batch in batches for one in batch] == inputs(90)[:left]


def test_fewer_samples_than_a_batch_go_round(pair, trio):
    x = inputs(5)
    for many, count in ((pair, 16), (trio, 24)):
        batches = dealt(many, "few")
        assert [one for batch in batches for one in batch] == (x * 5)[:count]


@pytest.mark.parametrize("name", ["shuffled", "workers"])
def test_an_order_at_random_is_the_main_process_s(pair, name):
    first = [one for batch in dealt(pair, name) for one in batch]
    second = [one for batch in dealt(pair, name, "second") for one in batch]
    assert sorted(first[:90]) == sorted(second[:90]) == sorted(inputs(90))
    assert first != second
    # As in one process that has drawn the same.
    note = ranks.Note()
    learn = learner(loaders(train=90, shuffle=True), metrics=[ranks.Keep()])
    ranks.seed(100)
    learn.fit(1, cbs=note)
    assert [one for batch in note.seen for one in batch] == first[:90]


def test_every_sample_is_validated_once(pair, trio):
    samples = {"filled": 90, "dropped": 88, "shuffled": 90, "workers": 90, "few": 5}
    for name, count in samples.items():
        for found in [*of(pair, "batches"), *of(trio, "batches")]:
            valid = 5 if name == "few" else 37
            assert sorted(found[name]["valid"]) == sorted(inputs(valid, 1))
            assert found[name]["only"] == valid
            assert found[name]["train"] == found[name]["share"] == count
            # A list of one batch: the other process has none.
            assert found[name]["other"] == 8


@pytest.mark.parametrize("name", ["plain", "workers"])
def test_one_process_may_look_at_its_loaders_alone(pair, name):
    first, second = (found[name] for found in of(pair, "looked"))
    # Its share, of an order of its own.
    assert (first["count"], second["count"]) == (48, 0)
    batches = dealt(pair, name, scenario="looked")
    assert sorted(one for batch in batches for one in batch) == sorted(inputs(96))


def test_batches_of_indices_may_be_generators(pair):
    batches = dealt(pair, None, scenario="lazy")
    assert [one for batch in batches for one in batch] == inputs(40) + inputs(40)[:8]
    for found in of(pair, "lazy"):
        assert sorted(found["valid"]) == sorted(inputs(40, 1))


def test_what_the_main_process_cannot_send_is_an_error_of_all(pair):
    first, second = of(pair, "unsendable")
    assert first == second == ("TypeError", "cannot pickle 'generator' object")


# The finder.


def test_a_sweep_s_losses_are_means_over_the_processes(pair):
    first, second = of(pair, "swept")
    assert first == second
    assert len(first["losses"]) > 20
    alone = ranks.swept(learner, 16)
    assert first["lrs"] == alone["lrs"]
    assert first["stop"] == alone["stop"]
    assert close(first["losses"], alone["losses"], rel=1e-6)
    assert first["suggestions"] == alone["suggestions"]


@pytest.mark.parametrize("name", ["ended", "raised"])
def test_a_sweep_puts_everything_back_in_every_process(pair, name):
    first, second = (found[name] for found in of(pair, "restored"))
    for found in (first, second):
        assert found["before"] == found["after"]
        assert found["error"] == (None if name == "ended" else "ZeroDivisionError")
    # Each had its own.
    before = [found["before"][0] for found in (first, second)]
    assert before[0]["params"] == before[1]["params"]
    for what in ("buffers", "grads", "torch", "python", "numpy"):
        assert before[0][what] != before[1][what]
    assert first["sweep"] == second["sweep"]
    assert len(first["sweep"][0]) == (7 if name == "raised" else len(first["sweep"][1]))
    assert first["state"] == second["state"]


@pytest.mark.parametrize("name", ["training", "validation"])
def test_a_plain_sweep_s_losses_are_means_and_every_process_stops_with_the_others(pair, name):
    first, second = (found[name] for found in of(pair, "plain_swept"))
    losses, stop = first["curve"]
    assert first["curve"] == second["curve"]
    assert stop == "diverged"
    means = [(a + b) / 2 for a, b in zip(first["own"], second["own"], strict=True)]
    assert losses == means
    assert first["own"] != second["own"]
    assert first["restored"]
    assert second["restored"]


# One decision.


def test_a_loss_that_is_no_number_ends_the_fit_and_the_sweep_of_all(pair):
    first, second = of(pair, "not_a_number")
    assert first == second == {"fit": (4, 0), "sweep": (22, "non-finite")}


def test_trackers_decide_alike_and_the_main_process_alone_writes(pair):
    first, second = of(pair, "decisions")
    assert first["lrs"] == second["lrs"]
    assert len(set(first["lrs"])) > 1
    assert first["epochs"] == second["epochs"] < 12
    assert first["values"] == second["values"]
    assert first["files"] == ["history.csv", "models/model.pth"]
    assert second["files"] == []
    assert second["text"] == ""
    lines = first["text"].splitlines()
    assert sum("reducing lr" in line for line in lines) >= 1
    assert sum("early stopping" in line for line in lines) == 1
    assert len([line for line in lines if "0." in line and "lr" not in line]) == first["epochs"]


def test_what_is_saved_is_loaded_in_every_process(pair):
    first, second = of(pair, "saved")
    for found in (first, second):
        assert all(map(torch.equal, found["back"], found["best"]["params"]))
    assert first["best"]["state"]["params"] == second["best"]["state"]["params"]
    # Where the main process cannot write, all know.
    assert first["error"] == second["error"]
    assert first["error"][0] in ("FileExistsError", "NotADirectoryError")


# Resuming.


@pytest.mark.parametrize("method", ["fit_one_cycle", "fine_tune"])
@pytest.mark.parametrize("batch", [3, 6, 10, 11])
@pytest.mark.parametrize("many", ["pair", "trio"])
def test_a_training_that_is_cut_ends_with_the_same_bits_in_every_process(
    many, method, batch, request
):
    every = of(request.getfixturevalue(many), "resumed")
    for found in every:
        whole, again = found[method, "whole"], found[method, batch]
        for name in whole["state"]:
            assert again["state"][name] == whole["state"][name], name
        for name in ("lrs", "hps", "losses", "values", "steps"):
            assert again[name] == whole[name]
    first, second = (found[method, batch]["state"] for found in every[:2])
    assert first["params"] == second["params"]
    assert first["torch"] != second["torch"]


def test_a_checkpoint_of_another_number_of_processes_is_refused(pair, folder):
    for found in of(pair, "resumed"):
        kind, message = found["alone"]
        assert kind == "ValueError"
        assert "one process: it goes on in as many, got 2 processes" in message
    learn = ranks.cut_learner(None, folder / "resumed")
    before = [param.detach().clone() for param in learn.model.parameters()]
    with pytest.raises(ValueError, match="2 processes: it goes on in as many, got one process"):
        learn.resume("fit_one_cycle-3", cbs=lehr.CheckpointCallback(folder="fit_one_cycle-3"))
    assert all(map(torch.equal, learn.model.parameters(), before))


def test_an_error_of_one_process_when_resuming_is_one_of_all(pair):
    first, second = of(pair, "resumed")
    assert first["none"] == second["none"]
    assert first["none"][0] == "FileNotFoundError"
    assert first["foreign"] == second["foreign"]
    assert "holds checkpoints of another training" in first["foreign"][1]
    assert first["unlike"][0] == "RuntimeError"
    assert first["unlike"][1].startswith("process 1 raised ValueError: `unlike` takes part in")
    assert second["unlike"][0] == "ValueError"


# Refusals.


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("metric", "TypeError", "`figure` has none"),
        ("stream", "TypeError", "got DataLoader"),
        ("prepared", "TypeError", "got DataLoaderShard"),
        ("sampler", "TypeError", "got DistributedSampler"),
        ("generator", "TypeError", "got Stream"),
        ("device", "ValueError", "`dls` must be for cpu, as the accelerator is, got meta"),
        ("params", "ValueError", "got 1 others: make them part of the model"),
        ("empty", "ValueError", "at least one batch"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(pair, name, kind, words):
    first, second = (found[name] for found in of(pair, "refused"))
    assert first == second
    assert first[0] == kind
    assert words in first[1]


@pytest.mark.parametrize("accelerator", [Accelerator, "cuda", torch.device("cpu"), 2])
def test_what_is_no_accelerator_is_refused(accelerator):
    with pytest.raises(TypeError, match="`accelerator` must be an accelerate.Accelerator or None"):
        learner(accelerator=accelerator)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"mixed_precision": "bf16"}, "MixedPrecision"),
        ({"gradient_accumulation_steps": 2}, r"GradientAccumulation\(\)"),
        (
            {"gradient_accumulation_plugin": GradientAccumulationPlugin(num_steps=2)},
            r"GradientAccumulation\(\)",
        ),
        ({"dataloader_config": DataLoaderConfiguration(split_batches=True)}, "split_batches"),
        ({"dataloader_config": DataLoaderConfiguration(dispatch_batches=True)}, "dispatch"),
        ({"dataloader_config": DataLoaderConfiguration(even_batches=False)}, "even_batches"),
        ({"dynamo_backend": "eager"}, "compiled"),
    ],
)
def test_settings_that_would_not_be_followed_are_refused(kwargs, words, fresh_state):
    with pytest.raises(ValueError, match=words):
        learner(accelerator=Accelerator(cpu=True, **kwargs))


@pytest.fixture
def fresh_state():
    """Accelerators of a process share their settings."""
    from accelerate.state import AcceleratorState, GradientState, PartialState

    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()
    yield
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


def test_an_accelerator_of_one_process_changes_no_bit(fresh_state, tmp_path):
    ends = []
    for accelerator in (None, Accelerator(cpu=True)):
        dls = loaders(shuffle=True)
        learn = learner(dls, ranks.noisy_net, torch.optim.AdamW, accelerator=accelerator)
        learn.path = tmp_path
        assert learn.dls is dls
        suggestions = learn.lr_find(show_plot=False)
        learn.fit_one_cycle(2, cbs=[lehr.TerminateOnNaNCallback(), lehr.GradientAccumulation(16)])
        learn.save("model")
        found = ranks.found(learn) | {"suggestions": list(suggestions)}
        found["values"] = [row[:3] for row in found["values"]]
        del found["params"], found["state"]["ids"], found["state"]["buffer ids"]
        ends.append(found)
    assert ends[0] == ends[1]
    assert math.isfinite(ends[0]["suggestions"][0])
