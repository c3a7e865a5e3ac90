/* supervise_confirm: an OS that is stopped unless somebody confirms in time that it can be reached. */
#include <errno.h>

#include "control_server.h"
#include "log.h"
#include "supervisor.h"

void supervisor_begin_confirm(struct supervisor *s)
{
	struct state *state = &s->state;
	char text[160];

	/* An OS that is taken over brings its own time. */
	state->confirm_ms = s->setup->adopt ? 0 : s->setup->conf->boot.confirm_ms;
	if (state->confirm_ms == 0)
		return;
	state->confirm_by = util_boottime_ms() + state->confirm_ms;
	state_confirm_text(state, rundir_os_name(s->setup->rundir), text);
	log_info("%s", text);
}

bool supervisor_is_unconfirmed(const struct supervisor *s)
{
	return state_awaits_confirm(&s->state) && state_confirm_left(&s->state) == 0;
}

void supervisor_confirm(struct supervisor *s, int peer)
{
	/* The clock decides, not the order in which a busy supervisor looks at it and at its peers. */
	if (s->state.phase >= PHASE_STOPPING || supervisor_is_unconfirmed(s)) {
		control_reply_send(peer, CONTROL_FAILED, -ETIME, "too late: the OS is being stopped", NULL, 0);
		return;
	}
	if (!state_awaits_confirm(&s->state)) {
		control_reply_send(peer, CONTROL_DONE, 0, s->state.confirmed ? "the OS is confirmed already" : "nothing to confirm: the OS stays", NULL, 0);
		return;
	}
	s->state.confirmed = true;
	/* Before the answer: whoever takes over from a supervisor that is killed now must know of it. */
	supervisor_save(s);
	log_note("confirmed");
	control_reply_send(peer, CONTROL_DONE, 0, "confirmed: the OS stays", NULL, 0);
}
