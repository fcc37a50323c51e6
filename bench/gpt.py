"""An ordinary GPT-2 and an ordinary Llama in PyTorch: the models and their optimiser, for the comparisons."""

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.value_up = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        samples, rows, width = x.shape
        parts = self.query_key_value(self.attention_norm(x)).chunk(3, -1)
        query, key, value = (part.view(samples, rows, self.heads, -1).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.value_up(mixed.transpose(1, 2).reshape(samples, rows, width))
        return x + self.down(F.gelu(self.up(self.mlp_norm(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, layers, heads, width, vocabulary, context):
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, inputs, targets):
        """The loss, as part of the model so that it is compiled too."""
        x = self.token(inputs) + self.position.weight[: inputs.shape[1]]
        logits = F.linear(self.norm(self.blocks(x)), self.token.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class LlamaBlock(nn.Module):
    def __init__(self, width, heads, key_heads, hidden):
        super().__init__()
        self.sizes = [width, width // heads * key_heads, width // heads * key_heads]
        self.head_size, self.grouped = width // heads, key_heads < heads
        self.attention_norm, self.mlp_norm = nn.RMSNorm(width, 1e-5), nn.RMSNorm(width, 1e-5)
        self.query_key_value = nn.Linear(width, sum(self.sizes), bias=False)
        self.value_up, self.down = nn.Linear(width, width, bias=False), nn.Linear(hidden, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)

    def forward(self, x, cos, sin):
        samples, rows, width = x.shape
        parts = self.query_key_value(self.attention_norm(x)).split(self.sizes, -1)
        query, key, value = (part.view(samples, rows, -1, self.head_size).transpose(1, 2) for part in parts)

        def rotated(part):
            first, second = part.chunk(2, -1)
            return part * cos + torch.cat((-second, first), -1) * sin

        mixed = F.scaled_dot_product_attention(rotated(query), rotated(key), value, is_causal=True, enable_gqa=self.grouped)
        x = x + self.value_up(mixed.transpose(1, 2).reshape(samples, rows, width))
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Llama(nn.Module):
    def __init__(self, layers, heads, key_heads, width, hidden, vocabulary, context):
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(LlamaBlock(width, heads, key_heads, hidden) for _ in range(layers))
        self.norm = nn.RMSNorm(width, 1e-5)
        size = width // heads
        turns = torch.outer(torch.arange(context), 100_000.0 ** -(torch.arange(0, size, 2) / size)).repeat(1, 2)
        self.register_buffer("cos", turns.cos())
        self.register_buffer("sin", turns.sin())
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, inputs, targets):
        """The loss, as part of the model so that it is compiled too."""
        x = self.token(inputs)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = F.linear(self.norm(x), self.token.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def adamw(gpt, rate):
    """Fused AdamW that decays matrices only."""
    matrices = [p for p in gpt.parameters() if p.dim() == 2]
    vectors = [p for p in gpt.parameters() if p.dim() != 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), eps=1e-8, fused=True)


def step(gpt, optimiser, inputs, targets, precision="f32"):
    """Forward, backward, clip, AdamW; returns the loss."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        loss = gpt(inputs, targets)
    loss.backward()
    nn.utils.clip_grad_norm_(gpt.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return loss
