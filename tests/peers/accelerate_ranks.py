"""One of several processes that train with Accelerate, for test_accelerate.py.

    RANK=0 WORLD_SIZE=2 MASTER_ADDR=... MASTER_PORT=... python accelerate_ranks.py FOLDER

Writes what every run found to FOLDER/RANK.pt.
"""

import sys
import warnings
from pathlib import Path

import lehr
import torch
from accelerate import Accelerator
from runs import BATCH, SCHEDULES, data, net, sgd, watch, weights
from torch import nn
from torch.utils.data import DataLoader

EPOCHS, BATCHES = 2, 6
# What `runs` trains with; a batch of the whole is one of each process.
KINDS = {
    "counted": {"count": "optimizer"},
    "counted, accumulated": {"count": "optimizer", "accumulate": 2},
    "counted, made last": {"count": "optimizer", "prepared": "last"},
    "called": {"prepared": False},
    "called, accumulated": {"prepared": False, "accumulate": 2},
    "prepared": {},
}


def steps(accumulate=1, **_):
    return EPOCHS * BATCHES // accumulate


def run(folder, *, count="calls", prepared="together", accumulate=1, save=False, cut=None):
    """Train; save after every batch; or go on behind the `cut`th batch of the saved."""
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
    torch.manual_seed(accelerator.process_index)
    model = net()
    optimizer = sgd(model.parameters())
    seen = watch(optimizer)
    loader = DataLoader(data(BATCHES * accelerator.num_processes), batch_size=BATCH)

    def scheduler_of(optimizer):
        return lehr.Scheduler(optimizer, SCHEDULES, steps(accumulate), count=count)

    if prepared == "together":
        model, optimizer, loader, scheduler = accelerator.prepare(
            model, optimizer, loader, scheduler_of(optimizer)
        )
    else:
        model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
        scheduler = scheduler_of(optimizer)
        if prepared:
            scheduler = accelerator.prepare(scheduler)
        else:
            accelerator.register_for_checkpointing(scheduler)
    done = 0
    if cut is not None:
        accelerator.load_state(folder / str(cut))
        done = cut
    for epoch in range(done // BATCHES, EPOCHS):
        skip = done - epoch * BATCHES
        for x, y in accelerator.skip_first_batches(loader, skip) if skip else loader:
            with accelerator.accumulate(model):
                accelerator.backward(nn.functional.mse_loss(model(x), y))
                optimizer.step()
                if prepared or accelerator.sync_gradients:
                    scheduler.step()
                optimizer.zero_grad()
            done += 1
            # Accelerate saves no gradients that wait for a step.
            if save and done % accumulate == 0:
                accelerator.save_state(folder / str(done))
    return {
        "seen": seen,
        "weights": weights(model),
        "last": scheduler.get_last_lr(),
        "processes": accelerator.num_processes,
    }


def main(folder):
    found = {}
    for kind, options in KINDS.items():
        where = folder / kind
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter("always")
            found[kind] = {"whole": run(where, save=kind != "prepared", **options), "resumed": {}}
            if kind != "prepared":
                every = options.get("accumulate", 1)
                for cut in range(every, EPOCHS * BATCHES, every):
                    found[kind]["resumed"][cut] = run(where, cut=cut, **options)
        found[kind]["warnings"] = [
            str(one.message) for one in given if "optimizer" in str(one.message)
        ]
    torch.save(found, folder / f"{torch.distributed.get_rank()}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
