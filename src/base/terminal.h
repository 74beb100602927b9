// What an output may be given besides text.
#pragma once

namespace ca4 {

// Whether colours are wanted on this descriptor: a terminal that knows them, and nobody has set
// NO_COLOR (https://no-color.org). Call before threads start that change the environment.
bool takes_colours(int fd);

}  // namespace ca4
