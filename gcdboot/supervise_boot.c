/* supervise_boot: the boot commands, one after the other. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "log.h"
#include "notify.h"
#include "procs.h"
#include "supervisor.h"
#include "teardown.h"

#define KILL_AFTER_MS 2000 /* between TERM and KILL for a boot command that took too long */

/* What the command said last, behind ": ", for those who do not see the boot log. */
static void last_output(const struct supervisor *s, char *text, size_t size)
{
	char buffer[1024], *line;
	off_t end = lseek(s->log_fd, 0, SEEK_END);
	/* `echo x >/dev/stderr` in a script opens the log anew, and cuts it off. */
	off_t begin = s->output <= end ? s->output : 0;
	off_t from = end - begin > (off_t)sizeof buffer - 1 ? end - (off_t)sizeof buffer + 1 : begin;
	ssize_t n = pread(s->log_fd, buffer, sizeof buffer - 1, from);

	text[0] = '\0';
	while (n > 0 && buffer[n - 1] == '\n')
		n--;
	if (n <= 0)
		return;
	for (ssize_t i = 0; i < n; i++)
		if (buffer[i] == '\0')
			buffer[i] = '?';
	buffer[n] = '\0';
	line = strrchr(buffer, '\n');
	line = line ? line + 1 : buffer;
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	snprintf(text, size, ": %.*s", (int)size - 4, line);
}

static void describe_end(const struct supervisor *s, const struct state_command *command, char *text, size_t size)
{
	char output[1024];
	int n;

	if (command->timed_out)
		n = snprintf(text, size, "took longer than %g s and was ended", s->setup->conf->boot.timeout_ms / 1000.0);
	else if (WIFSIGNALED(command->status))
		n = snprintf(text, size, "killed by signal %d", WTERMSIG(command->status));
	else
		n = snprintf(text, size, "exit status %d", WEXITSTATUS(command->status));
	last_output(s, output, sizeof output);
	snprintf(text + n, size - (size_t)n, "%.600s", output);
}

static void boot_done(struct supervisor *s)
{
	struct state *state = &s->state;
	struct strlist now = { 0 };
	char since[32], confirm[160];

	teardown_list_swaps(&now);
	for (size_t i = 0; i < now.count; i++)
		if (teardown_is_own_swap(state, now.str[i]))
			strlist_add(&state->swaps, now.str[i]);
	strlist_clear(&now);
	state->phase = PHASE_UP;
	supervisor_save(s);
	state_time(state->since, since);
	log_note("up: %s on %s, since %s, supervised by pid %d%s", state->device, state->root, since, getpid(),
		 state_degraded(state) ? "; degraded, see `gcdboot status`" : "");
	if (state_awaits_confirm(state)) {
		state_confirm_text(state, rundir_os_name(s->setup->rundir), confirm);
		log_note("%s", confirm);
	}
	notify_send(s->setup->notify_socket, "READY=1");
	supervisor_ready(s, 0);
}

static int start_command(struct supervisor *s, struct state_command *command)
{
	struct proc proc = { 0 };
	pid_t pid;

	log_step("%s", command->line);
	s->output = lseek(s->log_fd, 0, SEEK_END);
	s->began = util_now_ms();
	s->signals_sent = 0;
	s->deadline = s->setup->conf->boot.timeout_ms ? s->began + s->setup->conf->boot.timeout_ms : 0;
	pid = spawn_shell(&s->spawn, command->line, s->null_fd, s->log_fd, s->err);
	if (pid < 0) {
		log_step_failed("%s", "");
		return pid;
	}
	command->run = RUN_RUNNING;
	command->pid = pid;
	if (procs_read(&proc, pid) == 0)
		command->start = proc.start;
	return 0;
}

/* Starts the next boot command that is to be waited for; daemons on the way are started and left. */
void supervisor_start_next(struct supervisor *s)
{
	for (; s->current < s->state.command_count; s->current++) {
		struct state_command *command = &s->state.command[s->current];
		int r;

		if (command->run != RUN_PENDING)
			continue;
		r = start_command(s, command);
		supervisor_save(s);
		if (r < 0) {
			supervisor_roll_back(s, r);
			return;
		}
		if (command->kind != COMMAND_DAEMON)
			return;
		log_step_done("started, pid %d", command->pid);
	}
	boot_done(s);
}

/* A boot command that was waited for has ended. */
static void command_ended(struct supervisor *s, struct state_command *command)
{
	char why[1024];

	if (command->status == 0 && !command->timed_out) {
		log_step_done("%s", "");
	} else {
		describe_end(s, command, why, sizeof why);
		if (command->kind == COMMAND_REQUIRE) {
			log_step_failed("%s", "");
			supervisor_roll_back(s, err_set(s->err, -ECHILD, "the boot command '%s' failed: %s", command->line, why));
			return;
		}
		log_step_failed("%s", why);
	}
	s->current++;
	supervisor_start_next(s);
}

static void daemon_ended(const struct state_command *command)
{
	if (command->status == -1)
		log_warn("the daemon '%s' (pid %d) has ended", command->line, command->pid);
	else if (WIFSIGNALED(command->status))
		log_warn("the daemon '%s' (pid %d) was killed by signal %d", command->line, command->pid, WTERMSIG(command->status));
	else
		log_warn("the daemon '%s' (pid %d) has ended with exit status %d", command->line, command->pid, WEXITSTATUS(command->status));
}

void supervisor_process_ended(struct supervisor *s, size_t index, int status)
{
	struct state_command *command = &s->state.command[index];
	bool waited_for = s->state.phase == PHASE_BOOTING && index == s->current && command->kind != COMMAND_DAEMON;

	command->run = RUN_ENDED;
	command->status = status;
	if (waited_for)
		command->took_ms = util_now_ms() - s->began;
	if (command->kind == COMMAND_DAEMON)
		daemon_ended(command);
	supervisor_save(s);
	if (waited_for)
		command_ended(s, command);
}

void supervisor_reap(struct supervisor *s)
{
	int status;
	pid_t pid;

	while (!s->done && (pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == s->builder.pid)
			s->builder.pid = 0;
		for (size_t i = 0; i < s->state.command_count; i++)
			if (s->state.command[i].run == RUN_RUNNING && s->state.command[i].pid == pid) {
				supervisor_process_ended(s, i, status);
				break;
			}
	}
}

/* The time of the command that is waited for is over: TERM, then KILL, to its whole session; one that even outlives that (in the kernel) is left behind. */
void supervisor_end_slow_command(struct supervisor *s)
{
	struct state_command *command = &s->state.command[s->current];

	command->timed_out = true;
	s->deadline = util_now_ms() + KILL_AFTER_MS;
	if (s->signals_sent == 2) {
		supervisor_process_ended(s, s->current, SIGKILL);
		return;
	}
	kill(-command->pid, s->signals_sent++ == 0 ? SIGTERM : SIGKILL);
	kill(-command->pid, SIGCONT);
}
