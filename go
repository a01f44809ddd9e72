#!/bin/sh
# From nothing to samples: sets up .venv, trains on the built-in digits, samples, says where.
# Run again, it resumes or ends at once. Options go on to `unmist start`.
set -eu
cd "$(dirname "$0")"
. scripts/venv.sh
prepare ""
case " $* " in
*" --to"*) ;;
*) set -- --to runs/digits "$@" ;;
esac
echo "Running $venv/bin/unmist start $*"
exec "$venv/bin/unmist" start "$@"
