rockspec_format = "3.0"
package = "mguard"
version = "0.1.0-1"
source = { url = "git+https://mguard.example/mguard.git", tag = "v0.1.0" }
description = {
  summary = "May this new implementation replace the old one?",
  detailed = [[
Runs a baseline and a candidate on generated cases, checks properties and metamorphic relations, and gives a verdict with an error rate that holds.
The rock has the program, and the module for scripts: run a plan, look at a queue, compute a statistic.]],
  license = "MIT",
}
dependencies = { "lua ~> 5.4" }
supported_platforms = { "linux" }
build = {
  type = "make",
  build_target = "build",
  install_target = "install-rock",
  install_variables = { BINDIR = "$(BINDIR)", LIBDIR = "$(LIBDIR)", LUADIR = "$(LUADIR)" },
}
