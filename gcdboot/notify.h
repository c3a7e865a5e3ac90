/* notify: tells the service manager that started us how far we are. */
#ifndef GCDBOOT_NOTIFY_H
#define GCDBOOT_NOTIFY_H

/* Sends `message` ("READY=1") to $NOTIFY_SOCKET as `socket_path` holds it; does nothing where that is NULL. sd_notify(3) is the protocol. */
void notify_send(const char *socket_path, const char *message);

#endif
