#!/bin/sh
# roundhouse @VERSION@: this script, then a compressed archive of the program and its runtime.
# The first start unpacks the archive into the user's cache directory; every start then becomes the program itself.

hash=@HASH@
offset=@OFFSET@
system='@SYSTEM@'
files='@FILES@'
case $0 in
  /*) self=$0 ;;
  *) self=$PWD/$0 ;;
esac

fail() {
  printf 'roundhouse: %s\n' "$1" >&2
  exit 1
}

# Whether directory $1 is ours and nobody else can write to it: what lies in it may be run.
trusted() {
  [ -d "$1" ] && [ ! -h "$1" ] && [ -O "$1" ] || return 1
  case $(LC_ALL=C ls -ld "$1") in
    d????-??-*) return 0 ;;
  esac
  return 1
}

# Whether $1/$2 holds all files, whole, ours and as they were unpacked, and nobody else can write to $1: see trusted. A file
# that was changed since has another time. One process looks at all of them, because each start waits for it.
whole() {
  [ -O "$1" ] && [ ! -h "$1" ] && [ -O "$1/$2" ] && [ ! -h "$1/$2" ] && [ -O "$1/$2/main.js" ] || return 1
  listing=$(cd "$1/$2" && LC_ALL=C TZ=UTC0 ls -ldn .. @NAMES@ 2>/dev/null) || return 1
  set -- $listing
  case $1 in
    d????-??-*) ;;
    *) return 1 ;;
  esac
  owner=$3
  shift 9
  found=
  while [ $# -ge 9 ]; do
    case $1$8 in
      -*2020 | -*00:00) ;; # the hour in place of the year: the clock shows the same half year
      *) return 1 ;;
    esac
    [ "$3" = "$owner" ] || return 1
    found="$found $5 $6 $7 $9"
    shift 9
  done
  [ "$found" = " $files" ]
}

complete() {
  [ -x "$1/$2/roundhouse" ] && whole "$1" "$2"
}

archive() {
  tail -c "+$offset" "$0"
}

# Unpacks into $1/$hash; the status is 2 when the archive is damaged. Each file arrives by a rename and "complete" is
# the last, so that others who start now, or run already, never meet half a file. For the same reason $1/$hash itself
# is never removed.
unpack() (
  umask 077
  new=$(mktemp -d "$1/.new.XXXXXX") || exit 1
  trap 'rm -rf "$new"' EXIT
  trap 'exit 1' HUP INT TERM
  if ! archive | { gzip -dc || : >"$new/damaged"; } | tar -xopf - -C "$new" || [ -e "$new/damaged" ] || ! whole "$1" "${new##*/}"; then
    archive | gzip -t || exit 2
    exit 1
  fi
  if [ ! -x "$new/roundhouse" ]; then
    echo "nothing may be run from $1"
    exit 1
  fi
  mkdir -p "$1/$hash" || exit 1
  for file in @MOVES@; do
    mv -f "$new/$file" "$1/$hash/$file" || exit 1
  done
)

# Becomes the program in directory $1/$hash when it can be had there; returns when it can't.
start_from() {
  cache=$1
  shift
  if ! complete "$cache" "$hash"; then
    [ "$(uname -sm)" = "$system" ] || fail "this file is for $system, and here is $(uname -sm)"
    [ -d "$cache" ] || mkdir -m 700 "$cache" 2>/dev/null
    trusted "$cache" || return 0
    reason=$(unpack "$cache" 2>&1)
    case $? in
      0) complete "$cache" "$hash" || return 0 ;;
      2) fail "the file $0 is damaged; copy it again" ;;
      *) return 0 ;;
    esac
  fi
  export DENO_DIR="$cache/$hash/deno" DENO_NO_UPDATE_CHECK=1 DENO_NO_PACKAGE_JSON=1
  # SIGUSR2 makes the program start this file anew. It may run nothing else.
  export ROUNDHOUSE_EXECUTABLE="$self"
  exec "$cache/$hash/roundhouse" run @FLAGS@ "--allow-run=$self" "$cache/$hash/main.js" "$@"
}

# What the runtime would read from the environment: nothing of it is the program's, but the operator's authorities.
case $(export -p) in
  *DENO_*)
    for name in $(env | sed -n 's/^\(DENO_[A-Za-z0-9_]*\)=.*/\1/p'); do
      # The line from a new process to the one that it replaces.
      if [ "$name" = DENO_EXTRA_STDIO_FDS ] && [ -n "${ROUNDHOUSE_HANDOVER-}" ]; then continue; fi
      if [ "$name" != DENO_CERT ] || [ ! -f "$DENO_CERT" ] || [ ! -r "$DENO_CERT" ]; then unset "$name"; fi
    done
    ;;
esac
unset NODE_CHANNEL_FD NODE_OPTIONS NODE_V8_COVERAGE # OTEL_DENO and its kin are the operator's to set

reason=
for base in "${XDG_CACHE_HOME-}" "${HOME:+$HOME/.cache}"; do
  case $base in
    /*) ;;
    *) continue ;;
  esac
  [ -d "$base" ] || mkdir -p -m 700 "$base" 2>/dev/null
  # Whoever owns the directory above could put another in its place.
  [ -O "$base" ] && start_from "$base/roundhouse" "$@"
done
start_from "${TMPDIR:-/tmp}/roundhouse-$(id -u)" "$@"

fail "no directory to unpack into: set XDG_CACHE_HOME to one of your own, with 100 MB free${reason:+ (${reason%%"
"*})}"
