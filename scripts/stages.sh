# shellcheck shell=bash
# Stages of a script, to be sourced: named, timed, and ended with all that they started however the script ends.
#
# stage NAME COMMAND…    now; when it fails, the script ends
# behind FUNCTION        beside the stages from now on, at the lowest priority; the function consists of `piece NAME COMMAND…`
# await NAME             until that piece is done; when it has failed, its output is shown and the script ends
#
# At the end there is a table of how long each took, also when one has failed.

pieces=build/stages
mkdir -p "$pieces"
rm -f "$pieces"/*
times=()
now='' after=''
# What a stage may take to end what it has started, before it is killed.
end_s_max=30

# Every job is a process group of its own, so that it can be ended as a whole; and hears SIGINT, to which a job in the background of a
# script is deaf otherwise, and with it the programs of tests that end them so.
set -m

end_group() { # end_group PID SIGNAL
  [ -n "$1" ] && kill -"$2" -- -"$1" 2>/dev/null || return 0
  local deadline=$((SECONDS + end_s_max))
  while kill -0 -- -"$1" 2>/dev/null; do
    [ "$SECONDS" -lt "$deadline" ] || { kill -KILL -- -"$1" 2>/dev/null; return 0; }
    sleep 0.2
  done
}

finish() {
  trap '' INT TERM HUP
  end_group "$after" TERM
  # pytest ends the servers of its tests on this one.
  end_group "$now" INT
  printf '\n'
  [ ${#times[@]} -eq 0 ] || printf '%6s s  %s\n' "${times[@]}"
  printf '%6s s  in all\n' "$SECONDS"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

stage() {
  local name=$1 began=$SECONDS code=0
  shift
  for done in "$pieces"/*.done; do
    [ ! -e "$done" ] || [[ $(cat "$done") == 0\ * ]] || show "$(basename "$done" .done)"
  done
  printf '\n== %s (%ss)\n' "$name" "$began"
  "$@" </dev/null &
  now=$!
  wait "$now" || code=$?
  now=
  times+=("$((SECONDS - began))" "$name")
  [ "$code" -eq 0 ] || { echo "FAILED with exit code $code: $name" >&2; exit "$code"; }
}

behind() {
  local parent=$$
  (
    renice -n 19 -p "$BASHPID" >/dev/null
    # Also after a kill -9, which runs no trap.
    (while kill -0 "$parent" 2>/dev/null; do sleep 2; done; kill -TERM 0) &
    "$1"
    kill "$!"
  ) </dev/null >"$pieces/behind.log" 2>&1 &
  after=$!
  disown "$after" # bash need not say that it was ended
}

piece() {
  local name=$1 began=$SECONDS code=0
  shift
  "$@" >"$pieces/$name.log" 2>&1 || code=$?
  echo "$code $((SECONDS - began))" >"$pieces/$name.new"
  mv "$pieces/$name.new" "$pieces/$name.done"
}

await() {
  local began=$SECONDS code took
  until [ -e "$pieces/$1.done" ]; do
    kill -0 "$after" 2>/dev/null || [ -e "$pieces/$1.done" ] || { cat "$pieces"/*.log >&2; echo "FAILED: $1 was never done" >&2; exit 1; }
    sleep 1
  done
  read -r code took <"$pieces/$1.done"
  times+=("$took" "$1, behind the stages; waited for: $((SECONDS - began)) s")
  [ "$code" -eq 0 ] || show "$1"
}

show() { # a piece that has failed
  cat "$pieces/$1.log" >&2
  echo "FAILED with exit code $(cut -d' ' -f1 "$pieces/$1.done"): $1" >&2
  exit 1
}
