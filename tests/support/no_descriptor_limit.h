// For what counts descriptors, where the count is of no matter.
#ifndef TRANSPORTD_TESTS_SUPPORT_NO_DESCRIPTOR_LIMIT_H_
#define TRANSPORTD_TESTS_SUPPORT_NO_DESCRIPTOR_LIMIT_H_

namespace transportd {

inline constexpr int kNoDescriptorLimit = 1 << 30;

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_NO_DESCRIPTOR_LIMIT_H_
