#!/usr/bin/env bash
# Trains on several devices of this host. The log is train.log. Ranks from 1 have logs of their own: train_rank_N.log with a
# rank table, msrun_log/worker_N.log with msrun. With torchrun all ranks write to train.log.
set -euo pipefail
# shellcheck source=tools/launch_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/launch_common.sh"

USAGE="DEVICE_NUM RANK_TABLE_FILE CONFIG_FILE [DATASET_PATH] [PRETRAINED_CKPT_PATH] [RUN_EVAL]
  RANK_TABLE_FILE: from tools/make_rank_table.py; or - to start with msrun (also on a CPU), or with torchrun for backend_torch"
read_arguments 3 6 "$@"
set -- "${ARGUMENTS[@]}"
need_number DEVICE_NUM "$1" 1
need_config "$3"
unset RANK_TABLE_FILE # the caller's environment may have an old one

# start_with_table DEVICE_NUM RANK_TABLE_FILE: this script itself starts a process for every rank.
start_with_table() {
  RANKS=$1
  [[ -f $2 ]] || fail "no such rank table: $2; make it with tools/make_rank_table.py, or give - to start with msrun"
  [[ $BACKEND == backend_mindspore ]] || fail "a rank table is for backend_mindspore; give - to start $BACKEND with torchrun"
  local devices
  devices=$("$PYTHON" "$ROOT/tools/make_rank_table.py" --check "$2" --device_num "$1")
  mapfile -t DEVICES <<<"$devices"
  RANK_TABLE_FILE=$(realpath "$2")
  export RANK_TABLE_FILE RANK_SIZE=$1
  LAUNCHER=("$PYTHON")
  start() {
    export RANK_ID=$1 DEVICE_ID=${DEVICES[$1]}
    (($1 == 0)) || exec >"train_rank_$1.log" 2>&1
    exec setsid "${COMMAND[@]}"
  }
}

start_with_msrun() {
  # msrun starts the `python` that it finds on PATH. This one runs PYTHON.
  mkdir -p msrun_log
  printf '#!/usr/bin/env bash\nexec %q "$@"\n' "$(realpath --no-symlinks "$PYTHON")" >msrun_log/python
  chmod +x msrun_log/python
  export PATH=$PWD/msrun_log:$PATH
  local port
  port=$("$PYTHON" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
  # If a worker ends before all workers have connected, msrun waits for its scheduler, and the scheduler waits for the workers:
  # ten minutes by default, two with --cluster_time_out=120.
  LAUNCHER=("$PYTHON" -m mindspore.parallel.cluster.run "--worker_num=$1" "--local_worker_num=$1" "--master_port=$port"
    --log_dir=msrun_log --join=True --tail_worker_log=0 --cluster_time_out=120 python)
}

start_with_torchrun() {
  ((STOP_SECONDS >= 40)) || STOP_SECONDS=40 # torchrun gives its workers 30 seconds to stop
  LAUNCHER=("$PYTHON" -m torch.distributed.run --standalone --nproc_per_node "$1")
}

if [[ $2 != - ]]; then
  start_with_table "$1" "$2"
elif [[ $BACKEND == backend_mindspore ]]; then
  start_with_msrun "$1"
else
  start_with_torchrun "$1"
fi
COMMAND=("${LAUNCHER[@]}" -m "$BACKEND.train" --run_distribute True --config_path "$3")
add_options 3 --data_path --pretrained_ckpt_path --run_eval
launch train.log
