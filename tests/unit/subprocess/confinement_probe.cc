// Tries what a confined program may not, and what it may: one line for each, "NAME OK", "NAME ERRNO" or "NAME VALUE".
//
//   confinement_probe INSIDE OUTSIDE PORT ABSTRACT ADDRESS
//
// Folders it may write and may not, each with a file `file`, a folder `folder` and a program `program`; OUTSIDE also
// with a Unix socket `socket`; the parent's TCP port, the name of its abstract socket, the address of an int of its.
#include <dirent.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

extern "C" char** environ;

namespace {

constexpr int kFirstDescriptor = 3;
constexpr int kDescriptorCount = 1024;
constexpr int kIoprioWhoProcess = 1;

struct Context {
  std::string inside, outside, abstract_name;
  in_port_t port = 0;
  uintptr_t address = 0;
  pid_t parent = 0;
};

// Of a call that is negative when it fails. Descriptors are left to the end of this program.
void Tell(const char* name, long result) {
  const int err = errno;
  std::printf("%s %s\n", name, result >= 0 ? "OK" : strerrorname_np(err));
}

void TellNumber(const char* name, unsigned long number) { std::printf("%s %lu\n", name, number); }

int Socket(int family, int type, int protocol = 0) { return ::socket(family, type | SOCK_CLOEXEC, protocol); }

sockaddr_in Loopback(in_port_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

template <typename Address>
const sockaddr* Any(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// A leading `@`: abstract.
int ToUnix(int type, const std::string& path, int (*call)(int, const sockaddr*, socklen_t)) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (path.front() == '@') address.sun_path[0] = '\0';
  const int fd = Socket(AF_UNIX, type);
  if (fd < 0) return -1;
  return call(fd, Any(address), static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size()));
}

void TryNetwork(const Context& context) {
  const sockaddr_in listener = Loopback(context.port);
  const sockaddr_in free_port = Loopback(0);
  const int tcp = Socket(AF_INET, SOCK_STREAM);
  Tell("tcp_socket", tcp);
  if (tcp >= 0) Tell("tcp_connect", ::connect(tcp, Any(listener), sizeof(listener)));
  const int server = Socket(AF_INET, SOCK_STREAM);
  if (server >= 0) Tell("tcp_bind", ::bind(server, Any(free_port), sizeof(free_port)));
  const int udp = Socket(AF_INET, SOCK_DGRAM);
  Tell("udp_socket", udp);
  if (udp >= 0) Tell("udp_send", ::sendto(udp, "x", 1, 0, Any(listener), sizeof(listener)));
  Tell("tcp6_socket", Socket(AF_INET6, SOCK_STREAM));
  Tell("raw_socket", Socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
  Tell("netlink_socket", Socket(AF_NETLINK, SOCK_RAW));
  Tell("packet_socket", Socket(AF_PACKET, SOCK_RAW));
  Tell("unix_connect", ToUnix(SOCK_STREAM, context.outside + "/socket", ::connect));
  Tell("unix_abstract_connect", ToUnix(SOCK_STREAM, context.abstract_name, ::connect));
  Tell("unix_bind_inside", ToUnix(SOCK_STREAM, context.inside + "/socket", ::bind));
  Tell("unix_bind_outside", ToUnix(SOCK_STREAM, context.outside + "/other", ::bind));
  Tell("unix_socket", Socket(AF_UNIX, SOCK_STREAM));
  Tell("unix_datagram", Socket(AF_UNIX, SOCK_DGRAM));
  Tell("unix_raw", Socket(AF_UNIX, SOCK_RAW));
  int pair[2];
  Tell("unix_pair", ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
  char received = 0;
  Tell("unix_pair_data", ::write(pair[0], "x", 1) == 1 && ::read(pair[1], &received, 1) == 1 ? 0 : -1);
  Tell("unix_packet_pair", ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
  Tell("unix_datagram_pair", ::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
  char ring_parameters[256] = {};
  Tell("io_uring", ::syscall(SYS_io_uring_setup, 1, ring_parameters));
}

// In a child, which answers with its errno.
template <typename Call>
void TellOfChild(const char* name, Call call) {
  std::fflush(stdout);
  const pid_t child = ::fork();  // lint: allow fork: it has no threads
  if (child == 0) ::_exit(call() >= 0 ? 0 : errno);
  int status = 0;
  ::waitpid(child, &status, 0);
  errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
  Tell(name, errno == 0 ? 0 : -1);
}

int Execute(const std::string& path) {
  char* const arguments[] = {nullptr};
  return ::execve(path.c_str(), arguments, environ);
}

void TryFolder(const std::string& folder, const char* suffix) {
  const auto name = [&](const char* what) { return std::string(what) + suffix; };
  const auto open_in = [&](const char* file, int flags) {
    return ::open((folder + file).c_str(), flags | O_CLOEXEC, 0666);  // lint: allow cloexec-open: it is in the flags
  };
  Tell(name("read").c_str(), open_in("/file", O_RDONLY));
  Tell(name("list").c_str(), open_in("/folder", O_RDONLY | O_DIRECTORY));
  TellOfChild(name("execute").c_str(), [&] { return Execute(folder + "/program"); });
  Tell(name("write").c_str(), open_in("/file", O_WRONLY));
  Tell(name("truncate").c_str(), ::truncate((folder + "/file").c_str(), 0));
  Tell(name("create").c_str(), open_in("/new", O_WRONLY | O_CREAT));
  Tell(name("make_folder").c_str(), ::mkdir((folder + "/new_folder").c_str(), 0777));
  Tell(name("link").c_str(), ::symlink("/", (folder + "/new_link").c_str()));
  Tell(name("rename").c_str(), ::rename((folder + "/folder").c_str(), (folder + "/renamed").c_str()));
  Tell(name("remove").c_str(), ::unlink((folder + "/program").c_str()));
}

void TryFiles(const Context& context) {
  TryFolder(context.outside, "_outside");
  TryFolder(context.inside, "_inside");
  Tell("read_system", ::open("/etc/hostname", O_RDONLY | O_CLOEXEC));
  Tell("list_root", ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Tell("read_library", ::open("/usr/bin/env", O_RDONLY | O_CLOEXEC));
  Tell("write_null", ::open("/dev/null", O_WRONLY | O_TRUNC | O_CLOEXEC));
  struct stat status = {};
  TellNumber("new_file_mode", ::stat((context.inside + "/new").c_str(), &status) == 0 ? status.st_mode & 0777 : 0);
}

void TryParent(const Context& context) {
  const pid_t parent = context.parent;
  const auto parents = [&](const char* file, int flags) {
    const std::string path = "/proc/" + std::to_string(parent) + "/" + file;
    return ::open(path.c_str(), flags | O_CLOEXEC);  // lint: allow cloexec-open: it is in the flags
  };
  Tell("parent_signal", ::kill(parent, 0));
  const auto pidfd = static_cast<int>(::syscall(SYS_pidfd_open, parent, 0));
  Tell("parent_pidfd_signal", ::syscall(SYS_pidfd_send_signal, pidfd, 0, nullptr, 0));
  Tell("parent_descriptor", ::syscall(SYS_pidfd_getfd, pidfd, 0, 0));
  Tell("parent_memory_file", parents("mem", O_RDWR));
  Tell("parent_environment", parents("environ", O_RDONLY));
  int value = 0;
  const iovec mine{.iov_base = &value, .iov_len = sizeof(value)};
  const iovec theirs{.iov_base = reinterpret_cast<void*>(context.address), .iov_len = sizeof(value)};
  Tell("parent_memory_read", ::process_vm_readv(parent, &mine, 1, &theirs, 1, 0));
  Tell("parent_memory_write", ::process_vm_writev(parent, &mine, 1, &theirs, 1, 0));
  rlimit limit = {};
  Tell("parent_limits", ::syscall(SYS_prlimit64, parent, RLIMIT_CORE, nullptr, &limit));
  const auto who = static_cast<id_t>(parent);
  Tell("parent_priority", ::setpriority(PRIO_PROCESS, who, ::getpriority(PRIO_PROCESS, who)));
  Tell("user_priority", ::setpriority(PRIO_USER, ::geteuid() + 1, 0));
  Tell("parent_io_priority", ::syscall(SYS_ioprio_set, kIoprioWhoProcess, parent, 0));
  cpu_set_t set;
  ::sched_getaffinity(0, sizeof(set), &set);
  Tell("parent_affinity", ::sched_setaffinity(parent, sizeof(set), &set));
  const sched_param priority = {};
  Tell("parent_scheduler", ::sched_setscheduler(parent, SCHED_OTHER, &priority));
  Tell("keyring", ::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1));
  // Last: it ends with this program.
  Tell("parent_trace", ::ptrace(PTRACE_SEIZE, parent, 0, 0));
}

long Clone(unsigned long flags) {
  const long child = ::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child == 0) ::_exit(0);
  return child;
}

void TryNamespaces() {
  TellOfChild("unshare_user", [] { return ::unshare(CLONE_NEWUSER); });
  TellOfChild("unshare_network", [] { return ::unshare(CLONE_NEWNET | CLONE_FS); });
  TellOfChild("unshare_time", [] { return ::unshare(CLONE_NEWTIME); });
  TellOfChild("unshare_folder", [] { return ::unshare(CLONE_FS); });
  TellOfChild("clone_user", [] { return Clone(CLONE_NEWUSER); });
  TellOfChild("clone_names", [] { return Clone(CLONE_NEWUTS); });
  TellOfChild("clone_sibling", [] { return Clone(CLONE_PARENT); });
  // None: EBADF, if anybody looks.
  Tell("join_namespace", ::setns(-1, 0));
  Tell("clone3", ::syscall(SYS_clone3, nullptr, 0));
}

void TryInterprocessObjects() {
  constexpr int kMode = 0600;
  const int memory = ::shmget(IPC_PRIVATE, 1, IPC_CREAT | kMode);
  Tell("shared_memory", memory);
  // Also when there is none to attach: a confined program is refused before anybody looks for it.
  Tell("shared_memory_attach", reinterpret_cast<intptr_t>(::shmat(memory < 0 ? 0 : memory, nullptr, 0)));
  ::shmctl(memory, IPC_RMID, nullptr);
  const int messages = ::msgget(IPC_PRIVATE, IPC_CREAT | kMode);
  Tell("message_queue", messages);
  ::msgctl(messages, IPC_RMID, nullptr);
  const int semaphores = ::semget(IPC_PRIVATE, 1, IPC_CREAT | kMode);
  Tell("semaphores", semaphores);
  ::semctl(semaphores, 0, IPC_RMID);
  const std::string name = "transportd-probe-" + std::to_string(::getpid());
  Tell("posix_message_queue", ::syscall(SYS_mq_open, name.c_str(), O_CREAT | O_RDWR, kMode, nullptr));
  ::syscall(SYS_mq_unlink, name.c_str());
}

// By the other entry, which has numbers of its own. SIGSEGV: this kernel has none.
void TryForeignCall() {
  std::fflush(stdout);
  const pid_t child = ::fork();  // lint: allow fork: it has no threads
  if (child == 0) {
#ifdef __x86_64__
    constexpr long kGetpidOfI386 = 20;
    long result = kGetpidOfI386;
    asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
#else
    ::raise(SIGSYS);
#endif
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  TellNumber("foreign_call_signal", static_cast<unsigned long>(WIFSIGNALED(status) ? WTERMSIG(status) : 0));
}

void TryThread() {
  pthread_t thread{};
  const int err = ::pthread_create(
      &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr);
  if (err == 0) ::pthread_join(thread, nullptr);
  errno = err;
  Tell("own_thread", err == 0 ? 0 : -1);
}

void TrySelf() {
  Tell("own_signal", ::kill(::getpid(), 0));
  Tell("own_priority", ::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, 0)));
  cpu_set_t set;
  Tell("own_affinity", ::sched_getaffinity(0, sizeof(set), &set));
  Tell("own_affinity_set", ::sched_setaffinity(0, sizeof(set), &set));
  TellOfChild("leave_session", [] { return ::setsid(); });
  TellOfChild("leave_group", [] { return ::setpgid(0, 0); });
  TellOfChild("signal_to_child", [] {
    const pid_t child = ::fork();  // lint: allow fork: it has no threads
    if (child == 0) {
      ::pause();
      ::_exit(0);
    }
    const int result = ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return result;
  });
  TellNumber("leads_session", ::getsid(0) == ::getpid() && ::getpgrp() == ::getpid());
  TellNumber("no_new_privileges", static_cast<unsigned long>(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)));
  TellNumber("variables", environ[0] == nullptr ? 0 : 1);
  int open_count = 0;
  for (int fd = kFirstDescriptor; fd < kDescriptorCount; ++fd) open_count += ::fcntl(fd, F_GETFD) >= 0;
  TellNumber("descriptors", static_cast<unsigned long>(open_count));
  const auto tell_limit = [](const char* name, __rlimit_resource resource) {
    rlimit limit = {};
    ::getrlimit(resource, &limit);
    TellNumber(name, limit.rlim_max);
  };
  tell_limit("limit_core", RLIMIT_CORE);
  tell_limit("limit_cpu", RLIMIT_CPU);
  tell_limit("limit_address_space", RLIMIT_AS);
  tell_limit("limit_open_files", RLIMIT_NOFILE);
  tell_limit("limit_file", RLIMIT_FSIZE);
  struct stat in = {};
  struct stat null = {};
  TellNumber("stdin_is_null", ::fstat(0, &in) == 0 && ::stat("/dev/null", &null) == 0 && in.st_rdev == null.st_rdev &&
                                  S_ISCHR(in.st_mode));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  Context context{.inside = argv[1], .outside = argv[2], .abstract_name = argv[4]};
  context.port = static_cast<in_port_t>(std::strtoul(argv[3], nullptr, 10));
  context.address = std::strtoul(argv[5], nullptr, 10);
  context.parent = ::getppid();
  TrySelf();  // First, while it has no descriptors.
  TryNetwork(context);
  TryFiles(context);
  TryNamespaces();
  TryInterprocessObjects();
  TryForeignCall();
  TryThread();
  TryParent(context);
}
