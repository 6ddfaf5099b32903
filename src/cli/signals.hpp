#pragma once

namespace sanctuary {

/// From here on SIGINT, SIGTERM and SIGUSR1 ask for an orderly end; a second SIGINT ends at once.
void catch_signals();
/// True once one of them came.
[[nodiscard]] bool signal_came();

}  // namespace sanctuary
