"""Ask a question about a video: python run_demo.py --video_path F --question Q [--model_path M] ..."""

from dyto.__main__ import start

if __name__ == "__main__":
    start("dyto.cli.legacy", "run_demo")
