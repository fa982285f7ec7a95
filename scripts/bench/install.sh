#!/usr/bin/env bash
# Installs from Debian what `deno task bench` runs: nginx (backends and proxy), wrk (load), and the other proxies. None of
# them is started as a service. Whatever can't be installed is named; the benchmark leaves it out.
set -uo pipefail

readonly PACKAGES=(nginx-light wrk haproxy caddy golang-go)

run=()
if [[ $(id -u) != 0 ]]; then
  command -v sudo >/dev/null || { echo "install.sh: root or sudo is needed to install packages" >&2; exit 1; }
  run=(sudo)
fi

# Packages of servers start them at once, unless this file says no.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' | "${run[@]}" tee "$policy" >/dev/null
  "${run[@]}" chmod +x "$policy"
  trap '"${run[@]}" rm -f "$policy"' EXIT
fi

wanted=()
for package in "${PACKAGES[@]}"; do
  dpkg -s "$package" >/dev/null 2>&1 || wanted+=("$package")
done
((${#wanted[@]} == 0)) || "${run[@]}" apt-get update

missing=()
for package in "${wanted[@]}"; do # one by one: a package that can't be had is no reason to have none
  "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$package" ||
    missing+=("$package")
done
if ((${#missing[@]} > 0)); then
  echo "install.sh: could not install ${missing[*]}; the benchmark leaves out what is missing" >&2
fi
for package in nginx-light wrk; do # without these there are no backends and no load
  dpkg -s "$package" >/dev/null 2>&1 || exit 1
done
