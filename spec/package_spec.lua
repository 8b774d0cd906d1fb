-- What `make install` puts down works for those who get nothing else: the program, a plain Lua 5.4, a C program, a shell.
local support = require "support"

describe("an installed mguard", function()
  local root, prefix

  lazy_setup(function()
    root = support.folder()
    prefix = root .. "/usr"
    local text, status = support.run(("make -s install DESTDIR=%s PREFIX=/usr 2>&1"):format(support.quoted(root)))
    assert(status == 0, text)
  end)

  lazy_teardown(function() support.remove(root) end)

  it("runs a plan far from its source", function()
    local text, status = support.run(("cd / && %s/bin/mguard run %s/examples/top_k/plan.lua --cases 1000 2>&1")
      :format(prefix, (support.run("pwd -P"):gsub("%s+$", ""))))
    assert.equal(0, status, text)
    assert.truthy(text:find("ADOPT", 1, true), text)
  end)

  it("gives its modules to a plain Lua 5.4", function()
    local text, status = support.run(([[cd / && LUA_PATH='%s/share/lua/5.4/?.lua;%s/share/lua/5.4/?/init.lua' LUA_CPATH='%s/lib/lua/5.4/?.so' ]]
      .. [[lua5.4 -e 'print(require "mguard".version, require "mguard.core".json_encode({1, 2}))' 2>&1]]):format(prefix, prefix, prefix))
    assert.equal(0, status, text)
    assert.equal(require "mguard.version" .. "\t[1,2]\n", text)
  end)

  it("links C programs through pkg-config", function()
    support.write(root .. "/interval.c", [[
#include "judge/stats/paired.h"
#include "base/err.h"
#include <stdio.h>
int main(void) {
  mg_error e;
  return mg_fail(&e, MG_ARG, "seen") == MG_ARG && puts(e.text) >= 0 ? 0 : 1;
}
]])
    local text, status = support.run(([[cd %s && cc -std=c11 -D_GNU_SOURCE interval.c ]]
      .. [[$(PKG_CONFIG_PATH=usr/lib/pkgconfig pkg-config --define-variable=prefix=%s --cflags --libs mguard) -o interval 2>&1 && ./interval]])
      :format(support.quoted(root), prefix))
    assert.equal(0, status, text)
    assert.equal("seen\n", text)
  end)

  it("completes commands and options in bash", function()
    local text = support.run(([[bash -c 'source %s/share/bash-completion/completions/mguard
      COMP_WORDS=(mguard run --se) COMP_CWORD=2; _mguard; echo "${COMPREPLY[@]}"
      COMP_WORDS=(mguard wor) COMP_CWORD=1; _mguard; echo "${COMPREPLY[@]}"
      COMP_WORDS=(mguard dlq red) COMP_CWORD=2; _mguard; echo "${COMPREPLY[@]}"' 2>&1]]):format(prefix))
    assert.equal("--seed\nworker\nredrive\n", text)
  end)

  it("has a man page that names every command", function()
    local text, status = support.run("scripts/package man 2>&1 && cat build/man/mguard.1")
    assert.equal(0, status, text)
    assert.truthy(text:find("\nNAME\nmguard \\-", 1, false), text:sub(1, 200))
    local page = support.read "docs/reference/cli.md"
    for command in page:gmatch "\n## (mguard %l+)\n" do assert.truthy(text:find("\n" .. command .. "\n", 1, true), command) end
  end)
end)
