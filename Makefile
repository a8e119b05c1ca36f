# Percept.  `make help` lists the targets.  One Makefile, one object folder per configuration, flags remembered.
CC      ?= gcc
CONFIG  ?= release
JOBS    ?= $(shell nproc)
BUILD   := build/$(CONFIG)
STAGES  := dataloader trainer evaluator

CFLAGS_release := -O3
CFLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer
CFLAGS_debug   := -O0 -g

PACKAGES := jansson lmdb libpng libwebp libpcre2-8 libutf8proc libxxhash zlib
MPI_CFLAGS := $(shell pkg-config --cflags ompi-c 2>/dev/null)
MPI_LIBS   := $(shell pkg-config --libs ompi-c 2>/dev/null || echo -lmpi)

CFLAGS  += -std=c17 -D_GNU_SOURCE -Wall -Wextra -fopenmp -fno-math-errno -ffp-contract=fast $(CFLAGS_$(CONFIG))
CPPFLAGS += -Icommon -I. -MMD -MP $(MPI_CFLAGS) $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LDLIBS  += -ldl $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -ljpeg $(MPI_LIBS) -lm -lpthread

LIB_SRC  := $(filter-out common/backend/cpu/%,$(wildcard common/*/*.c))
LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/%.o) $(BUILD)/common/backend/cpu/table.portable.o
# The CPU kernels are compiled once per instruction level and chosen at run time.
ifeq ($(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1),x86_64)
CFLAGS  += -march=x86-64-v2
LIB_OBJ += $(BUILD)/common/backend/cpu/table.v3.o $(BUILD)/common/backend/cpu/table.v4.o
endif
LIB      := $(BUILD)/libpercept.a
PROGRAMS := $(STAGES:%=build/pe-%)
ifneq ($(CONFIG),release)
PROGRAMS := $(STAGES:%=$(BUILD)/pe-%)
endif
TEST_SRC := $(wildcard test/unit/*.c test/op/*.c test/golden/*.c test/property/*.c test/mpi/*.c test/fault/*.c)
TESTS    := $(TEST_SRC:%.c=$(BUILD)/%)
BENCHES  := $(patsubst %.c,$(BUILD)/%,$(wildcard test/bench/*.c))

.PHONY: all check demo bench asan fuzz help clean deps tests
all: $(PROGRAMS)

help:
	@echo 'make           the programs, into build/pe-*'
	@echo 'make demo      install what is missing, fetch real data, pack, train, resume, evaluate, show a report'
	@echo 'make check     install what is missing, build and run all tests'
	@echo 'make bench     speed and memory beside PyTorch and others, one table (needs network for the peers)'
	@echo 'make asan      the tests under AddressSanitizer and UBSan'
	@echo 'make fuzz      each parser under libFuzzer for a while (needs clang)'
	@echo 'make clean     remove build/'
	@echo 'Variables: CC=gcc|clang  CONFIG=release|asan|debug  JOBS=n'

# Rebuild when compiler or flags change.
FLAGS := $(CC) $(CFLAGS) $(CPPFLAGS)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@
FORCE:

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  CC    $<'
	@$(CC) $(CFLAGS) $(CPPFLAGS) -c $< -o $@
$(BUILD)/common/models/config.o: $(wildcard common/models/configs/*.json)

define LEVEL
$(BUILD)/common/backend/cpu/table.$(1).o: common/backend/cpu/table.c $(BUILD)/flags
	@mkdir -p $$(@D)
	@echo '  CC    $$< ($(1))'
	@$(CC) $(CFLAGS) $(2) $(CPPFLAGS) -c $$< -o $$@
endef
$(eval $(call LEVEL,portable,))
$(eval $(call LEVEL,v3,-march=x86-64-v3 '-DCPU_TABLE=cpu_kernels_v3' '-DCPU_LEVEL="x86-64-v3"'))
$(eval $(call LEVEL,v4,-march=x86-64-v4 '-DCPU_TABLE=cpu_kernels_v4' '-DCPU_LEVEL="x86-64-v4"'))

$(LIB): $(LIB_OBJ)
	@echo '  AR    $@'
	@rm -f $@ && ar rcs $@ $^

define STAGE
$(1)_OBJ := $$(patsubst %.c,$(BUILD)/%.o,$$(wildcard $(1)/*.c))
$(filter %/pe-$(1),$(PROGRAMS)): $$($(1)_OBJ) $(LIB)
	@echo '  LINK  $$@'
	@$(CC) $(CFLAGS) $$^ -o $$@ $(LDLIBS)
endef
$(foreach s,$(STAGES),$(eval $(call STAGE,$(s))))

.PRECIOUS: $(BUILD)/%.o
# Test programs may use what a stage is made of, apart from its main.
STAGE_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(filter-out %/main.c,$(wildcard $(STAGES:%=%/*.c))))
$(BUILD)/libstages.a: $(STAGE_OBJ)
	@rm -f $@ && ar rcs $@ $^
$(BUILD)/test/make_pictures: $(BUILD)/test/make_pictures.o $(LIB)
	@$(CC) $(CFLAGS) $^ -o $@ $(LDLIBS)
$(BUILD)/test/bench/%: $(BUILD)/test/bench/%.o $(LIB)
	@echo '  LINK  $@'
	@$(CC) $(CFLAGS) $^ -o $@ $(LDLIBS)
$(BUILD)/test/%: $(BUILD)/test/%.o $(BUILD)/test/harness.o $(BUILD)/libstages.a $(LIB)
	@echo '  LINK  $@'
	@$(CC) $(CFLAGS) $^ -o $@ $(LDLIBS)

tests: all $(TESTS) $(BUILD)/test/make_pictures

deps:
	@scripts/install-deps

# The goals that set up a bare machine run a second make, which then sees the installed packages.
check: deps
	@$(MAKE) --no-print-directory -j$(JOBS) tests
	@test/run $(BUILD) $(TESTS)
demo: deps
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@scripts/demo
asan:
	@$(MAKE) --no-print-directory -j$(JOBS) CONFIG=asan tests
	@test/run build/asan $(TEST_SRC:%.c=build/asan/%)
bench: deps
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BENCHES)
	@scripts/bench
fuzz:
	@scripts/fuzz
clean:
	rm -rf build

-include $(shell find build -name '*.d' 2>/dev/null)
