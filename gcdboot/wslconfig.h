/* wslconfig: the idle limits in a .wslconfig. Pure. */
#ifndef GCDBOOT_WSLCONFIG_H
#define GCDBOOT_WSLCONFIG_H

/* In milliseconds, as they stand there; negative: never. What is not in the file is WSL's own default. */
struct wslconfig {
	long instance_idle; /* [general] instanceIdleTimeout: of a distribution */
	long vm_idle;       /* [wsl2] vmIdleTimeout: of the virtual machine */
};

#define WSLCONFIG_INSTANCE_IDLE 15000
#define WSLCONFIG_VM_IDLE 60000

/* Sections and keys are told apart whatever their case; what cannot be read stays as it is. */
void wslconfig_parse(struct wslconfig *config, const char *text);

#endif
