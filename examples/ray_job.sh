#!/usr/bin/env bash
# Start a batch inside a Ray cluster, so that it does not need this machine.
#
#   examples/ray_job.sh http://10.0.0.1:8265 /videos --model qwen2.5-vl-7b
#
# The first argument is the address of the dashboard. The second is a folder that every node has: questions.jsonl
# is in it, relative paths of videos start in it, and answers.jsonl is written to it. All others go to dyto batch.
# Start Ray on every node in the environment that has dyto, activated, so that jobs find the command.
# Run it again to continue after a stop.
set -euo pipefail
address=$1 folder=$2
shift 2
exec ray job submit --address "$address" -- \
  dyto batch "$folder/questions.jsonl" --out "$folder/answers.jsonl" --video-dir "$folder" --ray auto "$@"
