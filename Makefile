# Percept.  `make help` lists the targets.  One Makefile, one object folder per configuration, flags remembered.
CC      ?= gcc
CONFIG  ?= release
JOBS    ?= $(shell nproc)
BUILD   := build/$(CONFIG)
STAGES  := dataloader trainer evaluator captioner aligner

CFLAGS_release := -O3
CFLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_debug   := -O0 -g

PACKAGES := jansson lmdb libavformat libavcodec libswscale libavutil libpng libwebp libpcre2-8 libutf8proc libxxhash zlib
MPI_CFLAGS := $(shell pkg-config --cflags ompi-c 2>/dev/null)
MPI_LIBS   := $(shell pkg-config --libs ompi-c 2>/dev/null || echo -lmpi)

CFLAGS  += -std=c17 -D_GNU_SOURCE -Wall -Wextra -Wno-missing-field-initializers -fopenmp -fno-math-errno -ffp-contract=fast $(CFLAGS_$(CONFIG))
CPPFLAGS += -Icommon -I. -MMD -MP $(MPI_CFLAGS) $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LDLIBS  += -ldl $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -ljpeg $(MPI_LIBS) -lm -lpthread

# Programs find libpercept-cuda.so beside themselves when asked for --device cuda; it uses functions of theirs.
LDFLAGS += -rdynamic

LIB_SRC  := $(filter-out common/backend/cpu/%,$(wildcard common/*/*.c common/models/*/*.c))
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

.PHONY: all check check-gpu demo bench bench-gpu asan fuzz help clean deps tests
all: $(PROGRAMS)

help:
	@echo 'make           the programs, into build/pe-*'
	@echo 'make demo      install what is missing, fetch real data, pack, train, resume, evaluate, show a report'
	@echo 'make check     install what is missing, build and run all tests'
	@echo 'make bench     speed and memory beside PyTorch and others, one table (needs network for the peers)'
	@echo 'make check-gpu the tests of the CUDA backend on a GPU (make check runs them on one of host code)'
	@echo 'make bench-gpu its speed beside PyTorch on the same GPU, one table'
	@echo 'make asan      the tests under AddressSanitizer and UBSan'
	@echo 'make fuzz      each parser under libFuzzer for a while (needs clang)'
	@echo 'make clean     remove build/'
	@echo 'Variables: CC=gcc|clang  CONFIG=release|asan|debug  JOBS=n  CUDA_ARCHS="80 90 100"  NVCC=path, empty: no CUDA'

# Rebuild when compiler or flags change.
FLAGS = $(CC) $(CFLAGS) $(CPPFLAGS) $(EMU_FLAGS) $(CUDA_FLAGS)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@
FORCE:

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  CC    $<'
	@$(CC) $(CFLAGS) $(CPPFLAGS) -c $< -o $@
$(BUILD)/common/models/config.o: $(wildcard common/models/configs/*.json)
$(BUILD)/common/serve/prompts.o: $(wildcard common/serve/prompts/*.json)
$(BUILD)/captioner/summarize.o: captioner/summary.txt
$(BUILD)/evaluator/report/html.o: evaluator/report/style.css

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
$(1)_OBJ := $$(patsubst %.c,$(BUILD)/%.o,$$(wildcard $(1)/*.c $(1)/*/*.c))
$(filter %/pe-$(1),$(PROGRAMS)): $$($(1)_OBJ) $(LIB)
	@echo '  LINK  $$@'
	@$(CC) $(CFLAGS) $(LDFLAGS) $$^ -o $$@ $(LDLIBS)
endef
$(foreach s,$(STAGES),$(eval $(call STAGE,$(s))))

.PRECIOUS: $(BUILD)/%.o
# Test programs may use what a stage is made of, apart from its main.
STAGE_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(filter-out %/main.c,$(wildcard $(STAGES:%=%/*.c) $(STAGES:%=%/*/*.c))))
$(BUILD)/libstages.a: $(STAGE_OBJ)
	@rm -f $@ && ar rcs $@ $^
HELPERS := $(BUILD)/test/make_pictures $(BUILD)/test/make_clips $(BUILD)/test/make_sequences $(BUILD)/test/make_maps $(BUILD)/test/make_boxes $(BUILD)/test/compare_tensors
$(HELPERS): %: %.o $(LIB)
	@$(CC) $(CFLAGS) $(LDFLAGS) $(filter-out %.so,$^) -o $@ $(LDLIBS)
$(BUILD)/test/bench/%: $(BUILD)/test/bench/%.o $(BUILD)/libstages.a $(LIB)
	@echo '  LINK  $@'
	@$(CC) $(CFLAGS) $(LDFLAGS) $(filter-out %.so,$^) -o $@ $(LDLIBS)
$(BUILD)/test/%: $(BUILD)/test/%.o $(BUILD)/test/harness.o $(BUILD)/libstages.a $(LIB)
	@echo '  LINK  $@'
	@$(CC) $(CFLAGS) $(LDFLAGS) $(filter-out %.so,$^) -o $@ $(LDLIBS)


# The CUDA backend, where nvcc and the libraries are: one library, built for the generations in CUDA_ARCHS.
NVCC       ?= $(firstword $(shell command -v nvcc) $(wildcard /usr/local/cuda/bin/nvcc))
CUDA_HOME  ?= $(patsubst %/bin/nvcc,%,$(NVCC))
CUDA_ARCHS ?= 80 90 100
CUDA_NEEDS := $(foreach h,cublasLt nccl cudnn,$(firstword $(foreach p,$(CUDA_HOME)/include /usr/include /usr/include/x86_64-linux-gnu $(CUDA_EXTRA),$(wildcard $(p)/$(h).h))))
CUDA_ONCE  := memory backend plans collectives cudnn
CUDA_DEPS  := $(wildcard common/backend/cuda/*) common/backend/kernels.h common/backend/device.h
ifeq ($(words $(CUDA_NEEDS))$(if $(NVCC),y),3y)
CUDA_LIB   := build/libpercept-cuda.so
CUDA_FLAGS := -std=c++20 -O3 --compiler-options -fPIC,-fvisibility=hidden,-Wall,-Wno-unknown-pragmas -Icommon $(addprefix -I,$(sort $(dir $(CUDA_NEEDS)))) \
  $(foreach a,$(CUDA_ARCHS),-gencode arch=compute_$(a),code=sm_$(a)) -gencode arch=compute_$(lastword $(CUDA_ARCHS)),code=compute_$(lastword $(CUDA_ARCHS))
CUDA_LIBS  := $(foreach l,cublasLt nccl cudnn,$(firstword $(foreach p,$(CUDA_HOME)/lib64 $(CUDA_HOME)/lib /usr/lib/x86_64-linux-gnu $(CUDA_EXTRA_LIB),$(wildcard $(p)/lib$(l).so $(p)/lib$(l).so.[0-9] $(p)/lib$(l).so.[0-9][0-9]))))
endif
ifeq ($(CONFIG),release)
all: $(CUDA_LIB)
endif
build/cuda/%.o: common/backend/cuda/%.cu $(CUDA_DEPS) build/release/flags
	@mkdir -p $(@D)
	@echo '  NVCC  $<'
	@$(NVCC) $(CUDA_FLAGS) -c $< -o $@
define CUDA_TABLE
build/cuda/table.$(1).o: common/backend/cuda/table.cu $(CUDA_DEPS) build/release/flags
	@mkdir -p $$(@D)
	@echo '  NVCC  $$< ($(1))'
	@$(NVCC) $(CUDA_FLAGS) -DBACKEND_REAL=$(2) -DCUDA_TABLE=cuda_table_$(1) -c $$< -o $$@
endef
$(eval $(call CUDA_TABLE,fp32,float))
$(eval $(call CUDA_TABLE,bf16,__nv_bfloat16))
build/libpercept-cuda.so: $(CUDA_ONCE:%=build/cuda/%.o) build/cuda/table.fp32.o build/cuda/table.bf16.o
	@echo '  LINK  $@'
	@$(NVCC) -shared -cudart static $^ -o $@ $(CUDA_LIBS) -Xlinker -rpath -Xlinker $(subst $(eval) ,:,$(sort $(patsubst %/,%,$(dir $(CUDA_LIBS)))))

# The same backend over host code that plays the GPU (test/emulator/README.md).
ifeq ($(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1),x86_64)
EMULATED := $(BUILD)/test/libpercept-emulated.so
endif
EMU_FLAGS := -std=c++20 -fPIC -fvisibility=hidden -Wall -Wextra -Wno-missing-field-initializers -Wno-unknown-pragmas -DOMPI_SKIP_MPICXX -O2 -g \
  $(filter -fsanitize%,$(CFLAGS_$(CONFIG))) -Itest/emulator -Icommon $(MPI_CFLAGS)
EMU_OBJ   := $(patsubst %.cpp,$(BUILD)/%.o,$(wildcard test/emulator/*.cpp)) \
  $(patsubst %,$(BUILD)/test/emulator/%.cu.o,memory backend plans collectives table.fp32 table.bf16)
$(BUILD)/test/emulator/%.o: test/emulator/%.cpp $(wildcard test/emulator/*.h) $(CUDA_DEPS) $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  CXX   $<'
	@$(CXX) $(EMU_FLAGS) -c $< -o $@
$(BUILD)/test/emulator/%.cu.o: $(wildcard test/emulator/*.h) $(CUDA_DEPS) $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  CXX   common/backend/cuda/$(firstword $(subst ., ,$*)).cu $(if $(findstring .,$*),($(lastword $(subst ., ,$*))))'
	@$(CXX) $(EMU_FLAGS) $(if $(findstring fp32,$*),-DBACKEND_REAL=float) $(if $(findstring bf16,$*),-DBACKEND_REAL=__nv_bfloat16) \
	  -DCUDA_TABLE=cuda_table_$(lastword $(subst ., ,$*)) -x c++ -c common/backend/cuda/$(firstword $(subst ., ,$*)).cu -o $@
$(BUILD)/test/libpercept-emulated.so: $(EMU_OBJ)
	@echo '  LINK  $@'
	@$(CXX) -shared $(filter -fsanitize%,$(CFLAGS_$(CONFIG))) $^ -o $@ $(MPI_LIBS)

tests: all $(TESTS) $(HELPERS) $(EMULATED)

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
# On a machine with a GPU; where packages are missing there: scripts/gpu-carry here, scripts/gpu-run there.
check-gpu:
	@$(MAKE) --no-print-directory -j$(JOBS) tests
	@scripts/check-gpu
bench-gpu:
	@$(MAKE) --no-print-directory -j$(JOBS) tests $(BUILD)/test/bench/gpu
	@scripts/bench-gpu
bench: deps
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BENCHES)
	@scripts/bench
fuzz:
	@scripts/fuzz
clean:
	rm -rf build

-include $(shell find build -name '*.d' 2>/dev/null)
