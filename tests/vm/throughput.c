/*
 * throughput: measures what it is told to on stdin, a line at a time, and answers each line with MiB/s. Static, so that it is the same program in the OS and on its
 * host, and whoever runs both can let them take turns. It begins with its pid.
 *
 *	read DEVICE MIB    from the device, past the page cache
 *	write FILE MIB     into the page cache and from there to the disk; the file is emptied first
 *	loopback MIB       over TCP on 127.0.0.1, from one process to another
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define ALIGNMENT 4096

/* Aligned as O_DIRECT wants it. */
static _Alignas(ALIGNMENT) char block[MIB];

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double measure_read(const char *path, size_t mib)
{
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	double start = now_s();

	if (fd < 0)
		err(1, "cannot open %s", path);
	for (size_t i = 0; i < mib; i++) {
		if (read(fd, block, MIB) != (ssize_t)MIB)
			err(1, "cannot read MiB %zu of %s", i, path);
	}
	close(fd);
	return now_s() - start;
}

static double measure_write(const char *path, size_t mib)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	double start;

	/* What was in the file is given back before the clock runs. */
	if (fd < 0 || fsync(fd) < 0)
		err(1, "cannot empty %s", path);
	start = now_s();
	for (size_t i = 0; i < mib; i++) {
		if (write(fd, block, MIB) != (ssize_t)MIB)
			err(1, "cannot write MiB %zu of %s", i, path);
	}
	if (fsync(fd) < 0)
		err(1, "cannot write %s to the disk", path);
	close(fd);
	return now_s() - start;
}

static void send_all(const struct sockaddr_in *to, size_t mib)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) < 0)
		err(1, "cannot connect to 127.0.0.1");
	for (size_t left = mib * MIB; left > 0;) {
		ssize_t sent = write(fd, block, left < MIB ? left : MIB);

		if (sent < 0)
			err(1, "cannot send");
		left -= (size_t)sent;
	}
	close(fd);
}

/* Until the sender closes; returns the bytes that came. */
static size_t receive_all(int listener)
{
	int fd = accept(listener, NULL, NULL);
	size_t came = 0;
	ssize_t got;

	if (fd < 0)
		err(1, "cannot accept a connection");
	while ((got = read(fd, block, MIB)) > 0)
		came += (size_t)got;
	if (got < 0)
		err(1, "cannot receive");
	close(fd);
	return came;
}

static double measure_loopback(size_t mib)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	double start;
	size_t came;
	pid_t sender;

	if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &length) < 0)
		err(1, "cannot listen on 127.0.0.1");
	start = now_s();
	sender = fork();
	if (sender < 0)
		err(1, "cannot fork");
	if (sender == 0) {
		send_all(&address, mib);
		_exit(0);
	}
	came = receive_all(listener);
	if (came != mib * MIB)
		errx(1, "%zu bytes came instead of %zu", came, mib * MIB);
	waitpid(sender, NULL, 0);
	close(listener);
	return now_s() - start;
}

/* In MiB/s. */
static double measure(const char *line)
{
	char path[400];
	double seconds;
	size_t mib;

	if (sscanf(line, "read %399s %zu", path, &mib) == 2)
		seconds = measure_read(path, mib);
	else if (sscanf(line, "write %399s %zu", path, &mib) == 2)
		seconds = measure_write(path, mib);
	else if (sscanf(line, "loopback %zu", &mib) == 1)
		seconds = measure_loopback(mib);
	else
		errx(2, "unknown: %s", line);
	return (double)mib / seconds;
}

/* Each by a process of its own, with its buffer in other pages of the machine's memory: good or bad luck with these does not last. */
int main(void)
{
	char line[512];

	alarm(3600);
	printf("%ld\n", (long)getpid());
	while (fflush(stdout) == 0 && fgets(line, sizeof line, stdin)) {
		int status = 1;
		pid_t pid = fork();

		if (pid == 0) {
			memset(block, 1, sizeof block);
			printf("%.2f\n", measure(line));
			fflush(stdout);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
			errx(1, "not measured: %s", line);
	}
	return 0;
}
