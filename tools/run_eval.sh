#!/usr/bin/env bash
# Scores a weight file on a dataset's validation images; the log is eval.log.
set -euo pipefail
# shellcheck source=tools/launch_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/launch_common.sh"

USAGE="DEVICE_ID CONFIG_FILE CKPT_PATH DATASET_PATH"
read_arguments 4 4 "$@"
set -- "${ARGUMENTS[@]}"
need_number DEVICE_ID "$1" 0
need_config "$2"

COMMAND=("$PYTHON" -m "$BACKEND.evaluate" --device_id "$1" --config_path "$2")
option --eval_ckpt_path "$3"
option --data_path "$4"
launch eval.log
