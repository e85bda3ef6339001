# Writes the page into a C++ source: cmake -DPAGE=FILE -DOUT=FILE -P embed.cmake
file(READ ${PAGE} page)
# A string literal may have 64 KiB in C++; several that stand together are one.
string(LENGTH "${page}" length)
set(literals "")
set(at 0)
while(at LESS length)
  string(SUBSTRING "${page}" ${at} 8000 piece)
  string(APPEND literals "R\"page(${piece})page\"\n")
  math(EXPR at "${at} + 8000")
endwhile()
file(WRITE ${OUT} "#include \"server/admin/status_page.h\"

namespace transportd {

std::string_view StatusPage() {
  static constexpr std::string_view kPage =
${literals};
  return kPage;
}

}  // namespace transportd
")
