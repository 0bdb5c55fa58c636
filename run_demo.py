"""Ask a question about a video: python run_demo.py --video_path F --question Q [--model_path M] ..."""

import sys

from dyto.legacy import run_demo

if __name__ == "__main__":
    sys.exit(run_demo())
