#!/usr/bin/env bash
# Trains on one device; the log is train.log.
set -euo pipefail
# shellcheck source=tools/launch_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/launch_common.sh"

USAGE="DEVICE_ID CONFIG_FILE [DATASET_PATH] [PRETRAINED_CKPT_PATH] [RUN_EVAL]"
read_arguments 2 5 "$@"
launch_one train train.log --data_path --pretrained_ckpt_path --run_eval
