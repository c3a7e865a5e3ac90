/* mountid: which mount a descriptor lies on. */
#ifndef GCDBOOT_MOUNTID_H
#define GCDBOOT_MOUNTID_H

/*
 * The kernel's id of the mount, as the first field of mountinfo has it; 0 where the kernel does not tell. statx(2) since 5.8, /proc/self/fdinfo since
 * 3.15.
 */
int mountid_of(int fd);

#endif
