"""Which parts of a segment are one voice's: a network that hears all of it.

An embedding of half a second says little of a voice, and one of two seconds says little of when it
begins. Here each fifth of a second is seen by embeddings of three widths, and beside all others of
its segment: attention over them (Vaswani et al., 2017), with a bias by distance, finds what goes
together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LAYERS = 2
HEADS = 4
KERNEL = 5  # tokens
FARTHEST = 63  # tokens; what is farther away counts as this far
OUTPUTS = 64
DROPOUT = 0.1
SCALE = 14.0  # of unit vectors of some 200 values, to values of about 1


class Layer(nn.Module):
    """Self-attention and two maps, each around a residual, normalised before (Xiong et al., 2020).

    PyTorch's own layer takes another way in evaluation, which gives no numbers under such a bias.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.heads = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.distance = nn.Parameter(torch.zeros(HEADS, 2 * FARTHEST + 1))
        self.maps = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, far: Tensor) -> Tensor:
        """Map (batch, tokens, width); `far` numbers the distance of two tokens."""
        batch, tokens, width = x.shape
        heads = self.heads(self.attention_norm(x)).reshape(batch, tokens, 3 * HEADS, width // HEADS)
        query, key, value = heads.transpose(1, 2).chunk(3, dim=1)
        odds = query @ key.transpose(2, 3) * (width // HEADS) ** -0.5 + self.distance[:, far]
        seen = (odds.softmax(dim=3) @ value).transpose(1, 2).reshape(batch, tokens, width)
        x = x + self.dropout(self.mix(seen))
        y: Tensor = x + self.dropout(self.maps(x))
        return y


class Segmenter(nn.Module):
    """Embeddings around the tokens of a segment to the log-odds that two are one voice's."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.dropout = nn.Dropout(DROPOUT)
        self.enter = nn.Linear(inputs, width)
        self.near = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.layers = nn.ModuleList(Layer(width) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, OUTPUTS)
        self.past = nn.Linear(inputs, OUTPUTS, bias=False)
        self.slope = nn.Parameter(torch.tensor([5.0]))
        self.offset = nn.Parameter(torch.tensor([-1.0]))

    def forward(self, tokens: Tensor) -> Tensor:
        """Log-odds (batch, tokens, tokens) of tokens (batch, tokens, inputs): unit vectors."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        far = (places[None] - places[:, None]).clamp(-FARTHEST, FARTHEST) + FARTHEST
        x = self.enter(self.dropout(SCALE * tokens))
        x = x + self.near(x.transpose(1, 2)).transpose(1, 2)
        for layer in self.layers:
            x = layer(x, far)
        voices = functional.normalize(self.leave(self.norm(x)) + self.past(tokens), dim=-1)
        log_odds: Tensor = self.slope * (voices @ voices.transpose(1, 2)) + self.offset
        return log_odds
