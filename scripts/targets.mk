# Targets that run something. Included by the Makefile, which says how things are built.
QUIETLY = $(MAKE) --no-print-directory -s -j$(shell nproc)

deps:
	@scripts/deps build
test-deps:
	@scripts/deps test

quickstart:
	@scripts/deps build
	@echo "building build/mguard"
	@$(QUIETLY) build
	build/mguard run examples/top_k/plan.lua

check:
	@scripts/deps test
	@$(QUIETLY) build tests
	@tests/run short
check-full:
	@scripts/deps test
	@$(QUIETLY) build tests
	@tests/run full
check-asan check-ubsan check-tsan: check-%:
	@scripts/deps test
	@$(QUIETLY) build/lua/mguard/core.so
	@$(QUIETLY) MODE=$* build tests
	@MODE=$* tests/run short
spec: build
	@tests/run spec
lint:
	@scripts/deps test
	@scripts/lint
rockspec-check:
	@scripts/deps test
	@scripts/rockspec-check
# The pages that are written from the source; specs say where one is older than it.
docs:
	@$(QUIETLY) build
	@for page in config-doc=configuration api-doc=lua-reference; do \
	  LUA_PATH="lua/?.lua;lua/?/init.lua;;" LUA_CPATH="build/lua/?.so;;" lua5.4 scripts/$${page%=*}.lua > build/page.md || exit 1; \
	  mv build/page.md docs/reference/$${page#*=}.md; done
docs-check:
	@$(QUIETLY) build
	@tests/docs/check.py
format:
	clang-format -i $$(git ls-files '*.c' '*.h')
fuzz:
	@MINUTES=$(MINUTES) scripts/fuzz
# SEED, MINUTES a backend, BACKENDS, CASES a run; the table goes into the page that keeps them.
chaos:
	@scripts/deps test
	@$(QUIETLY) build
	@tests/chaos/run.py $(BACKENDS) $(if $(SEED),--seed $(SEED)) --minutes $(if $(filter command line environment,$(origin MINUTES)),$(MINUTES),2) \
	  --cases $(or $(CASES),50000) --record docs/operations/reliability-benchmarks.md
# MINUTES (60), BACKEND (redis): one worker for a long time; fails where memory, descriptors or threads grow.
soak:
	@scripts/deps test
	@$(QUIETLY) build
	@tests/chaos/soak.py --minutes $(if $(filter command line environment,$(origin MINUTES)),$(MINUTES),60) $(if $(BACKEND),--backend $(BACKEND)) $(if $(SEED),--seed $(SEED))
# Prints the tables of docs/concepts/statistics.md and puts them there: a few minutes. Every row has a seed of its own, so the order does not matter.
SIMULATED := seed paired unpaired clusters decisions measures
simulate:
	@$(QUIETLY) build/tests/simulate/simulate_test
	@: > build/simulation.md; for part in $(SIMULATED); do build/tests/simulate/simulate_test --table $$part $(REPLICATES) >> build/simulation.md || exit 1; done; \
	cat build/simulation.md; lua5.4 scripts/simulation.lua docs/concepts/statistics.md build/simulation.md
bench:
	@scripts/deps test
	@$(QUIETLY) build build/tests/cli/monitor_test
	@bench/run

# PREFIX and DESTDIR as everywhere; the library and its headers serve C programs through pkg-config.
install: build
	@scripts/package completions
	install -D -m 755 build/mguard $(DESTDIR)$(PREFIX)/bin/mguard
	install -D -m 755 build/lua/mguard/core.so $(DESTDIR)$(PREFIX)/lib/lua/5.4/mguard/core.so
	@for f in $(LUA_FILES); do install -D -m 644 $$f $(DESTDIR)$(PREFIX)/share/lua/5.4/$${f#lua/}; done
	install -D -m 644 build/libmguard.a $(DESTDIR)$(PREFIX)/lib/libmguard.a
	@for f in $$(find engine backends -name '*.h'); do install -D -m 644 $$f $(DESTDIR)$(PREFIX)/include/mguard/$${f#engine/}; done
	@mkdir -p $(DESTDIR)$(PREFIX)/lib/pkgconfig
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@REQUIRES@|$(PKGS)|' scripts/mguard.pc.in > $(DESTDIR)$(PREFIX)/lib/pkgconfig/mguard.pc
	@for f in README.md CHANGELOG.md; do install -D -m 644 $$f $(DESTDIR)$(PREFIX)/share/doc/mguard/$$f; done
	@if [ -e build/man/mguard.1 ]; then install -D -m 644 build/man/mguard.1 $(DESTDIR)$(PREFIX)/share/man/man1/mguard.1; fi
	@install -D -m 644 build/completions/mguard $(DESTDIR)$(PREFIX)/share/bash-completion/completions/mguard
	@install -D -m 644 build/completions/_mguard $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_mguard
# What LuaRocks asks for (rockspec/): the three folders are those of a rock under construction.
install-rock: build
	@for f in $(LUA_FILES); do install -D -m 644 $$f $(LUADIR)/$${f#lua/}; done
	install -D -m 755 build/mguard $(BINDIR)/mguard
	install -D -m 755 build/lua/mguard/core.so $(LIBDIR)/mguard/core.so
man completions dist:
	@scripts/package $@
deb: build
	@scripts/package deb

clean:
	rm -rf build
help:
	@grep -h -o '^[a-z-]*:' Makefile scripts/targets.mk | tr -d : | sort -u
