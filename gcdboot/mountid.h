/* mountid: which mount a descriptor lies on. */
#ifndef GCDBOOT_MOUNTID_H
#define GCDBOOT_MOUNTID_H

/*
 * The kernel's id of the mount, as the first field of mountinfo has it; asks no server. 0 where it cannot be told: before Linux 3.15, on a filesystem
 * without file handles (/proc and its like, 9p).
 */
int mountid_of(int fd);

/* The half of it that needs no /proc: 0 on every filesystem without file handles. See name_to_handle_at(2). */
int mountid_by_handle(int fd);

#endif
