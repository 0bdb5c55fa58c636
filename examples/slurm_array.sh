#!/usr/bin/env bash
# One shard of a benchmark per job of a Slurm array; the shards are merged afterwards.
#
#   sbatch --array=1-16 --gpus=1 examples/slurm_array.sh nextqa --model llava-next-vicuna-7b --name run
#   dyto eval nextqa --model llava-next-vicuna-7b --name run --out all --merge=shards/{1..16}
#
# The arguments are those of dyto eval. Submit the same array again to continue after a stop.
set -euo pipefail
exec dyto eval "$@" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --out "shards/$SLURM_ARRAY_TASK_ID"
