# root's login shell in the OS: the prompt tells the OS from the host.
PS1='gcdos:\w # '
export PS1
