#!/bin/bash
# root.sh TARBALL: makes the GCD OS of the demo and the tests: a minimal Debian with daemontools, and gcdos/ laid over it, as one tarball.
# It is made again only when its recipe (this file and gcdos/) has changed. Needs root; the packages come from the apt sources of this machine.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tarball=$(realpath -m "$1")
stamp=$tarball.recipe
work=

die() {
	echo "tests/bed/root.sh: $*" >&2
	exit 1
}

# Everything that goes into the tarball, as one checksum.
recipe() {
	{
		cat "$here/root.sh"
		dpkg --print-architecture
		cd "$here/gcdos" && find . -type f -printf '%p %m\n' -exec sha256sum {} + | LC_ALL=C sort
	} | sha256sum
}

# The Debian archives among this machine's apt sources, in one-line format. Others (a vendor's repository) have no place in the image.
debian_sources() {
	apt-get indextargets --format "deb \$(REPO_URI) \$(RELEASE) \$(COMPONENT)" "Created-By: Packages" "Origin: Debian" | LC_ALL=C sort -u
}

# mmdebstrap mounts /proc and more into the tree: in a namespace of its own these go with it, whatever happens. The tree is made beside the
# tarball and packed only after the overlay is in.
bootstrap() {
	local tree=$1 sources=$2

	unshare -m -p -f --kill-child --mount-proc --propagation private \
		mmdebstrap --quiet --mode=root --variant=minbase --include=daemontools,busybox-static \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
		'' "$tree" "$sources" ||
		die "mmdebstrap failed; the sources it used: $(cat "$sources")"
}

# The marks of the GCD OS: its own boot scripts, services, os-release, and root in two groups that the host does not know.
overlay() {
	local tree=$1

	rm -f "$tree/etc/os-release" "$tree/etc/resolv.conf"
	cp -a "$here/gcdos/." "$tree/"
	chown -R 0:0 "$tree"/{etc/init.d,etc/rc.d,etc/fstab,etc/hostname,etc/os-release,service,root}
	printf 'floppy11:x:11:root\nusers14:x:14:root\n' >>"$tree/etc/group"
	mkdir -p "$tree"/{data,boot/lib/modules,var/log/clock}
	[ -e "$tree/lib/modules" ] || ln -s /boot/lib/modules "$tree/lib/modules"
	: >"$tree/etc/resolv.conf"
}

[ $# = 1 ] || die "usage: root.sh TARBALL"
recipe_now=$(recipe)
if [ -f "$tarball" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$recipe_now" ]; then
	exit 0
fi
[ "$(id -u)" = 0 ] || die "needs root"

mkdir -p "$(dirname "$tarball")"
work=$(mktemp -d "$(dirname "$tarball")/root.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM

echo "making a minimal Debian with daemontools (once; kept in $tarball)"
[ -n "$(debian_sources)" ] || apt-get update -qq
debian_sources >"$work/sources.list"
[ -s "$work/sources.list" ] || die "no Debian archive among this machine's apt sources"
bootstrap "$work/tree" "$work/sources.list"
overlay "$work/tree"
tar -C "$work/tree" --numeric-owner --xattrs -cf "$work/root.tar" .
mv "$work/root.tar" "$tarball"
echo "$recipe_now" >"$stamp"
