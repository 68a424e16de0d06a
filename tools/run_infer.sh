#!/usr/bin/env bash
# Paints masks of a dataset, a folder of images or one image; the log is infer.log.
set -euo pipefail
# shellcheck source=tools/launch_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/launch_common.sh"

USAGE="DEVICE_ID CONFIG_FILE CKPT_PATH DATASET_PATH [OUTPUT_PATH]"
read_arguments 4 5 "$@"
launch_one infer infer.log --infer_ckpt_path --data_path --infer_output_path
