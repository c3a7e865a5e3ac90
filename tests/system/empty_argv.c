/* empty_argv: runs a program with no argument at all, not even its name. For tests. */
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "Usage: empty_argv PROGRAM\n");
		return 2;
	}
	execve(argv[1], (char *[]){ NULL }, environ);
	perror(argv[1]);
	return 126;
}
