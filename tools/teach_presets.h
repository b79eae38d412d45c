// Named sets of defaults for `teach --preset`.
#ifndef SAC_TOOLS_TEACH_PRESETS_H
#define SAC_TOOLS_TEACH_PRESETS_H

#include "core/options.h"

#define TEACH_PRESETS "standard|fast|hour|paper"

// teach_command with the defaults of the preset that the command line names ("--preset NAME",
// "--preset=NAME"); the last one counts, an unknown one changes nothing and is refused when the
// command line is parsed. Options given in a config or on the command line win over the preset, and
// --help shows the preset's values. Valid until the next call; one thread at a time.
const sac_command *teach_command_for(int argc, char **argv);

#endif
