#!/usr/bin/env bash
# Paints masks of a dataset, a folder of images or one image; the log is infer.log.
set -euo pipefail
# shellcheck source=tools/launch_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/launch_common.sh"

USAGE="DEVICE_ID CONFIG_FILE CKPT_PATH DATASET_PATH [OUTPUT_PATH]"
read_arguments 4 5 "$@"
set -- "${ARGUMENTS[@]}"
need_number DEVICE_ID "$1" 0
need_config "$2"

COMMAND=("$PYTHON" -m "$BACKEND.infer" --device_id "$1" --config_path "$2")
option --infer_ckpt_path "$3"
option --data_path "$4"
option --infer_output_path "${5:-}"
launch infer.log
