"""Time per stage, with the published pipeline beside this library and stock transformers.

    python bench_pipeline.py [VIDEO] [--model M] [--random-weights NAME] [--runs 5] [--out FOLDER] ...

The options and the report of `dyto bench`; among --rivals there is "published", too: every question decodes, encodes
and projects all frames, clusters in numpy, merges frame by frame and reads everything from nothing. It is written in
published.py, after docs/method.md, and runs on models of LLaVA-NeXT.
"""

import sys

import torch
import typer

import published
from dyto.cli.process import report_errors
from dyto.errors import ModelError
from dyto.models.generation.decoding import generation_config
from dyto.prompts import prompt_for
from dyto_bench import command
from dyto_bench.plan import QUESTIONS
from dyto_bench.probes import Probe, now
from dyto_bench.sides import FirstAnswer, FollowUps


class Published:
    """The published pipeline on the same weights, prompt and frames."""

    name = "published"
    about = "the published pipeline followed literally: everything again for every question"
    has_axes = False

    def __init__(self, subject):
        if subject.model.model.config.model_type != "llava_next":
            raise ModelError(
                f"model {subject.model.name} is no LLaVA-NeXT, expected one for the side 'published': leave it out of "
                "--rivals"
            )
        self.warnings = []
        self.subject, self.model = subject, subject.model.model
        self.prompt = prompt_for(subject.model.chat, False)

    @torch.inference_mode()
    def answer(self, question):
        """Answer one question from the file on: seconds of each stage, the probe, frames, tokens."""
        plan, device = self.subject.plan, self.subject.model.device
        with Probe(self.subject.model).watching() as probe:
            marks = [("", now(device))]

            def mark(stage):
                marks.append((stage, now(device)))

            pictures, numbers = published.decode(self.subject.video, plan.num_frames)
            mark("decode")
            pixels = published.prepare(pictures, self.model.config.vision_config.image_size)
            tower = self.model.model.vision_tower
            seen = tower(pixels.to(device, self.model.dtype), output_hidden_states=True)
            states = seen.hidden_states[self.model.config.vision_feature_layer]  # (T, 1 + N, C)
            mark("encode")
            features = self.model.model.multi_modal_projector(states)  # (T, 1 + N, D)
            mark("project")
            picked = published.select(published.cluster(features[:, 0].float().cpu().numpy()))
            mark("select")
            tokens = published.merge(features, picked, self.subject.budget)  # (L, D)
            mark("merge")
            self.write(question, tokens)
        probe.check_length(self.name, plan.new_tokens)
        stages = {stage: end - start for (_, start), (stage, end) in zip(marks, marks[1:], strict=False)}
        return marks[0][1], probe, stages, tuple(numbers), len(tokens)

    def write(self, question, tokens):
        """Read the whole prompt with the video in its place, and answer."""
        embed, count = self.model.get_input_embeddings(), self.subject.plan.new_tokens
        prompt = self.subject.model.tokenize(*self.prompt.fill(question))
        embeds = torch.cat([embed(prompt.before), tokens.to(self.model.dtype), embed(prompt.after)])[None]
        options = generation_config(self.model, self.subject.model.tokenizer, count, {"min_new_tokens": count})
        mask = torch.ones(embeds.shape[:2], dtype=torch.int64, device=embeds.device)
        self.model.generate(inputs_embeds=embeds, attention_mask=mask, generation_config=options)

    def first(self):
        start, probe, stages, numbers, tokens = self.answer(QUESTIONS[0])
        return FirstAnswer.of(start, probe, stages, frames=numbers, visual_tokens=tokens)

    def further(self, questions, batch_size):
        runs = [self.answer(question) for question in questions]
        rows = tuple(tuple(one.ids[0].tolist()) for _, probe, *_ in runs for one in probe.written)
        return FollowUps(runs[-1][1].written[-1].end - runs[0][0], sum(map(len, rows)), rows)

    def release(self):
        """Nothing is kept."""


def main():
    command.RIVAL_MAKERS["published"] = Published
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
    app.command()(command.bench_command)
    words = sys.argv[1:]
    if not any(word.split("=")[0] == "--rivals" for word in words):
        words += ["--rivals", "stock,published"]
    sys.exit(report_errors(lambda: app(words, prog_name="bench_pipeline.py"), "--debug" in words))


if __name__ == "__main__":
    main()
