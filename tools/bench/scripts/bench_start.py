"""What commands cost beside `import torch`: CPU seconds of whole processes, turn by turn.

    python tools/bench/scripts/bench_start.py --runs 5

Each pair is one command and one `import torch`, both from the start of the interpreter to the end of the process. The
clip is a drawn film of 20 seconds. Threads are as in the shell that it is started from. Python keeps what it compiles
of all modules, as where packages are installed, and each command runs once before the pairs, which compiles it. "the
classes of tiny" imports the classes of transformers that the model `tiny` consists of, and nothing of dyto, without
the garbage collector and without the interpreter's own end, as the commands do: no command that uses them can take
less.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from dyto.synthetic.benchmark import synth_video

TORCH = [sys.executable, "-c", "import torch"]
CLASSES = """
import gc, os
gc.disable()
from transformers.models.llava_next import modeling_llava_next
from transformers.models.clip import modeling_clip
from transformers.models.llama import modeling_llama
os._exit(0)
"""


def cpu(command, env):
    """CPU seconds, user and system, of a process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", action="append", help="only this row, as it is printed; may be repeated")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = str(Path(folder) / "clip.mp4")
        synth_video(0, clip)
        dyto = {
            "--help": ["--help"],
            "list prompts": ["list", "prompts"],
            "list strategies": ["list", "strategies"],
            "ask, a missing file": ["ask", "missing.mp4", "what is shown ?"],
            "ask --model tiny": ["ask", clip, "what is shown ?", "--model", "tiny"],
            "ask --model nouns": ["ask", clip, "what is shown ?", "--model", "nouns"],
        }
        commands = {name: [sys.executable, "-m", "dyto", *words] for name, words in dyto.items()}
        commands["the classes of tiny"] = [sys.executable, "-c", CLASSES]
        print(f"threads: OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}, {os.cpu_count()} cores")
        compiled = Path(folder) / "compiled"
        env = os.environ | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(compiled)}
        for name in options.only or commands:
            command = commands[name]
            for warmed in (command, TORCH):
                cpu(warmed, env)
            pairs = [(cpu(command, env), cpu(TORCH, env)) for _ in range(options.runs)]
            ratios = sorted(one / other for one, other in pairs)
            seconds = " against ".join(f"{median(side):.2f}" for side in zip(*pairs, strict=True))
            print(f"{name}: {median(ratios):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}] of import torch ({seconds} s)")


if __name__ == "__main__":
    main()
