/*
 * windows: stands in for Windows in the tests: it plays wsl.exe, powershell.exe, whoami.exe and cmd.exe, and their interop sockets. Static, so that it
 * runs in any root.
 *
 * As the interpreter of a .exe, which it plays by the name of that file:
 *   - of a file with an MZ header, through binfmt_misc: ":WSLInterop:M::MZ::/path/of/windows:FP" (F: it need not be there in the OS's root);
 *   - of a file that begins with "#!/path/of/windows", where a test must not touch the machine's binfmt_misc.
 * By hand: `windows serve SOCKET...` listens on interop sockets until it is killed; `windows dead SOCKET...` leaves sockets that nobody listens on.
 *
 * Everything else is in the directory /run/windows:
 *   conf      what Windows is like, read at each call; one "KEY VALUE" a line, '#' begins a comment:
 *     drive DIR                     counts as a Windows drive, besides those that the mount table shows (9p with aname=drvfs, drvfs, virtiofs)
 *     disk N FLAGS SERIAL MODEL     PHYSICALDRIVEn. FLAGS: of b (boot) s (system) o (offline) and letters of volumes in capitals, or -;
 *                                   '_' in SERIAL is a blank; MODEL is the rest of the line
 *     elevated yes|no               no by default means yes
 *     profile C:\Users\NAME         %USERPROFILE%
 *     prose en|de|ja                the language of messages
 *     status N                      the exit status of a wsl.exe that failed (default 255)
 *     answer attach|detach CODE [N] CODE is the answer (WSL_E_..., ERROR_..., 0x...; `nothing`: exit status 1 without a word), to the first N calls only
 *     hang PROGRAM                  it never ends (wsl.exe, powershell.exe, ...)
 *     delay MS, after MS            how long wsl.exe takes before the disk is asked for, and from then until it answers
 *     later MS                      handed on to who plugs the disk: how long after his reply it is to appear
 *     plug FILE [FILE]              where the disk is asked for, and where the reply is read (default: the same one, a serial line or a virtio port)
 *   attached  the numbers of the drives that are attached, one a line
 *   log       one line for each call: "PROGRAM cwd=DIR socket=SOCKET utf8=0|1 ARGUMENTS -> STATUS"
 * The plug protocol: the line "attach N LATER_MS" or "detach N 0" is written to FILE; the reply is a line "ok", or a CODE, with which wsl.exe then fails.
 *
 * How it differs from Windows: there is no Windows behind the socket (connect() is all that is asked of it); powershell.exe runs no script, but prints what
 * gcdboot's one question is answered with; wsl.exe knows --mount N --bare, --unmount N, --version; the words of its messages are made up but for the codes;
 * and what the kernel or /init of WSL say themselves is known from reports only ("Invalid argument" from a directory that is not on a drive; exit status 1
 * where no socket answers).
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#define DIR_ "/run/windows/"
#define PRESERVED_ARGV0 1 /* AT_FLAGS_PRESERVE_ARGV0: the entry has the flag P */
#define DISKS_MAX 16

struct disk {
	int number;
	char flags[32], serial[64], model[64];
};

struct windows {
	struct disk disk[DISKS_MAX];
	size_t disk_count;
	char drive[8][256];
	size_t drive_count;
	char profile[128], prose[4], attach_answer[64], detach_answer[64], hang[64], plug_out[128], plug_in[128];
	int attach_times, detach_times, status, delay_ms, after_ms, later_ms;
	bool elevated, utf8;
	char log[4096];
};

static void add_log(struct windows *w, const char *fmt, ...)
{
	size_t len = strlen(w->log);
	va_list args;

	va_start(args, fmt);
	vsnprintf(w->log + len, sizeof w->log - len, fmt, args);
	va_end(args);
}

__attribute__((noreturn)) static void end(struct windows *w, int status)
{
	int fd = open(DIR_ "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	add_log(w, " -> %d\n", status);
	if (fd >= 0 && write(fd, w->log, strlen(w->log)) < 0)
		perror(DIR_ "log");
	fflush(stdout);
	exit(status);
}

/* ---- conf */

static void read_disk(struct windows *w, const char *value)
{
	struct disk *d = &w->disk[w->disk_count];
	int at = 0;

	if (w->disk_count == DISKS_MAX || sscanf(value, "%d %31s %63s %n", &d->number, d->flags, d->serial, &at) < 3)
		return;
	snprintf(d->model, sizeof d->model, "%s", value + at);
	for (char *p = d->serial; *p; p++)
		if (*p == '_')
			*p = ' ';
	w->disk_count++;
}

static void read_answer(struct windows *w, const char *value)
{
	char what[16], code[64];
	int times = -1;

	if (sscanf(value, "%15s %63s %d", what, code, &times) < 2)
		return;
	if (strcmp(what, "attach") == 0) {
		strcpy(w->attach_answer, code);
		w->attach_times = times;
	} else {
		strcpy(w->detach_answer, code);
		w->detach_times = times;
	}
}

static void read_key(struct windows *w, const char *key, const char *value)
{
	if (strcmp(key, "drive") == 0 && w->drive_count < 8)
		snprintf(w->drive[w->drive_count++], sizeof w->drive[0], "%s", value);
	else if (strcmp(key, "disk") == 0)
		read_disk(w, value);
	else if (strcmp(key, "elevated") == 0)
		w->elevated = strcmp(value, "no") != 0;
	else if (strcmp(key, "profile") == 0)
		snprintf(w->profile, sizeof w->profile, "%s", value);
	else if (strcmp(key, "prose") == 0)
		snprintf(w->prose, sizeof w->prose, "%.2s", value);
	else if (strcmp(key, "status") == 0)
		w->status = atoi(value);
	else if (strcmp(key, "answer") == 0)
		read_answer(w, value);
	else if (strcmp(key, "hang") == 0)
		snprintf(w->hang, sizeof w->hang, "%s", value);
	else if (strcmp(key, "delay") == 0)
		w->delay_ms = atoi(value);
	else if (strcmp(key, "after") == 0)
		w->after_ms = atoi(value);
	else if (strcmp(key, "later") == 0)
		w->later_ms = atoi(value);
	else if (strcmp(key, "plug") == 0 && sscanf(value, "%127s %127s", w->plug_out, w->plug_in) == 1)
		strcpy(w->plug_in, w->plug_out);
}

static void read_conf(struct windows *w)
{
	FILE *in = fopen(DIR_ "conf", "re");
	char line[512];

	*w = (struct windows){ .elevated = true, .status = 255, .profile = "C:\\Users\\me", .prose = "en", .attach_times = -1, .detach_times = -1 };
	while (in && fgets(line, sizeof line, in)) {
		char *value;

		line[strcspn(line, "#\n")] = '\0';
		for (size_t n = strlen(line); n > 0 && line[n - 1] == ' '; n--)
			line[n - 1] = '\0';
		value = strchr(line, ' ');
		if (!value)
			continue;
		*value++ = '\0';
		read_key(w, line, value + strspn(value, " "));
	}
	if (in)
		fclose(in);
}

/* ---- what wsl.exe prints */

/* One line, "\r\r\n" at its end, on stdout; in UTF-16LE unless WSL_UTF8=1 came through WSLENV. */
static void say(const struct windows *w, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text - 4, fmt, args);
	va_end(args);
	strcat(text, "\r\r\n");
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		unsigned c = *p;

		if (w->utf8) {
			putchar((int)c);
			continue;
		}
		/* The messages below have no character beyond U+FFFF. */
		if (c >= 0xe0) {
			c = (c & 0x0f) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
			p += 2;
		} else if (c >= 0xc0) {
			c = (c & 0x1f) << 6 | (p[1] & 0x3fu);
			p++;
		}
		putchar((int)(c & 0xff));
		putchar((int)(c >> 8));
	}
}

/* Whether the variable reaches Windows: its name stands in WSLENV, maybe with flags behind a '/'. */
static bool reaches_windows(const char *name)
{
	const char *list = getenv("WSLENV");
	size_t len = strlen(name);

	for (const char *p = list; p && *p; p += strcspn(p, ":"), p += *p == ':')
		if (strncmp(p, name, len) == 0 && (p[len] == '\0' || p[len] == ':' || p[len] == '/'))
			return true;
	return false;
}

static bool is_prose(const struct windows *w, const char *language)
{
	return strcmp(w->prose, language) == 0;
}

__attribute__((noreturn)) static void fail(struct windows *w, const char *verb, const char *code)
{
	if (strcmp(code, "nothing") == 0)
		end(w, 1);
	if (is_prose(w, "de"))
		say(w, "Der Datenträger konnte nicht an WSL2 angefügt werden: Zugriff verweigert.");
	else if (is_prose(w, "ja"))
		say(w, "ディスクを WSL2 に接続できませんでした。");
	else
		say(w, "Failed to %s the disk: something is wrong.", verb);
	say(w, "%s: Wsl/Service/%s/MountDisk/HCS/%s",
	    is_prose(w, "de")   ? "Fehlercode"
	    : is_prose(w, "ja") ? "エラー コード"
				: "Error code",
	    strcmp(verb, "attach") == 0 ? "AttachDisk" : "DetachDisk", code);
	end(w, w->status);
}

/* ---- the attached drives */

static bool is_attached(int number)
{
	FILE *in = fopen(DIR_ "attached", "re");
	bool found = false;
	int n;

	while (in && !found && fscanf(in, "%d", &n) == 1)
		found = n == number;
	if (in)
		fclose(in);
	return found;
}

static void note_attached(int number, bool attached)
{
	FILE *in = fopen(DIR_ "attached", "re"), *out = fopen(DIR_ "attached.new", "we");
	int n;

	while (in && out && fscanf(in, "%d", &n) == 1)
		if (n != number)
			fprintf(out, "%d\n", n);
	if (attached && out)
		fprintf(out, "%d\n", number);
	if (in)
		fclose(in);
	if (out)
		fclose(out);
	rename(DIR_ "attached.new", DIR_ "attached");
}

/* How often it was called, this call included. */
static int count_call(const char *what)
{
	char path[64];
	int count = 0;
	FILE *f;

	snprintf(path, sizeof path, DIR_ "count.%s", what);
	f = fopen(path, "re");
	if (f && fscanf(f, "%d", &count) != 1)
		count = 0;
	if (f)
		fclose(f);
	f = fopen(path, "we");
	if (f) {
		fprintf(f, "%d\n", ++count);
		fclose(f);
	}
	return count;
}

/* ---- the plug: who is outside of the machine has the disk */

static int open_line(const char *path, int flags)
{
	int fd = open(path, flags | O_NOCTTY | O_CLOEXEC);
	struct termios raw;

	if (fd >= 0 && tcgetattr(fd, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(fd, TCSANOW, &raw);
	}
	return fd;
}

static void read_reply(int fd, char *reply, size_t size)
{
	size_t len = 0;
	char c;

	while (len + 1 < size && read(fd, &c, 1) == 1 && c != '\n')
		if (c != '\r')
			reply[len++] = c;
	reply[len] = '\0';
}

/* Returns NULL for "ok", or the code to fail with. */
static const char *ask_outside(struct windows *w, const char *verb, int number, int later_ms)
{
	bool same = strcmp(w->plug_in, w->plug_out) == 0;
	static char reply[64];
	int lock, out, in;

	if (!w->plug_out[0])
		return NULL;
	lock = open(DIR_ "plug.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	flock(lock, LOCK_EX);
	out = open_line(w->plug_out, same ? O_RDWR : O_WRONLY);
	if (out < 0 || dprintf(out, "%s %d %d\n", verb, number, later_ms) < 0)
		return "ERROR_NOT_READY";
	in = same ? out : open_line(w->plug_in, O_RDONLY);
	read_reply(in, reply, sizeof reply);
	close(out);
	close(lock);
	return strcmp(reply, "ok") == 0 ? NULL : reply[0] ? reply : "ERROR_NOT_READY";
}

/* ---- wsl.exe */

static int drive_number(const char *name)
{
	static const char prefix[] = "\\\\.\\PHYSICALDRIVE";

	return strncasecmp(name, prefix, sizeof prefix - 1) == 0 ? atoi(name + sizeof prefix - 1) : -1;
}

static const struct disk *find_disk(const struct windows *w, int number)
{
	for (size_t i = 0; i < w->disk_count; i++)
		if (w->disk[i].number == number)
			return &w->disk[i];
	return NULL;
}

static void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

__attribute__((noreturn)) static void attach(struct windows *w, int number)
{
	const struct disk *disk = find_disk(w, number);
	int calls = count_call("attach");
	const char *code;

	pause_ms(w->delay_ms);
	if (w->attach_answer[0] && (w->attach_times < 0 || calls <= w->attach_times))
		fail(w, "attach", w->attach_answer);
	if (!w->elevated)
		fail(w, "attach", "WSL_E_ELEVATION_NEEDED_TO_MOUNT_DISK");
	if (!disk)
		fail(w, "attach", "ERROR_FILE_NOT_FOUND");
	if (strpbrk(disk->flags, "bs"))
		fail(w, "attach", "ERROR_SHARING_VIOLATION");
	if (is_attached(number))
		fail(w, "attach", "WSL_E_DISK_ALREADY_ATTACHED");
	code = ask_outside(w, "attach", number, w->later_ms);
	if (code)
		fail(w, "attach", code);
	note_attached(number, true);
	pause_ms(w->after_ms);
	say(w, is_prose(w, "de")   ? "Der Vorgang wurde erfolgreich beendet."
	       : is_prose(w, "ja") ? "この操作を正しく終了しました。"
				   : "The operation completed successfully.");
	end(w, 0);
}

__attribute__((noreturn)) static void detach(struct windows *w, int number)
{
	int calls = count_call("detach");
	const char *code;

	pause_ms(w->delay_ms);
	if (w->detach_answer[0] && (w->detach_times < 0 || calls <= w->detach_times))
		fail(w, "detach", w->detach_answer);
	if (!is_attached(number))
		fail(w, "detach", "ERROR_FILE_NOT_FOUND");
	code = ask_outside(w, "detach", number, 0);
	if (code)
		fail(w, "detach", code);
	note_attached(number, false);
	end(w, 0);
}

__attribute__((noreturn)) static void play_wsl(struct windows *w, char **args)
{
	int number = args[0] && args[1] ? drive_number(args[1]) : -1;

	if (args[0] && strcmp(args[0], "--mount") == 0 && number >= 0 && args[2] && strcmp(args[2], "--bare") == 0 && !args[3])
		attach(w, number);
	if (args[0] && strcmp(args[0], "--unmount") == 0 && number >= 0 && !args[2])
		detach(w, number);
	if (args[0] && strcmp(args[0], "--version") == 0) {
		say(w, "WSL version: 2.5.9.0");
		end(w, 0);
	}
	fail(w, "attach", "E_INVALIDARG");
}

/* ---- the others: they write in a code page of one byte, and "\r\n" */

__attribute__((noreturn)) static void play_powershell(struct windows *w, char **args)
{
	bool disks = false;

	for (; *args; args++)
		disks = disks || strstr(*args, "MSFT_Disk");
	if (!disks)
		end(w, 1);
	printf("profile|%s\r\n", w->profile);
	for (size_t i = 0; i < w->disk_count; i++) {
		const struct disk *d = &w->disk[i];

		printf("disk|%d|%s|%s|%s|", d->number, strchr(d->flags, 'b') ? "True" : "False", strchr(d->flags, 's') ? "True" : "False",
		       strchr(d->flags, 'o') || is_attached(d->number) ? "True" : "False");
		for (const char *p = d->flags; *p; p++)
			if (isupper((unsigned char)*p))
				putchar(*p);
		printf("|%s|%s\r\n", d->serial, d->model);
	}
	end(w, 0);
}

__attribute__((noreturn)) static void play_whoami(struct windows *w)
{
	printf("\r\nGRUPPENINFORMATIONEN\r\n-----------------\r\n\r\nGruppenname  Typ  SID\r\n===========  ===  ===\r\n"
	       "Jeder        Bekannte Gruppe S-1-1-0\r\nVerbindliche Beschriftung\\%s Bezeichnung S-1-16-%s\r\n",
	       w->elevated ? "Hohe Verbindlichkeitsstufe" : "Mittlere Verbindlichkeitsstufe", w->elevated ? "12288" : "8192");
	end(w, 0);
}

__attribute__((noreturn)) static void play_cmd(struct windows *w, char **args)
{
	if (args[0] && strcasecmp(args[0], "/c") == 0 && args[1] && strcasecmp(args[1], "ver") == 0) {
		printf("\r\nMicrosoft Windows [Version 10.0.22631.1]\r\n");
		end(w, 0);
	}
	end(w, 1);
}

/* ---- what WSL's own interpreter does first */

static bool answers(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok;

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	ok = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
	close(fd);
	return ok;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], line[256];
	pid_t parent = 0;
	FILE *in;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	in = fopen(path, "re");
	while (in && fgets(line, sizeof line, in))
		if (sscanf(line, "PPid: %d", &parent) == 1)
			break;
	if (in)
		fclose(in);
	return parent;
}

/* $WSL_INTEROP where that exists, else the first /run/WSL/PID_interop up the parents. */
static bool find_socket(char path[128])
{
	const char *given = getenv("WSL_INTEROP");

	if (given && access(given, F_OK) == 0) {
		snprintf(path, 128, "%s", given);
		return answers(path);
	}
	for (pid_t pid = getppid(); pid > 0; pid = parent_of(pid)) {
		snprintf(path, 128, "/run/WSL/%d_interop", pid);
		if (access(path, F_OK) == 0)
			return answers(path);
	}
	snprintf(path, 128, "none");
	return false;
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static bool is_on_drive(const struct windows *w, const char *cwd)
{
	FILE *in = fopen("/proc/self/mountinfo", "re");
	char line[4096], target[1024], type[64], super[1024];
	bool is = false;

	for (size_t i = 0; i < w->drive_count; i++)
		is = is || is_below(cwd, w->drive[i]);
	while (!is && in && fgets(line, sizeof line, in)) {
		const char *dash = strstr(line, " - ");

		if (!dash || sscanf(line, "%*d %*d %*s %*s %1023s", target) != 1 || sscanf(dash, " - %63s %*s %1023s", type, super) != 2)
			continue;
		is = ((strcmp(type, "9p") == 0 && strstr(super, "aname=drvfs")) || strcmp(type, "drvfs") == 0 || strcmp(type, "virtiofs") == 0) &&
		     is_below(cwd, target);
	}
	if (in)
		fclose(in);
	return is;
}

__attribute__((noreturn)) static void play(const char *file, char **args)
{
	char cwd[4096] = "", socket_path[128];
	const char *name = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
	struct windows w;
	bool connected;

	read_conf(&w);
	w.utf8 = reaches_windows("WSL_UTF8") && getenv("WSL_UTF8") && strcmp(getenv("WSL_UTF8"), "1") == 0;
	connected = find_socket(socket_path);
	if (!getcwd(cwd, sizeof cwd))
		strcpy(cwd, "?");
	add_log(&w, "%s cwd=%s socket=%s utf8=%d", name, cwd, socket_path, w.utf8);
	for (char **arg = args; *arg; arg++)
		add_log(&w, " %.200s", *arg);
	if (!is_on_drive(&w, cwd)) {
		fprintf(stderr, "%s: Invalid argument\n", file);
		end(&w, 1);
	}
	if (!connected) {
		fprintf(stderr, "<3>WSL (%d) ERROR: UtilConnectUnix: connect failed %d\n", getpid(), ECONNREFUSED);
		end(&w, 1);
	}
	if (strcasecmp(name, w.hang) == 0) {
		add_log(&w, " hangs");
		for (;;)
			pause();
	}
	if (strcasecmp(name, "wsl.exe") == 0)
		play_wsl(&w, args);
	if (strcasecmp(name, "powershell.exe") == 0)
		play_powershell(&w, args);
	if (strcasecmp(name, "whoami.exe") == 0)
		play_whoami(&w);
	if (strcasecmp(name, "cmd.exe") == 0)
		play_cmd(&w, args);
	fprintf(stderr, "windows: cannot play %s\n", name);
	end(&w, 1);
}

/* ---- by hand */

static int listen_on(const char *path, bool listening)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || (listening && listen(fd, 16) < 0)) {
		fprintf(stderr, "windows: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	return fd;
}

/* Takes each connection and ends it, as Windows does with one that says nothing. */
__attribute__((noreturn)) static void serve(char **paths)
{
	struct pollfd fds[32];
	nfds_t count = 0;

	for (; *paths && count < 32; paths++)
		fds[count++] = (struct pollfd){ .fd = listen_on(*paths, true), .events = POLLIN };
	for (;;) {
		if (poll(fds, count, -1) <= 0)
			continue;
		for (nfds_t i = 0; i < count; i++)
			if (fds[i].revents)
				close(accept4(fds[i].fd, NULL, NULL, SOCK_CLOEXEC));
	}
}

int main(int argc, char **argv)
{
	int skip = getauxval(AT_FLAGS) & PRESERVED_ARGV0 ? 3 : 2;

	if (argc > 2 && strcmp(argv[1], "serve") == 0)
		serve(argv + 2);
	if (argc > 2 && strcmp(argv[1], "dead") == 0) {
		for (char **path = argv + 2; *path; path++)
			close(listen_on(*path, false));
		return 0;
	}
	if (argc >= skip)
		play(argv[1], argv + skip);
	fputs("usage: windows serve|dead SOCKET...; else it is the interpreter of a .exe\n", stderr);
	return 2;
}
