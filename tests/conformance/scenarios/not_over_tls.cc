#include "tests/conformance/scenarios/not_over_tls.h"

#include <algorithm>
#include <iterator>

namespace transportd::conformance {

namespace {

struct Exception {
  std::string_view scenario;
  OverTls over_tls;
  std::string_view reason;
};

constexpr std::string_view kNoWriteEof = "TLS cannot be half-closed: `can_write_eof` is false, `write_eof` raises.";
constexpr std::string_view kNoPause =
    "asyncio's TLS hands a write of any size to the transport below, counts only what waits behind it, and pauses at "
    "the "
    "mark, not over it.";
constexpr std::string_view kNoHold =
    "asyncio's TLS goes on reading the socket while the protocol has paused, and tells an end that came with data.";
constexpr std::string_view kLosesData =
    "asyncio's TLS loses what did not fit into a buffered protocol's buffer when the peer closes.";
constexpr std::string_view kLosesEcho =
    "asyncio's TLS, still sending when the peer ends, now and then ends without sending the rest.";
constexpr std::string_view kKeepsHandshake =
    "asyncio's TLS does not send its last handshake message when `connection_made` pauses or aborts.";

// oracle.py and table.py read these lines: one scenario each, its name first.
// clang-format off
constexpr Exception kExceptions[] = {
    {"write_eof_then_the_peer_answers", OverTls::kNo, kNoWriteEof},
    {"write_eof_flushes_first", OverTls::kNo, kNoWriteEof},
    {"write_eof_twice", OverTls::kNo, kNoWriteEof},
    {"write_after_write_eof_is_refused", OverTls::kNo, kNoWriteEof},
    {"write_eof_after_close_is_nothing", OverTls::kNo, kNoWriteEof},
    {"half_closed_by_both_stays_open_until_close", OverTls::kNo, kNoWriteEof},
    {"half_closed_by_the_peer_first", OverTls::kNo, kNoWriteEof},
    {"close_after_write_eof", OverTls::kNo, kNoWriteEof},
    {"write_eof_in_eof_received", OverTls::kNo, kNoWriteEof},
    {"write_eof_in_resume_writing", OverTls::kNo, kNoWriteEof},
    {"eof_keeps_open_when_eof_received_returns_true", OverTls::kNo,
     "What `eof_received` returns has no effect in TLS: `tls_eof_cannot_be_kept_open`."},
    {"write_after_close_while_flushing_is_sent", OverTls::kNo,
     "What is written after `close` is dropped in TLS: `tls_write_after_close_is_dropped`."},
    {"write_buffer_limits_are_resolved", OverTls::kNo,
     "The limits of TLS are others, `tls_write_buffer_limits`; and asyncio's TLS pauses at the mark, not over it."},
    {"close_flushes_a_large_write", OverTls::kAsOverTcp, kNoPause},
    {"abort_of_a_paused_writer_does_not_resume_it", OverTls::kAsOverTcp, kNoPause},
    {"pause_and_resume_go_on_while_closing", OverTls::kAsOverTcp, kNoPause},
    {"write_buffer_size_falls_to_zero", OverTls::kAsOverTcp, kNoPause},
    {"eof_flushes_before_it_closes", OverTls::kAsOverTcp, kNoPause},
    {"pause_writing_comes_inside_write", OverTls::kAsOverTcp, kNoPause},
    {"pause_writing_comes_strictly_over_the_high_water_mark", OverTls::kAsOverTcp, kNoPause},
    {"setting_limits_pauses_but_never_resumes", OverTls::kAsOverTcp, kNoPause},
    {"high_of_zero_pauses_when_anything_is_buffered", OverTls::kAsOverTcp, kNoPause},
    {"resume_writing_comes_at_or_under_the_low_water_mark", OverTls::kAsOverTcp, kNoPause},
    {"several_writes_over_the_mark_pause_once", OverTls::kAsOverTcp, kNoPause},
    {"pause_and_resume_alternate", OverTls::kAsOverTcp, kNoPause},
    {"close_in_resume_writing", OverTls::kAsOverTcp, kNoPause},
    {"abort_in_resume_writing", OverTls::kAsOverTcp, kNoPause},
    {"close_in_pause_writing", OverTls::kAsOverTcp, kNoPause},
    {"abort_in_pause_writing", OverTls::kAsOverTcp, kNoPause},
    {"write_in_pause_writing", OverTls::kAsOverTcp, kNoPause},
    {"reset_of_a_paused_writer_does_not_resume_it", OverTls::kAsOverTcp, kNoPause},
    {"server_transport_sends_much", OverTls::kAsOverTcp, kNoPause},
    {"buffered_protocol_pauses_and_resumes", OverTls::kAsOverTcp, kNoHold},
    {"pause_in_data_received_holds_the_rest", OverTls::kAsOverTcp, kNoHold},
    {"pause_holds_reset", OverTls::kAsOverTcp, kNoHold},
    {"no_data_received_after_close", OverTls::kAsOverTcp,
     "asyncio's TLS reads while `close` flushes, and ends with an error when data comes."},
    {"buffered_protocol_receives", OverTls::kAsOverTcp, kLosesData},
    {"buffered_protocol_with_a_small_buffer", OverTls::kAsOverTcp, kLosesData},
    {"data_is_echoed_whole", OverTls::kAsOverTcp, kLosesEcho},
    {"pause_in_connection_made_holds", OverTls::kAsOverTcp, kKeepsHandshake},
    {"abort_in_connection_made", OverTls::kAsOverTcp, kKeepsHandshake},
};
// clang-format on

}  // namespace

OverTls FindOverTls(std::string_view scenario) {
  const auto* const found = std::find_if(std::begin(kExceptions), std::end(kExceptions),
                                         [&](const Exception& exception) { return exception.scenario == scenario; });
  return found == std::end(kExceptions) ? OverTls::kAsAsyncio : found->over_tls;
}

}  // namespace transportd::conformance
