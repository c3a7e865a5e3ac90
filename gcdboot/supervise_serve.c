/* supervise_serve: answers on the control socket. */
#include <errno.h>
#include <string.h>

#include "control_server.h"
#include "supervisor.h"

static void send_fds(int peer, const int fds[2], const char *why_not)
{
	if (fds[0] >= 0 && fds[1] >= 0)
		control_reply_send(peer, CONTROL_DONE, 0, NULL, fds, CONTROL_FDS);
	else
		control_reply_send(peer, CONTROL_FAILED, -EAGAIN, why_not, NULL, 0);
}

static void answer(struct supervisor *s, int peer, const struct control_request *request)
{
	const int os[2] = { s->spawn.ns, s->spawn.root };

	switch (request->type) {
	case CONTROL_GET_OS:
		send_fds(peer, os, s->state.phase == PHASE_BUILDING ? "the OS is not up yet" : "the OS is being stopped");
		break;
	case CONTROL_GET_HOST:
		send_fds(peer, s->host, "the host's namespace could not be opened");
		break;
	case CONTROL_STOP:
		supervisor_stop_by_request(s, peer, request->timeout_ms);
		break;
	case CONTROL_CONFIRM:
		supervisor_confirm(s, peer);
		break;
	default:
		control_reply_send(peer, CONTROL_FAILED, -ENOSYS, "this supervisor does not know the request: it is of another version", NULL, 0);
	}
}

/* One peer can be read. Returns whether it is done with. */
static bool serve_peer(struct supervisor *s, int peer)
{
	struct control_request request;
	int r = control_request_read(peer, &request);

	if (r == -EAGAIN)
		return false;
	if (r == 0)
		answer(s, peer, &request);
	else if (r == -EPERM)
		control_reply_send(peer, CONTROL_FAILED, -EPERM, "only root is answered", NULL, 0);
	return true;
}

void supervisor_accept(struct supervisor *s)
{
	int fd = control_accept(s->listener);

	if (fd < 0)
		return;
	/* The one that has said nothing for longest makes place. */
	if (s->peer_count == PEERS_MAX) {
		close(s->peers[0].fd);
		memmove(&s->peers[0], &s->peers[1], --s->peer_count * sizeof *s->peers);
	}
	s->peers[s->peer_count++].fd = fd;
}

void supervisor_take_peers(struct supervisor *s, const struct pollfd *fds, size_t count)
{
	for (size_t i = count; i-- > 0 && !s->done;) {
		if (!fds[i].revents || !serve_peer(s, s->peers[i].fd))
			continue;
		close(s->peers[i].fd);
		memmove(&s->peers[i], &s->peers[i + 1], (--s->peer_count - i) * sizeof *s->peers);
	}
}
