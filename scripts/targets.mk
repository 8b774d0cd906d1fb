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
format:
	clang-format -i $$(git ls-files '*.c' '*.h')
fuzz:
	@MINUTES=$(MINUTES) scripts/fuzz
simulate:
	@$(MAKE) --no-print-directory build tests
	@build/tests/simulate/simulate_test --table
bench:
	@scripts/deps test
	@$(QUIETLY) build
	@bench/run

install: build
	install -D -m 755 build/mguard $(DESTDIR)$(PREFIX)/bin/mguard
	install -D -m 755 build/lua/mguard/core.so $(DESTDIR)$(PREFIX)/lib/lua/5.4/mguard/core.so
	@for f in $(LUA_FILES); do install -D -m 644 $$f $(DESTDIR)$(PREFIX)/share/lua/5.4/$${f#lua/}; done

clean:
	rm -rf build
help:
	@grep -h -o '^[a-z-]*:' Makefile scripts/targets.mk | tr -d : | sort -u
