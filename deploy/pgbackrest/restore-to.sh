#!/bin/sh
# Brings the stopped cluster back to a moment, as the user postgres; start it afterwards. What was committed later is
# gone. Usage: restore-to.sh '2026-03-01 12:00:00+00' [--force]
set -eu
moment=${1:-}
if [ -z "$moment" ]; then
  echo "usage: restore-to.sh 'YYYY-MM-DD HH:MM:SS+00' [--force]" >&2
  exit 2
fi
if [ "${2:-}" != "--force" ]; then
  printf 'Everything that was committed after %s is lost. Go on? [y/N] ' "$moment" >&2
  read -r answer
  [ "$answer" = y ] || exit 1
fi
# --delta leaves what is as it should be; it refuses a cluster that runs. promote: the server takes writes again once it
# is there. The stanza is an argument: what fetches changes while PostgreSQL recovers takes its arguments from these.
pgbackrest --stanza="${STANZA:-ossature}" --delta --type=time --target="$moment" --target-action=promote restore
