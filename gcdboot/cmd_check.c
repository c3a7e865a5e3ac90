/* cmd_check */
#include "cmd.h"
int cmd_check(const struct cmd_options *options, struct err *err){(void)options;(void)err;return 0;}
