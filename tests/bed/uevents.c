/*
 * uevents: prints when the kernel tells of a new block device, and when it tells of a mounted ext4, on one clock (CLOCK_MONOTONIC, seconds), one line each:
 * "123.456789 add sda3", "123.478901 mounted sda3".
 */
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void tell(const char *what, const char *device)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%lld.%06ld %s %s\n", (long long)now.tv_sec, now.tv_nsec / 1000, what, device);
	fflush(stdout);
}

/* "add@/devices/.../block/sda/sda3", then NUL and the variables. */
static void read_uevent(int fd)
{
	char message[8192], *name;
	ssize_t n = recv(fd, message, sizeof message - 1, 0);

	if (n <= 0)
		return;
	message[n] = '\0';
	name = strrchr(message, '/');
	if (strncmp(message, "add@", 4) == 0 && strstr(message, "/block/") && name)
		tell("add", name + 1);
}

/* "4,567,8901234,-;EXT4-fs (sda3): mounted filesystem ..." */
static void read_kmsg(int fd)
{
	char record[8192], device[64];
	ssize_t n = read(fd, record, sizeof record - 1);
	const char *text;

	if (n <= 0)
		return;
	record[n] = '\0';
	text = strstr(record, ";EXT4-fs (");
	if (text && strstr(text, "): mounted filesystem") && sscanf(text, ";EXT4-fs (%63[^)])", device) == 1)
		tell("mounted", device);
}

int main(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	struct pollfd fds[] = { { .fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT), .events = POLLIN },
				{ .fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), .events = POLLIN } };

	if (bind(fds[0].fd, (struct sockaddr *)&address, sizeof address) < 0 || lseek(fds[1].fd, 0, SEEK_END) < 0) {
		perror("uevents");
		return 1;
	}
	tell("ready", "-");
	for (;;) {
		poll(fds, 2, -1);
		if (fds[0].revents)
			read_uevent(fds[0].fd);
		if (fds[1].revents)
			read_kmsg(fds[1].fd);
	}
}
