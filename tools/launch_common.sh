# shellcheck shell=bash
# What the launchers share: their arguments, the log, starting and stopping. To be sourced.

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
  STOP_SECONDS (10): how long what is to stop may take before it is killed
END
}

# read_arguments LEAST MOST ARGUMENT…: into ARGUMENTS, what follows -- into EXTRA; then looks at the environment.
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
  local wanted=${PYTHON:-$DEFAULT_PYTHON}
  PYTHON=$(command -v "$wanted") || fail "no such Python: $wanted; name one in the environment variable PYTHON"
}

# need_number NAME VALUE LEAST
need_number() {
  [[ $2 =~ ^(0|[1-9][0-9]*)$ && $2 -ge $3 ]] || fail "$1 is '$2'; expected a whole number from $3"
}

# The Python code, too, looks for a recipe (configs/NAME.yaml) here and then in the checkout.
need_config() {
  [[ -f $1 || -f $ROOT/$1 ]] || fail "no such configuration file: $1, neither in $PWD nor in $ROOT"
}

# option --KEY VALUE: added to COMMAND unless VALUE is empty.
option() {
  [[ -z $2 ]] || COMMAND+=("$1" "$2")
}

# launch LOG: runs `start RANK` for each of RANKS, in the background unless FOREGROUND=1.
launch() {
  LOG=$1
  COMMAND+=("${EXTRA[@]}")
  { : >"$LOG"; } 2>/dev/null || fail "cannot write $LOG in $PWD; go to another folder"
  if [[ ${FOREGROUND:-} == 1 ]]; then
    exec > >(trap '' INT TERM HUP; exec tee "$LOG") 2>&1 # it ends when what it copies ends
    TEE=$!
    trap 'interrupted 129' HUP
    supervise
  fi
  (trap '' HUP; supervise) >"$LOG" 2>&1 & # a terminal that closes does not end it
  echo "started in the background: log $LOG, process id $! (kill $! stops it)"
}

# May be overridden. In a session of its own: a signal then reaches its data workers, and Ctrl-C comes once, from `interrupted`.
start() {
  exec setsid "${COMMAND[@]}"
}

# Starts every rank and waits; the first that fails ends the others. Exits with its code.
supervise() {
  local rank code pause=0.2
  trap 'interrupted 130' INT
  trap 'interrupted 143' TERM
  for ((rank = 0; rank < RANKS; rank++)); do
    start "$rank" &
    PIDS+=($!)
  done
  while ((${#PIDS[@]})); do
    (trap '' INT TERM HUP; exec sleep "$pause") # then look; `wait -n` does not say which one ended
    for rank in "${!PIDS[@]}"; do
      kill -0 "${PIDS[rank]}" 2>/dev/null && continue
      code=0
      wait "${PIDS[rank]}" || code=$?
      if ((code)); then
        ((RANKS == 1)) || echo "rank $rank ended with exit code $code; the others are stopped"
        stop TERM # also what the rank itself left behind
        finish "$code"
      fi
      unset "PIDS[rank]"
    done
    pause=1
  done
  finish 0
}

# Ranks that do not stop in time, in a collective for instance, are killed.
stop() {
  local deadline=$((SECONDS + STOP_SECONDS))
  signal_ranks "$1" || return 0
  while signal_ranks 0 && ((SECONDS < deadline)); do sleep 0.1; done
  signal_ranks KILL || true
}

# signal_ranks SIGNAL: to every rank's process group, or to the rank that has none yet. Fails if nobody is left.
signal_ranks() {
  local pid left=1
  for pid in "${PIDS[@]}"; do
    if kill -s "$1" -- "-$pid" 2>/dev/null || kill -s "$1" "$pid" 2>/dev/null; then left=0; fi
  done
  return "$left"
}

# SIGINT whatever the signal was: Python then tidies up, and msrun, which SIGTERM kills, ends its workers.
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
