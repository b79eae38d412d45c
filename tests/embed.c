// What a program that embeds Saccade looks like at its smallest; built by tests/cli_install.sh
// against an installed tree.
#include <saccade/status.h>
#include <saccade/version.h>
#include <stdio.h>

int main(void) {
    printf("version %s\n", sac_version());
    printf("%s\n", sac_status_name(SAC_ERROR_MEMORY));
    return 0;
}
