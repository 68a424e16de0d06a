#!/usr/bin/env bash
# Scores a weight file on a dataset's validation images; the log is eval.log.
set -euo pipefail
# shellcheck source=tools/launch_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/launch_common.sh"

USAGE="DEVICE_ID CONFIG_FILE CKPT_PATH DATASET_PATH"
read_arguments 4 4 "$@"
launch_one evaluate eval.log --eval_ckpt_path --data_path
