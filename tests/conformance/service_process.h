// A transportd of the test's own.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_SERVICE_PROCESS_H_
#define TRANSPORTD_TESTS_CONFORMANCE_SERVICE_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace transportd::conformance {

// Runs from construction, when it has said its address, to destruction, when SIGTERM must end it with status 0.
// Threading: the test's thread, with which it dies.
class ServiceProcess final {
 public:
  // With --dev, on loopback.
  ServiceProcess();
  // With these flags alone. What it says first of its addresses is its target.
  explicit ServiceProcess(const std::vector<std::string>& flags);
  ~ServiceProcess();
  ServiceProcess(const ServiceProcess&) = delete;
  ServiceProcess& operator=(const ServiceProcess&) = delete;

  // Its gRPC target.
  const std::string& target() const { return target_; }

 private:
  void Start(const std::vector<std::string>& flags);

  std::string directory_;
  pid_t pid_ = 0;
  std::string target_;
};

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_SERVICE_PROCESS_H_
