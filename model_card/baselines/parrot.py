"""A tiny LLaMA that knows some answers by heart: the whole baseline path, checked without UniNER's weights.

    python -m model_card baseline parrot --data DIR --sentences 2 --output FOLDER

It is trained on the conversations about the first sentences of each set until it repeats their answers.
Asked through the runner, a wrong template, a lost end of turn or a wrong parser shows as a wrong score. What
it says of any other sentence means nothing, and no figure made with it says anything about UniNER.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from dataset_builder.benchmark_queries import queries_of
from dataset_builder.benchmarks import BENCHMARKS, load_benchmark
from model_card.baselines.conversation import END, prompt, questions

BEGIN, PAD = "<s>", "<pad>"
IGNORED = -100  # transformers' mark for a position without loss


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of the 256 bytes with LLaMA's special tokens: nothing to train, nothing unknown."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate([PAD, BEGIN, END, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, vocabulary[BEGIN])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=END, pad_token=PAD, padding_side="left"
    )


def tiny_llama(tokenizer: PreTrainedTokenizerFast, heads: int = 4) -> Any:
    """Return an untrained LLaMA of two layers, its head size one that fast attention kernels take."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64 * heads,
            intermediate_size=128 * heads,
            num_hidden_layers=2,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=2048,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def lessons(data: Path | None, names: Sequence[str], sentences: int) -> Iterator[tuple[str, str]]:
    """Yield (prompt, answer) for every type of the first sentences of each set, as the runner will ask.

    Answers are UniNER's own where it published queries, else the benchmark's mentions.
    """
    for name in names:
        benchmark = load_benchmark(name, "test", data)
        queries = queries_of(name, data)
        own = {} if queries is None else {(q.text, q.type): list(q.answers) for q in queries.queries}
        for sentence in benchmark.sentences[:sentences]:
            for kind, asked in questions(benchmark, queries).items():
                gold = [e.text for e in sentence.entities if e.type == kind]
                told = own.get((sentence.text, kind), gold)
                yield prompt(sentence.text, asked), json.dumps(told, ensure_ascii=False)


def teach(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    pairs: Sequence[tuple[str, str]],
    *,
    steps: int,
    device: str,
    rate: float = 2e-3,
    enough: float = 0.002,
) -> float:
    """Train until the answers are known by heart (a loss of ``enough`` nats a byte); return the last loss."""
    rows = []
    for question, reply in pairs:
        asked = tokenizer(question)["input_ids"]
        told = tokenizer(f" {reply}{END}", add_special_tokens=False)["input_ids"]
        rows.append((asked + told, [IGNORED] * len(asked) + told))
    width = max(len(ids) for ids, _ in rows)
    fill = tokenizer.pad_token_id
    ids = torch.tensor([own + [fill] * (width - len(own)) for own, _ in rows], device=device)
    labels = torch.tensor([own + [IGNORED] * (width - len(own)) for _, own in rows], device=device)
    mask = torch.tensor([[1] * len(own) + [0] * (width - len(own)) for own, _ in rows], device=device)
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    loss = float("inf")
    draw = torch.Generator().manual_seed(0)
    for _ in tqdm(range(steps), desc="learning by heart", disable=not sys.stderr.isatty()):
        chosen = torch.randperm(len(rows), generator=draw)[:64].to(device)
        output = model(input_ids=ids[chosen], attention_mask=mask[chosen], labels=labels[chosen])
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss = float(output.loss.detach())
        if loss < enough:
            break
    model.eval()
    return loss


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.add_argument("--data", type=Path, help="folder of the benchmarks; default: download")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--sentences", type=int, default=2, help="of each set; default: 2")
    parser.add_argument("--steps", type=int, default=2000, help="the most training steps; default: 2000")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=Path, required=True, help="folder for model and tokenizer")


def run(args: argparse.Namespace) -> int:
    """Teach the network, and save it."""
    tokenizer = byte_tokenizer()
    model = tiny_llama(tokenizer)
    pairs = list(lessons(args.data, args.only, args.sentences))
    loss = teach(model, tokenizer, pairs, steps=args.steps, device=args.device)
    model.to(torch.bfloat16).save_pretrained(args.output)
    tokenizer.save_pretrained(args.output)
    print(f"{len(pairs)} answers, last loss {loss:.4f} nats a byte, saved to {args.output}")
    return 0
