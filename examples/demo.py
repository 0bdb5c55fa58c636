"""What `make demo` runs: ask the bundled models about a drawn video and a film of photographs, the true answers beside.

python examples/demo.py [--out demo] [--seed 0] [--video-only]
"""

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path

import dyto
from dyto.demo.samples import FILM
from dyto.eye import can_see
from dyto.inspecting.sheet import save_keyframe_sheet
from dyto.synthetic.videos import sample_video

ABOUT_FILM = (
    ("What is shown?", "a giant panda, a German shepherd, a palace, a macaw, a polar bear, a dam"),
    ("What comes after the dog?", "a palace"),
    ("When is a bird seen?", "9.0 to 11.1 s"),
    ("Is there a car?", "no"),
    ("Who is in the film?", "nobody"),
)
"""Questions about the film of photographs (their makers gave them to all: `tests/photographs`), with the truth."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the video and the picture")
    parser.add_argument("--seed", type=int, default=0, help="seed of the drawn video")
    parser.add_argument("--video-only", action="store_true", help="make the video and exit")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    video = options.out / "sample.mp4"
    asked = sample_video(video, options.seed)
    print(f"{video}: a sample video of coloured shapes, 20 seconds")
    if options.video_only:
        return

    qa = dyto.VideoQA.from_pretrained("tiny", strategy=dyto.DyTo.preset("release"))
    answers = qa.ask_many(
        video, [question for question, _, _ in asked], choices=[choices for _, choices, _ in asked], max_new_tokens=16
    )
    right = 0
    for (question, choices, truth), answer in zip(asked, answers, strict=True):
        said = answer.text if choices is None else choices[answer.choice] if answer.choice is not None else "?"
        right += said == truth
        options_text = f"  [{', '.join(choices)}]" if choices else ""
        print(f"\n  {question}{options_text}\n    answer: {said:24} truth: {truth}")

    first = answers[0]
    print(f"\n{right} of {len(asked)} right.")
    print(f"{first.uncompressed_tokens} visual tokens were compressed to {first.num_visual_tokens} ", end="")
    print(f"from {len(first.keyframes)} key frames; all questions took {first.seconds['total']:.1f} s.")
    sheet = options.out / "keyframes.png"
    save_keyframe_sheet(sheet, video, first.keyframes)
    print(f"{sheet}: the key frames")
    for warning in first.warnings:
        print(f"note: {warning}")
    if can_see():
        ask_about_photographs()
        film, question = FILM, "When is an animal seen?"
    else:
        film, question = video, "Is there a green square?"
    print("\nNow ask a question of your own, or about a video of your own:")
    print(f"{dyto_command()} ask {as_typed(film)} '{question}'")


def ask_about_photographs() -> None:
    """Ask the bundled eye, which knows a thousand kinds of things from photographs, about a film of six."""
    print(f"\n{FILM}: a film of photographs, 15 seconds")
    qa = dyto.VideoQA.from_pretrained("nouns", strategy=dyto.DyTo.preset("release"))
    answers = qa.ask_many(FILM, [question for question, _ in ABOUT_FILM])
    for (question, truth), answer in zip(ABOUT_FILM, answers, strict=True):
        print(f"\n  {question}\n    answer: {answer.text}\n    truth:  {truth}")
    for warning in answers[0].warnings:
        print(f"note: {warning}")


def dyto_command() -> str:
    """Return the `dyto` command of this Python, as you can type it here."""
    beside = Path(sys.executable).with_name("dyto")
    found = shutil.which("dyto")
    if not beside.exists() or (found and Path(found).samefile(beside)):
        return "dyto" if found else f"{sys.executable} -m dyto"
    return as_typed(beside)


def as_typed(path: Path) -> str:
    """Return a path as you can type it here: relative if it lies in the current folder, and quoted if need be."""
    whole = path.absolute()
    return shlex.quote(os.path.relpath(whole) if whole.is_relative_to(Path.cwd()) else str(whole))


if __name__ == "__main__":
    main()
