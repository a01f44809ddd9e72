#!/bin/sh
# The models in src/unmist/models, from nothing: about four hours of one core. They are trained on
# the sets that come with the package, stored as float16, then measured and tuned as stored.
# Usage: scripts/make_models.sh FOLDER   (stopped, the same command goes on)
set -eu
work=${1:?"name a folder to work in"}
unmist=${UNMIST:-unmist}
here=$(cd "$(dirname "$0")/.." && pwd)

make() { # NAME STUDENT-SAMPLES SCALES BUDGETS
    [ -d "$work/packed/$1" ] || "$unmist" pack "$work/$1" --half --to "$work/packed/$1"
    "$unmist" evaluate "$work/packed/$1" --scales "$3" --count 500 --steps 12
    "$unmist" tune "$work/packed/$1" --steps "$4" --seeds 24
    "$unmist" distill "$work/packed/$1" --steps 2 --set "training.samples=$2"
    "$unmist" evaluate "$work/packed/$1" --count 1000
    rm -rf "$here/src/unmist/models/$1"
    "$unmist" pack "$work/packed/$1" --half --to "$here/src/unmist/models/$1"
}

mkdir -p "$work/packed"
"$unmist" train digits --on label --set network.width=32 --set training.samples=240000 \
    --to "$work/digits"
make digits 40000 1,1.5,2 4,6,8,12
"$unmist" train emoji --on text --set network.width=48 --set draw.mean=0.8 --set draw.std=1.4 \
    --set augment.share=0.15 --set training.samples=520000 --to "$work/emoji"
make emoji 16000 1,2,3,4 6,10
