#!/bin/bash
# wsl.sh CPIO PROGRAM...: packs what makes Debian's initramfs that of a machine of WSL's shape (it is appended to it): the PROGRAMs, which are the stand-in for
# Windows, wsl_init, and those that go into the distribution, and wsl/.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cpio=$(realpath -m "$1")
work=$(mktemp -d "$(dirname "$cpio")/wsl.XXXXXX")
trap 'rm -rf "$work"' EXIT

install -d "$work/tree/bed"
install -m 755 "${@:2}" "$here"/wsl/* "$work/tree/bed"
mv "$work/tree/bed/windows" "$work/tree/init"
mv "$work/tree/bed/wsl_init" "$work/tree/wsl_init"
(cd "$work/tree" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$work/cpio"
mv "$work/cpio" "$cpio"
