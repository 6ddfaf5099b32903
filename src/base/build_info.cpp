#include "base/build_info.hpp"

#include "base/git_commit.hpp"

namespace sanctuary::build_info {

const char* git_hash() { return SANCTUARY_GIT_COMMIT; }

bool has_assertions() {
#ifdef NDEBUG
  return false;
#else
  return true;
#endif
}

bool has_sanitizers() {
#ifdef __SANITIZE_ADDRESS__
  return true;
#else
  return false;
#endif
}

std::string description() {
  std::string text = std::string("sanctuary ") + version + " (" + git_hash();
  if (has_assertions()) text += ", assertions";
  if (has_sanitizers()) text += ", sanitizers";
  return text + ")";
}

}  // namespace sanctuary::build_info
