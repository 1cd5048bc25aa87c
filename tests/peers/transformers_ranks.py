"""One of two processes in which a Trainer of Transformers trains, for test_transformers.py.

RANK=0 WORLD_SIZE=2 MASTER_ADDR=... MASTER_PORT=... python transformers_ranks.py FOLDER
"""

import os
import sys

import torch
from runs import weights
from test_transformers import BATCHES, Given, arguments, logged


def found(trainer):
    return {
        "seen": trainer.seen,
        "logged": logged(trainer),
        "weights": weights(trainer.model),
        "processes": trainer.accelerator.num_processes,
    }


def main(folder):
    os.chdir(folder)
    options = {"ddp_backend": "gloo", "save_steps": 7}
    whole = Given(arguments(**options), batches=2 * BATCHES)
    whole.train()
    again = Given(arguments("again", **options), batches=2 * BATCHES)
    again.train(resume_from_checkpoint="out/checkpoint-7")
    torch.save([found(whole), found(again)], f"{torch.distributed.get_rank()}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1])
