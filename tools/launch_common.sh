# shellcheck shell=bash
# The launch scripts source this file. It reads their arguments, writes the log, and starts and stops the processes.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BACKEND=${BACKEND:-backend_mindspore}
DEFAULT_PYTHON=$ROOT/.venv/bin/python
[[ -x $DEFAULT_PYTHON ]] || DEFAULT_PYTHON=python
RANKS=1
PIDS=()
STOP_SECONDS=${STOP_SECONDS:-10}
export PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1

fail() {
  echo "error: $*" >&2
  exit 2
}

usage() {
  cat <<END
usage: bash tools/$(basename "$0") $USAGE [-- OPTION…]
An empty argument ("") counts as not given. What follows -- goes to the command as it stands: … -- --lr 1e-4
environment: BACKEND=backend_mindspore (the default) or backend_torch; PYTHON (default $DEFAULT_PYTHON);
  FOREGROUND=1: wait, show the output also here, and exit as the command does (default: in the background, the output in a log);
  STOP_SECONDS (10): how long a process that is asked to stop may take before it is killed
END
}

# read_arguments LEAST MOST ARGUMENT…: puts the arguments into ARGUMENTS and what follows -- into EXTRA.
# Fails unless there are LEAST to MOST arguments and the environment variables are valid.
read_arguments() {
  local least=$1 most=$2
  shift 2
  ARGUMENTS=() EXTRA=()
  while (($#)) && [[ $1 != -- ]]; do
    case $1 in
      -h | --help) usage && exit 0 ;;
      --*) fail "unexpected option $1; options of the command go behind --" ;;
    esac
    ARGUMENTS+=("$1")
    shift
  done
  EXTRA=("${@:2}")
  if ((${#ARGUMENTS[@]} < least || ${#ARGUMENTS[@]} > most)); then
    usage >&2
    exit 2
  fi
  [[ $BACKEND =~ ^backend_(mindspore|torch)$ ]] || fail "BACKEND is $BACKEND; expected backend_mindspore or backend_torch"
  need_number STOP_SECONDS "$STOP_SECONDS" 0
  local name=${PYTHON:-$DEFAULT_PYTHON}
  PYTHON=$(command -v "$name") || fail "no such Python: $name; name one in the environment variable PYTHON"
}

# need_number NAME VALUE LEAST: fails unless VALUE is a whole number from LEAST.
need_number() {
  [[ $2 =~ ^(0|[1-9][0-9]*)$ && $2 -ge $3 ]] || fail "$1 is '$2'; expected a whole number from $3"
}

# The Python code also searches for a recipe (configs/NAME.yaml) in the current folder first, then in the checkout.
need_config() {
  [[ -f $1 || -f $ROOT/$1 ]] && return
  local recipe=configs/${1##*/} # the original repository's folder is called config
  [[ ! -f $ROOT/$recipe ]] || fail "no such configuration file: $1; the recipe of this name is $recipe"
  fail "no such configuration file: $1, neither in $PWD nor in $ROOT"
}

# add_options FIRST OPTION…: adds to COMMAND each OPTION with its value. The values are the ARGUMENTS from index FIRST.
# An option whose value is empty or missing is left out.
add_options() {
  local index=$1 option
  for option in "${@:2}"; do
    [[ -z ${ARGUMENTS[index]:-} ]] || COMMAND+=("$option" "${ARGUMENTS[index]}")
    index=$((index + 1))
  done
}

# launch_one COMMAND LOG OPTION…: runs the backend's COMMAND on one device.
# ARGUMENTS are DEVICE_ID, CONFIG_FILE and then a value for each OPTION.
launch_one() {
  need_number DEVICE_ID "${ARGUMENTS[0]}" 0
  need_config "${ARGUMENTS[1]}"
  COMMAND=("$PYTHON" -m "$BACKEND.$1" --device_id "${ARGUMENTS[0]}" --config_path "${ARGUMENTS[1]}")
  add_options 2 "${@:3}"
  launch "$2"
}

# launch LOG: runs `start RANK` for each rank from 0 to RANKS - 1, in the background unless FOREGROUND=1.
launch() {
  LOG=$1
  COMMAND+=("${EXTRA[@]}")
  { : >"$LOG"; } 2>/dev/null || fail "cannot write $LOG in $PWD; go to another folder"
  if [[ ${FOREGROUND:-} == 1 ]]; then
    exec > >(trap '' INT TERM HUP; exec tee "$LOG") 2>&1 # tee ends when its input ends
    TEE=$!
    trap 'interrupted 129' HUP
    supervise
  fi
  (trap '' HUP; supervise) >"$LOG" 2>&1 & # it continues when the terminal closes
  echo "started in the background: log $LOG, process id $! (kill $! stops it)"
}

# start RANK: a script may define its own. The command runs in a session of its own, for two reasons: a signal to its process
# group reaches its data workers, and Ctrl-C reaches it once only, from `interrupted`.
start() {
  exec setsid "${COMMAND[@]}"
}

# Starts every rank and waits. The first rank that fails ends the others, and its exit code is the exit code of the script.
supervise() {
  local rank code pause=0.2
  trap 'interrupted 130' INT
  trap 'interrupted 143' TERM
  for ((rank = 0; rank < RANKS; rank++)); do
    start "$rank" &
    PIDS+=($!)
  done
  while ((${#PIDS[@]})); do
    (trap '' INT TERM HUP; exec sleep "$pause") # polls, because `wait -n` does not tell which rank ended
    for rank in "${!PIDS[@]}"; do
      kill -0 "${PIDS[rank]}" 2>/dev/null && continue
      code=0
      wait "${PIDS[rank]}" || code=$?
      if ((code)); then
        ((RANKS == 1)) || echo "rank $rank ended with exit code $code; the others are stopped"
        stop TERM # also the processes that the failed rank left behind
        finish "$code"
      fi
      unset "PIDS[rank]"
    done
    pause=1
  done
  finish 0
}

# stop SIGNAL: sends it to every rank. Kills the ranks that do not end in time, for instance because they wait for each other.
stop() {
  local deadline=$((SECONDS + STOP_SECONDS))
  signal_ranks "$1" || return 0
  while signal_ranks 0 && ((SECONDS < deadline)); do sleep 0.1; done
  signal_ranks KILL || true
}

# signal_ranks SIGNAL: sends it to every rank's process group, or to the rank alone if it has no group yet.
# Fails if no process is left.
signal_ranks() {
  local pid left=1
  for pid in "${PIDS[@]}"; do
    if kill -s "$1" -- "-$pid" 2>/dev/null || kill -s "$1" "$pid" 2>/dev/null; then left=0; fi
  done
  return "$left"
}

# interrupted EXIT_CODE: the ranks get SIGINT, whatever the signal was. Python then cleans up, and msrun ends its workers;
# SIGTERM would kill msrun alone.
interrupted() {
  trap '' INT TERM HUP
  stop INT
  finish "$1"
}

finish() {
  (($1 == 0)) || echo "exit code $1"
  if [[ -n ${TEE:-} ]]; then
    exec >&- 2>&-
    wait "$TEE" || true
  fi
  exit "$1"
}
