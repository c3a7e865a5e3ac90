#!/bin/bash
# neighbours: what else runs in an OS besides its sshd works there, with the OS's own tools: tap devices, VLANs, packet filters and conntrack, listeners on both IP
# versions, filesystems and swap of its own. Then how quick disk and network are in the OS, beside the host: told, not judged.
#
#	bash tests/vm/neighbours.sh throughput     that last part only; ROUNDS=50 measures more often
# shellcheck disable=SC2317
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/vps.bash
. "$lib_dir/vps.bash"

# in_os: runs the script on stdin in the OS, by its sshd, and takes it for failed where one of its commands fails.
in_os() {
	local script

	script=$(cat)
	run vm_ssh 22 "set -e -o pipefail; $script"
}

# ---- the network

tap_device() {
	in_os <<-'END'
		ip tuntap add dev tap7 mode tap
		ip link set tap7 up
		ip addr add 10.7.0.1/24 dev tap7
		timeout 30 perl -Mstrict -MSocket=:all -e '
			my $request = pack("a16 S x22", "tap7", 0x1002); # IFF_TAP | IFF_NO_PI
			sysopen(my $tap, "/dev/net/tun", 2) or die "/dev/net/tun: $!\n";
			ioctl($tap, 0x400454ca, $request) or die "TUNSETIFF: $!\n";
			socket(my $udp, PF_INET, SOCK_DGRAM, 0) or die "socket: $!\n";
			# The kernel asks for the hardware address of whom it is to send to.
			send($udp, "hello", 0, pack_sockaddr_in(9, inet_aton("10.7.0.2"))) or die "send: $!\n";
			while (sysread($tap, my $frame, 2000)) {
				my ($to, $from, $type) = unpack("H12 H12 H4", $frame);
				next if $type ne "0806";
				print "to $to type $type, who has ", inet_ntoa(substr($frame, 38, 4)), "\n";
				last;
			}'
		ip link del tap7
	END
	is "$status $out" '0 to ffffffffffff type 0806, who has 10.7.0.2' "a frame is read from a tap device"
}

vlan() {
	in_os <<-'END'
		ip link add cable0 type veth peer name cable1
		ip link set cable0 address 02:00:5e:00:53:07
		ip link add link cable0 name cable0.7 type vlan id 7
		for name in cable0 cable1 cable0.7; do ip link set "$name" up; done
		ip addr add 10.7.7.1/24 dev cable0.7
		timeout 40 tcpdump -lenn -c 1 -i cable1 vlan 7 and arp >/root/frame &
		while kill -0 $!; do echo hello >/dev/udp/10.7.7.2/9; sleep 0.2; done 2>/dev/null
		wait $!
		cat /root/frame
		cat /sys/class/net/cable0/address
		ip link del cable0
	END
	like "$out" '02:00:5e:00:53:07 > .*ethertype 802\.1Q.* vlan 7, .*who-has 10\.7\.7\.2' "a frame of a VLAN interface has its tag, and the address that the interface was given"
	like "$out" $'\n02:00:5e:00:53:07' "which the interface shows"
}

owner_match() {
	in_os <<-'END'
		for uid in 65534 12345 54321; do iptables -A OUTPUT -p udp --dport 4009 -m owner --uid-owner $uid -j ACCEPT; done
		send() { setpriv --reuid "$1" --clear-groups bash -c 'echo hello >/dev/udp/127.0.0.1/4009' || true; }
		for i in 1 2 3; do send 65534; done
		send 12345
		iptables -nvxL OUTPUT | awk '/owner/ { print $NF, $1 }'
		iptables -F OUTPUT
	END
	is "$status $out" $'0 65534 3\n12345 1\n54321 0' "iptables' owner match counts the packets of each user"
}

conntrack_events() {
	in_os <<-'END'
		iptables -A OUTPUT -p udp --dport 4010 -m conntrack --ctstate NEW -j ACCEPT
		mkfifo /root/events
		timeout 40 conntrack -E -e NEW -p udp --orig-port-dst 4010 >/root/events 2>/dev/null &
		exec 3</root/events
		until read -r -t 0.2 event <&3; do
			kill -0 $!
			echo hello >/dev/udp/127.0.0.1/4010 || true
		done
		kill $!
		echo "$event"
		iptables -F OUTPUT
	END
	like "$out" 'NEW.*udp.*dst=127\.0\.0\.1.*dport=4010' "conntrack tells of a new connection"
}

# The host is the other side: the network is one.
dual_stack() {
	in_os <<-'END'
		setsid -f perl -Mstrict -MSocket=:all -e '
			alarm 120;
			socket(my $listener, PF_INET6, SOCK_STREAM, 0) or die "socket: $!\n";
			setsockopt($listener, IPPROTO_IPV6, IPV6_V6ONLY, pack("i", 0)) or die "IPV6_V6ONLY: $!\n";
			bind($listener, pack_sockaddr_in6(4046, inet_pton(AF_INET6, "::"))) or die "bind: $!\n";
			listen($listener, 5) or die "listen: $!\n";
			while (my $peer = accept(my $client, $listener)) {
				my (undef, $address) = unpack_sockaddr_in6($peer);
				syswrite $client, "you are " . inet_ntop(AF_INET6, $address) . "\n";
				close $client;
			}' </dev/null >/root/listener 2>&1
	END
	ok "a listener starts" wait_for 30 vm_ssh 3843 'ss -Hltn "sport = :4046" | grep .'
	run vm_ssh 3843 'nc -N -w 20 127.0.0.1 4046; nc -N -w 20 ::1 4046'
	is "$out" $'you are ::ffff:127.0.0.1\nyou are ::1' "and is reached over IPv4 and over IPv6"
}

# ---- the disk

filesystems_and_swap() {
	in_os <<-'END'
		findmnt -no FSTYPE,LABEL /data
		tail -n 1 /data/boots | grep -c .
		swapon --show=TYPE,LABEL --noheadings
	END
	is "$status $(tr -s ' ' <<<"$out")" $'0 ext4 data\n1\npartition gcdswap' "the boot has mounted a second filesystem by the OS's own fstab, and turned its swap on"
	run vm_ssh 3843 'grep -c /data /proc/mounts'
	is "$out" 0 "which the host's mount table does not show"
}

# The disk is as the OS left it, in order, and it can be read by others.
disk_after_stop() {
	run vm_ssh 3843 'for partition in 3 4; do
			dumpe2fs -h "$(readlink -f /dev/disk/by-id/*gcd)$partition" 2>/dev/null | grep "^Filesystem state:" | tr -s " "
		done'
	is "$out" $'Filesystem state: clean\nFilesystem state: clean' "its filesystems are clean"
}

# ---- how quick

# side_start NAME PORT: the program that measures, on the host or in the OS; ask NAME LINE: sets $answer.
declare -A side_in side_out side_pid

side_start() {
	local name=$1 port=$2 in out

	vm_put "$port" /root "$BUILD/tests/vm/throughput" || return 1
	mkfifo "$T/$name.in" "$T/$name.out"
	RUN_TIMEOUT=3600 vm_ssh "$port" /root/throughput <"$T/$name.in" >"$T/$name.out" &
	exec {in}>"$T/$name.in" {out}<"$T/$name.out"
	side_in[$name]=$in side_out[$name]=$out
	read -r -t 60 -u "$out" "side_pid[$name]"
}

ask() {
	echo "$2" >&"${side_in[$1]}"
	read -r -t 120 -u "${side_out[$1]}" answer
}

# side_end NAME: it ends with its stdin.
side_end() {
	local in=${side_in[$1]} out=${side_out[$1]}

	exec {in}>&- {out}<&-
}

# median: of the numbers on stdin.
median() {
	sort -g | awk '{ value[NR] = $1 } END { print (value[int((NR + 1) / 2)] + value[int((NR + 2) / 2)]) / 2 }'
}

# order ROUND: who measures when: each is the first as often as the others, and comes before each of them.
order() {
	local sides=(inside outside again) first=$(($1 % 3)) step=$(($1 / 3 % 2 + 1))

	echo "${sides[first]} ${sides[(first + step) % 3]} ${sides[(first + 2 * step) % 3]}"
}

# ratio SIDE: of its rate to that of the host, round by round: median, least and most.
ratio() {
	paste "$T/rates.$1" "$T/rates.outside" | awk '{ print $1 / $2 }' | sort -g >"$T/ratio"
	printf '%.3f (%.2f to %.2f)' "$(median <"$T/ratio")" "$(head -n 1 "$T/ratio")" "$(tail -n 1 "$T/ratio")"
}

# compare WHAT INSIDE OUTSIDE: they take turns. The host takes part twice, against itself: so much is noise. The first round is not counted.
compare() {
	local what=$1 round side line answer

	rm -f "$T"/rates.*
	for ((round = 0; round <= ${ROUNDS:-12}; round++)); do
		for side in $(order "$round"); do
			line=$3
			[ "$side" != inside ] || line=$2
			ask "$side" "$line" || { fail "measures $what, $side" && return; }
			[ "$round" = 0 ] || echo "$answer" >>"$T/rates.$side"
		done
	done
	pass "measured: $what"
	diag "$(printf '%s, MiB/s: inside %.1f, outside %.1f; inside/outside %s; outside/outside %s; %d rounds' "$what" "$(median <"$T/rates.inside")" \
		"$(median <"$T/rates.outside")" "$(ratio inside)" "$(ratio again)" "$(wc -l <"$T/rates.outside")")"
}

# The host reads the same device, and writes the same file: by the root directory of a process in the OS.
throughput() {
	local disk side

	ok "the program that measures runs in the OS" side_start inside 22
	ok "and on the host" side_start outside 3843
	ok "twice" side_start again 3843
	disk=$(vm_ssh 3843 'readlink -f /dev/disk/by-id/*gcd')
	compare "reading a disk (O_DIRECT)" "read $disk 600" "read $disk 600"
	compare "writing a file on ext4, with fsync" 'write /root/rate 32' "write /proc/${side_pid[inside]}/root/root/rate 32"
	compare "TCP over 127.0.0.1" 'loopback 32' 'loopback 32'
	for side in inside outside again; do
		side_end "$side"
	done
}

# ---- the story

parts=("$@")
[ $# -gt 0 ] || parts=(tap_device vlan owner_match conntrack_events dual_stack filesystems_and_swap throughput)

cp --sparse=always "$os_image" "$T/gcd.img"
vm_new vps
vm_disk "$T/gcd.img" gcd
vps_power_on || vm_give_up
ok "gcdboot is installed" vps_install || vm_give_up
vps_configure <<-'END'
	[root]
	source = LABEL=/
	[stop]
	run = ip link del gone7
END
vps_before
vps_start_os
run vm_ssh 22 cat /etc/os-release
like "$out" 'GCD OS' "ssh to port 22 is in the OS"
ok "it makes network interfaces" vm_ssh 22 'ip link add gone7 type dummy && ip link add stays7 type dummy'

for part in "${parts[@]}"; do
	"$part"
done

vps_stop_os
vps_same "the host's mounts, swap and loop devices are as before"
run vm_ssh 3843 'ls /sys/class/net'
like "$out" stays7 "an interface that the OS made stays"
unlike "$out" gone7 "but for one that its stop command has taken away"
disk_after_stop
done_testing
