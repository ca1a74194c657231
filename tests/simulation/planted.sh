#!/usr/bin/env bash
# Plants one bug after the other into a copy of the sources, and sees whether the simulation finds it. A bug that is not
# found, or no longer fits the sources, fails.
#
#   tests/simulation/planted.sh [SEEDS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
seeds=${1:-2000}
copy=$(mktemp -d)/tributary
# Cargo knows a copy's sources from these by their times only, and would take what was built with a bug for the latest.
trap 'git worktree remove --force "$copy"; git ls-files "*.rs" | xargs touch' EXIT
git worktree add --quiet --detach "$copy" HEAD
failed=0
for patch in tests/simulation/planted/*.patch; do
  name=$(basename "$patch" .patch)
  git -C "$copy" reset --quiet --hard
  if ! git -C "$copy" apply "$PWD/$patch"; then
    echo "$name: no longer fits the sources"
    failed=1
    continue
  fi
  (cd "$copy" && cargo test --release --locked --test e2e --no-run --quiet)
  log=$(mktemp)
  if (cd "$copy" && SIM_SEEDS=$seeds cargo test --release --locked --test e2e --quiet -- simulation::nothing) >"$log" 2>&1; then
    echo "$name: NOT FOUND in $seeds seeds"
    failed=1
  else
    echo "$name: found; $(grep -oE '[0-9]+ of [0-9]+ seeds fail, the first is [0-9]+' "$log" | head -1)"
  fi
  rm -f "$log"
done
exit "$failed"
