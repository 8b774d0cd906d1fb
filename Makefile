# mguard: see README.md. `make quickstart` and `make check` do all the set-up they need.
SHELL := /bin/bash
.DEFAULT_GOAL := build
PREFIX ?= /usr/local
DESTDIR ?=
# MODE is release, asan, ubsan or tsan; each has a build folder of its own so that they never mix.
MODE ?= release
B := $(if $(filter release,$(MODE)),build,build/$(MODE))
MINUTES ?= 1

# The version stands in lua/mguard/version.lua alone.
VERSION := $(shell sed -n 's/^return "\(.*\)"$$/\1/p' lua/mguard/version.lua 2>/dev/null)
GOALS_WITHOUT_LIBS := deps test-deps quickstart clean help
PKGS := lua5.4 libuv liblz4 jansson openssl libxxhash sqlite3 hiredis libmicrohttpd libcurl
# Brokers whose client library may be absent; they are then left out, and engine/cli/backends.c says so. folder=package=macro
BROKER_LIBS := rabbitmq=librabbitmq=RABBITMQ kafka=rdkafka=KAFKA
ifneq ($(filter-out $(GOALS_WITHOUT_LIBS),$(or $(MAKECMDGOALS),build)),)
FOUND_BROKERS := $(foreach b,$(BROKER_LIBS),$(if $(shell pkg-config --exists $(word 2,$(subst =, ,$(b))) 2>/dev/null && echo yes),$(b)))
PKGS += $(foreach b,$(FOUND_BROKERS),$(word 2,$(subst =, ,$(b))))
HAVE := $(foreach b,$(FOUND_BROKERS),-DMG_HAVE_$(word 3,$(subst =, ,$(b))))
LEFT_OUT := $(foreach b,$(filter-out $(FOUND_BROKERS),$(BROKER_LIBS)),$(firstword $(subst =, ,$(b))))
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
# Lua is linked statically and whole, with its symbols exported, so that C modules that scripts require find them.
LUA_STATIC := $(shell pkg-config --variable=libdir lua5.4 2>/dev/null)/liblua5.4.a
PKG_LIBS := $(shell pkg-config --libs $(filter-out lua5.4,$(PKGS)) 2>/dev/null) -lmsgpackc -lm -ldl -lpthread
endif

CC ?= cc
WARN := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
COMMON := -std=c11 -D_GNU_SOURCE -Iengine -I. $(PKG_CFLAGS) $(HAVE) -DMG_VERSION='"$(VERSION)"' -fPIC -pthread
# The program is optimised over all files (a case is a few hundred nanoseconds of small functions); the tests link the same objects plainly.
FLAGS_release := -O2 -g -flto=auto -ffat-lto-objects -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection
FLAGS_asan := -O1 -g -fsanitize=address -fno-omit-frame-pointer
FLAGS_ubsan := -O1 -g -fsanitize=undefined -fno-sanitize-recover=all
FLAGS_tsan := -O1 -g -fsanitize=thread
CFLAGS += $(COMMON) $(WARN) $(FLAGS_$(MODE))
LINK_release := -pie -Wl,--as-needed -Wl,-z,relro,-z,now
LTO_release := -O2 -flto=auto -fuse-linker-plugin
LINK_asan := -fsanitize=address
LINK_ubsan := -fsanitize=undefined
LINK_tsan := -fsanitize=thread
LDFLAGS += $(LINK_$(MODE)) -pthread

LUA_FILES := $(shell find lua -name '*.lua' 2>/dev/null | LC_ALL=C sort)
LIB_SRC := $(filter-out engine/cli/main.c $(foreach b,$(LEFT_OUT),backends/$(b)/%),$(shell find engine backends -name '*.c' | LC_ALL=C sort))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/obj/%.o) $(B)/obj/lua_modules.o
TEST_SRC := $(shell find tests -name '*_test.c' $(LEFT_OUT:%=-not -path 'tests/backends/%_*') | LC_ALL=C sort)
TEST_BIN := $(TEST_SRC:tests/%.c=$(B)/tests/%)
TEST_LIB_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(filter-out $(TEST_SRC),$(shell find tests -name '*.c' -not -path 'tests/fuzz/*' -not -path 'tests/preload/*' | LC_ALL=C sort)))

.PHONY: build deps test-deps quickstart check check-full check-asan check-ubsan check-tsan simulate chaos soak spec docs docs-check lint rockspec-check format fuzz bench install install-rock man completions dist deb clean tests help
build: $(B)/mguard $(B)/lua/mguard/core.so

$(B)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

# The Lua side is carried inside the binary, so that a worker is one file.
$(B)/lua_modules.c: scripts/embed.lua $(LUA_FILES)
	@mkdir -p $(@D)
	lua5.4 scripts/embed.lua $(LUA_FILES) > $@.tmp
	mv $@.tmp $@
$(B)/obj/lua_modules.o: $(B)/lua_modules.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c $< -o $@

$(B)/libmguard.a: $(LIB_OBJ)
	rm -f $@
	gcc-ar rcs $@ $^

STATIC_LUA = -Wl,--whole-archive $(LUA_STATIC) -Wl,--no-whole-archive -Wl,-E
$(B)/mguard: $(B)/obj/engine/cli/main.o $(B)/libmguard.a
	$(CC) $(LDFLAGS) $(LTO_$(MODE)) -o $@.new $^ $(STATIC_LUA) $(PKG_LIBS)
	mv $@.new $@

$(B)/lua/mguard/core.so: $(B)/libmguard.a
	@mkdir -p $(@D)
	$(CC) $(filter-out -pie,$(LDFLAGS)) -fno-lto -shared -o $@.new -Wl,-u,luaopen_mguard_core $^ $(PKG_LIBS)
	mv $@.new $@

$(B)/tests/%: $(B)/obj/tests/%.o $(TEST_LIB_OBJ) $(B)/libmguard.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -fno-lto -o $@ $(filter %.o,$^) $(B)/libmguard.a $(STATIC_LUA) -lcmocka $(PKG_LIBS)

tests: $(TEST_BIN)

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

include scripts/targets.mk
