#!/bin/sh
# Backs the whole cluster up, as the user postgres: a full backup, or what changed since (diff, incr). Makes the
# repository at its first run. Usage: backup.sh full|diff|incr
set -eu
kind=${1:-}
case "$kind" in
full | diff | incr) ;;
*)
  echo "usage: backup.sh full|diff|incr" >&2
  exit 2
  ;;
esac
stanza=${STANZA:-ossature}
pgbackrest --stanza="$stanza" stanza-create
# Proves that what PostgreSQL writes arrives in the repository, before anybody counts on it.
pgbackrest --stanza="$stanza" check
pgbackrest --stanza="$stanza" --type="$kind" backup
