#!/usr/bin/env bash
# Runs the cluster tests: hack/cluster-tests.sh PYTEST [arguments of the run side by side]
#
# Several clusters share the processors, and a deadline can be missed there for want of them. What failed is tried once
# more, alone, and named in the last lines whatever comes of it. Failures in more than a few files are no matter of
# chance; those of one file have mostly one cause, for its tests share what is set up for them.
set -uo pipefail
cd "$(dirname "$0")/.."

pytest=${1:?usage: hack/cluster-tests.sh PYTEST [arguments]}
shift
few=8 # one file in twenty
record=.pytest_cache/v/cache/lastfailed

failed() { sed -n 's/^ *"\(.*\)": true,\{0,1\}$/\1/p' "$record"; }
files() { sed 's/::.*//' | sort -u | grep -c .; }

rm -f "$record"
"$pytest" -q -m cluster "$@"
code=$?
((code == 1)) || exit "$code" # 1: tests failed; anything else is no failure of tests

names=$(failed)
count=$(grep -c . <<<"$names")
of=$(files <<<"$names")
if ((count == 0 || of > few)); then
    echo "$count tests of $of files failed; those of up to $few files would be tried once more, alone"
    exit 1
fi

echo
echo "== $count failed beside other clusters; once more, alone"
if "$pytest" -q -m cluster --last-failed --last-failed-no-failures none; then
    code=0
    echo "UNSTEADY: $count failed beside other clusters (why is said above) and passed alone:"
else
    code=1
    echo "FAILED TWICE, or one of them: beside other clusters there failed"
fi
while read -r name; do echo "  $name"; done <<<"$names"
exit "$code"
