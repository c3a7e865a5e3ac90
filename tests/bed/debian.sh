# shellcheck shell=bash
# debian.sh: a Debian as a tree, made by mmdebstrap from the archives among this machine's apt sources. Sourced by the scripts that make what is booted.

# debian_sources [SUITE]: this machine's Debian archives, in one-line format; with SUITE, another release from the same main archive. Others (a
# vendor's repository) have no place in an image.
debian_sources() {
	local here

	here=$(apt-get indextargets --format "deb \$(REPO_URI) \$(RELEASE) \$(COMPONENT)" "Created-By: Packages" "Origin: Debian" | LC_ALL=C sort -u)
	if [ $# = 0 ]; then
		[ -z "$here" ] || echo "$here"
	else
		awk -v suite="$1" '$3 !~ /-/ { print $1, $2, suite, "main"; exit }' <<<"$here"
	fi
}

# debian_make TREE SUITE PACKAGE,... [OPTION...]: SUITE may be empty: this machine's. mmdebstrap mounts /proc and more into the tree: in a namespace of
# its own these go with it, whatever happens.
debian_make() {
	local tree=$1 suite=$2 packages=$3 sources=$1.list

	shift 3
	debian_sources | grep -q . || apt-get update -qq
	debian_sources ${suite:+"$suite"} >"$sources"
	[ -s "$sources" ] || { echo "no Debian archive among this machine's apt sources" >&2 && return 1; }
	unshare -m -p -f --kill-child --mount-proc --propagation private \
		mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
		"$@" "$suite" "$tree" "$sources" ||
		{ echo "mmdebstrap failed; the sources it used: $(cat "$sources")" >&2 && return 1; }
	rm "$sources"
}

# recipe_of FILE|DIRECTORY...: everything that an image is made from, as one checksum; arguments that are neither count as text.
recipe_of() {
	local part

	dpkg --print-architecture | cat - <(
		for part in "$@"; do
			if [ -d "$part" ]; then
				(cd "$part" && find . -type f -printf '%p %m\n' -exec sha256sum {} + | LC_ALL=C sort)
			elif [ -f "$part" ]; then
				cat "$part"
			else
				printf '%s\n' "$part"
			fi
		done
	) | sha256sum
}

# recipe_is FILE RECIPE: whether the file is there, and was made by it. recipe_note FILE RECIPE: it was.
recipe_is() {
	[ -f "$1" ] && [ "$(cat "$1.recipe" 2>/dev/null)" = "$2" ]
}

recipe_note() {
	echo "$2" >"$1.recipe"
}
