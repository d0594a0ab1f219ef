"""Reference networks of PyTorch: state_dicts, inputs, and the states and outputs of each.

python tests/data/make_pytorch.py        (needs PyTorch alone; written with 1.13.0)
"""

from pathlib import Path

import numpy as np
import torch

TRIALS, STEPS, INPUTS, HIDDEN, OUTPUTS = 3, 12, 2, 5, 2
KINDS = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}


class Network(torch.nn.Module):
    """A recurrent layer and a linear readout, as most models of this kind are written."""

    def __init__(self, kind, bias):
        super().__init__()
        self.rnn = KINDS[kind](INPUTS, HIDDEN, batch_first=True, bias=bias)
        self.fc = torch.nn.Linear(HIDDEN, OUTPUTS)

    def forward(self, inputs):
        states, _ = self.rnn(inputs)
        return self.fc(states), states


def main():
    torch.manual_seed(0)
    inputs = torch.randn(TRIALS, STEPS, INPUTS, dtype=torch.float64)
    found = {"inputs": inputs.numpy()}
    for kind in KINDS:
        for bias in (True, False):
            network = Network(kind, bias).double()
            for weight in network.parameters():  # as large as after training
                weight.data *= 2
            outputs, states = network(inputs)
            name = f"{kind}_{'bias' if bias else 'plain'}"
            found[f"{name}/outputs"] = outputs.detach().numpy()
            found[f"{name}/states"] = states.detach().numpy()
            for leaf, value in network.state_dict().items():
                found[f"{name}/weights/{leaf}"] = value.numpy()
    np.savez_compressed(Path(__file__).parent / "pytorch.npz", **found)


if __name__ == "__main__":
    main()
