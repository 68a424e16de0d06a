#!/usr/bin/env bash
# Trains on one device; the log is train.log.
set -euo pipefail
# shellcheck source=tools/launch_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/launch_common.sh"

USAGE="DEVICE_ID CONFIG_FILE [DATASET_PATH] [PRETRAINED_CKPT_PATH] [RUN_EVAL]"
read_arguments 2 5 "$@"
set -- "${ARGUMENTS[@]}"
need_number DEVICE_ID "$1" 0
need_config "$2"

COMMAND=("$PYTHON" -m "$BACKEND.train" --device_id "$1" --config_path "$2")
option --data_path "${3:-}"
option --pretrained_ckpt_path "${4:-}"
option --run_eval "${5:-}"
launch train.log
