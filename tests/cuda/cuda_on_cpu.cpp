// The scheduler behind cuda_on_cpu.h: runs a grid of CUDA threads as fibers of one thread of the CPU (x86-64, Linux).
//
// Seed 0 runs blocks and threads in order and switches rarely. Any other seed takes the next thread at random, switches
// before loads, stores and atomics, above all before a store to where the thread has just loaded from, permutes the
// blocks and has several of them under way at once. Blocks under way share the section of static shared memory, which
// is swapped as the scheduler turns from one to another.
//
// What goes wrong ends the launch, not the process: fail() and the handler of signals jump back to launch(), and the
// fibers are forgotten.
#include "cuda_on_cpu.h"

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <vector>

// The bounds of the section of static shared memory, which is missing when a file has none.
extern "C" __attribute__((weak, visibility("hidden"))) char __start_shared_memory[], __stop_shared_memory[];

extern "C" void switch_stacks(void** save, void* load);
__asm__(
    ".text\n"
    ".globl switch_stacks\n"
    ".hidden switch_stacks\n"
    ".type switch_stacks, @function\n"
    "switch_stacks:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n"
    ".size switch_stacks, .-switch_stacks\n");

namespace on_cpu {

struct Thread;

constexpr unsigned kMostThreads = 1024, kMostBlocksUnderWay = 3;
constexpr size_t kPage = 4096, kStack = 16 * kPage, kMostDynamic = 64 * kPage;
constexpr uint64_t kCostOfSwitch = 100;  // in loads and stores
constexpr uint64_t kCanary = 0x5ca1ab1e0ddba11;

struct Report {  // known to host_build.py by this layout
    uint64_t effort, most_effort;  // in loads and stores; the second is told by the caller
    uint64_t signal, address, is_write, code_offset, caller_offset;
    char message[512];
};

struct Block {
    uint3 index;
    std::deque<Thread*> ready, asleep;
    unsigned at_barrier, ended;
    int holding, counted;  // threads whose predicate holds: those so far, and those of the last barrier
    char* dynamic;         // the end of a mapping, against a page that may not be touched
    std::vector<char> shared;
    bool is_under_way;
};

enum State { kReady, kAtBarrier, kMeeting, kEnded };
const char* const kStates[] = {"are running", "wait at the barrier of line", "wait for their warp in", "have ended"};

struct Thread {
    uint3 index;
    unsigned number;
    Block* block;
    State state;
    int line;
    unsigned mask;
    uint64_t value;
    const char* operation;
    uint64_t met[32];
    void* last_load;
    void* stack_pointer;
    char* stack;
};

static Thread* running;
dim3 block_size, grid_size;

static Thread threads[kMostBlocksUnderWay][kMostThreads];
static Block blocks[kMostBlocksUnderWay];
static Block* in_section;  // whose static shared memory lies in the section
static char *stacks, *dynamics;
static unsigned thread_count;
static size_t dynamic_bytes;
static void* scheduler_stack;
static void (*run_kernel)(void*);
static void* kernel_context;
static Report* report;
static sigjmp_buf way_out;
static pthread_t launching;
static unsigned char poison;

// Chance

static bool is_random;
static uint64_t random_state;
static unsigned mean_stretch, stretch_left;

static uint64_t random_below(uint64_t bound) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    uint64_t bits = random_state ^ random_state >> 29;
    return (bits * 0x9e3779b97f4a7c15u >> 32) % bound;
}

static void set_chance(unsigned seed) {
    const unsigned stretches[] = {400, 3, 40};
    is_random = seed != 0;
    random_state = seed * 0x9e3779b97f4a7c15u + 1;
    mean_stretch = is_random ? stretches[seed % 3] : 1 << 20;
    stretch_left = mean_stretch;
    const unsigned char poisons[] = {0xcd, 0x00, 0xff};
    poison = poisons[seed % 3];
}

// Faults

void fail(const char* format, ...) {
    va_list values;
    va_start(values, format);
    int used = vsnprintf(report->message, sizeof report->message, format, values);
    va_end(values);
    if (running && used >= 0 && used < int(sizeof report->message)) {
        const uint3 b = running->block->index, t = running->index;
        snprintf(report->message + used, sizeof report->message - used, " (block %u,%u,%u thread %u,%u,%u)", b.x, b.y,
                 b.z, t.x, t.y, t.z);
    }
    siglongjmp(way_out, 1);
}

static const int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
static struct sigaction former[sizeof kSignals / sizeof *kSignals];

static bool is_on_stack(const char* place) { return place >= running->stack && place < running->stack + kStack - 16; }

static void on_signal(int number, siginfo_t* info, void* context) {
    if (!pthread_equal(pthread_self(), launching)) {  // another thread's: hand it to whoever was in charge
        for (size_t i = 0; i < sizeof kSignals / sizeof *kSignals; i++)
            if (kSignals[i] == number) sigaction(number, &former[i], nullptr);
        return;
    }
    const auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    report->signal = number;
    report->address = reinterpret_cast<uint64_t>(info->si_addr);
    report->is_write = registers[REG_ERR] >> 1 & 1;
    const char *address = static_cast<char*>(info->si_addr), *stack = reinterpret_cast<char*>(registers[REG_RSP]);
    if (running && !is_on_stack(stack)) fail("too many local variables");
    Dl_info where;
    if (dladdr(reinterpret_cast<void*>(registers[REG_RIP]), &where)) {
        const char* base = static_cast<char*>(where.dli_fbase);
        char** frame = reinterpret_cast<char**>(registers[REG_RBP]);
        report->code_offset = reinterpret_cast<char*>(registers[REG_RIP]) - base;
        if (running && is_on_stack(reinterpret_cast<char*>(frame))) report->caller_offset = frame[1] - 1 - base;
    }
    if (address >= dynamics && address < dynamics + kMostBlocksUnderWay * (kMostDynamic + kPage))
        fail("outside the dynamic shared memory, which has %zu bytes", dynamic_bytes);
    fail("%s", "");
}

// Threads

static void to_scheduler() {
    // before anybody else runs: has this thread left its stack for its neighbour's?
    const bool is_inside = static_cast<char*>(__builtin_frame_address(0)) > running->stack + kPage;
    if (!is_inside || *reinterpret_cast<uint64_t*>(running->stack) != kCanary) fail("too many local variables");
    switch_stacks(&running->stack_pointer, scheduler_stack);
}

static void thread_main() {
    run_kernel(kernel_context);
    running->state = kEnded;
    running->block->ended++;
    to_scheduler();
}

static void make_ready(Thread& thread) {
    thread.state = kReady;
    thread.block->ready.push_back(&thread);
}

void may_switch() {
    if (--stretch_left || !running) return;  // not running: the way from Python to a kernel is instrumented too
    stretch_left = is_random ? 1 + random_below(2 * mean_stretch) : mean_stretch;
    report->effort += mean_stretch + kCostOfSwitch;
    if (report->effort > report->most_effort) fail("still running after %lu loads and stores", report->most_effort);
    make_ready(*running);
    to_scheduler();
}

// Between a load and the store that follows it, others may come first unless both are one atomic: let them, for long.
static void before_store(void* place) {
    if (is_random && running && place == running->last_load && random_below(2)) {
        report->effort += kCostOfSwitch;
        running->last_load = nullptr;
        running->block->asleep.push_back(running);
        to_scheduler();
    } else {
        may_switch();
    }
}

static void before_load(void* place) {
    if (running) running->last_load = place;
    may_switch();
}

const uint3& thread_index() { return running->index; }
const uint3& block_index() { return running->block->index; }
void* dynamic_shared() { return running->block->dynamic; }
unsigned lane() { return running->number & 31; }

int barrier(int line, int predicate) {
    running->state = kAtBarrier;
    running->line = line;
    running->block->at_barrier++;
    running->block->holding += predicate;
    to_scheduler();
    return running->block->counted;
}

const uint64_t* meet(unsigned mask, uint64_t value, const char* operation) {
    Thread* warp = running - lane();
    if (!(mask >> lane() & 1)) fail("%s: the lane is not in its own mask %08x", operation, mask);
    running->state = kMeeting;
    running->mask = mask;
    running->value = value;
    running->operation = operation;
    bool is_complete = true;
    for (unsigned other = 0; other < 32; other++) {
        if (!(mask >> other & 1)) continue;
        const Thread& there = warp[other];
        if (there.number >= thread_count || there.state == kEnded)
            fail("%s: lane %u is in the mask %08x, but has ended or never was", operation, other, mask);
        is_complete &= there.state == kMeeting && there.mask == mask && strcmp(there.operation, operation) == 0;
    }
    if (is_complete)
        for (unsigned other = 0; other < 32; other++)
            if (mask >> other & 1) {
                for (unsigned from = 0; from < 32; from++) warp[other].met[from] = warp[from].value;
                make_ready(warp[other]);
            }
    to_scheduler();
    return running->met;
}

// Blocks

static size_t section_bytes() { return __stop_shared_memory - __start_shared_memory; }

static void turn_to(Block& block) {
    if (in_section == &block) return;
    if (section_bytes()) {
        if (in_section) memcpy(in_section->shared.data(), __start_shared_memory, section_bytes());
        memcpy(__start_shared_memory, block.shared.data(), section_bytes());
    }
    in_section = &block;
}

static void begin(Block& block, uint64_t number) {
    turn_to(block);
    if (section_bytes()) memset(__start_shared_memory, poison, section_bytes());
    memset(block.dynamic, poison, dynamic_bytes);
    block.index = {unsigned(number % grid_size.x), unsigned(number / grid_size.x % grid_size.y),
                   unsigned(number / grid_size.x / grid_size.y)};
    block.at_barrier = block.ended = 0;
    block.holding = block.counted = 0;
    block.is_under_way = true;
    block.ready.clear();
    block.asleep.clear();
    Thread* first = threads[&block - blocks];
    for (unsigned i = 0; i < thread_count; i++) {
        Thread& thread = first[i];
        thread.index = {i % block_size.x, i / block_size.x % block_size.y, i / block_size.x / block_size.y};
        thread.number = i;
        thread.block = &block;
        thread.last_load = nullptr;
        thread.stack = stacks + ((&block - blocks) * kMostThreads + i) * kStack;
        *reinterpret_cast<uint64_t*>(thread.stack) = kCanary;
        void** top = reinterpret_cast<void**>(thread.stack + kStack);
        *--top = nullptr;  // where thread_main would return to, which it never does
        *--top = reinterpret_cast<void*>(thread_main);
        for (int saved = 0; saved < 6; saved++) *--top = nullptr;
        thread.stack_pointer = top;
        make_ready(thread);
    }
}

// Says what a block's threads wait for, with an example of each kind.
[[noreturn]] static void fail_stuck(const Block& block, const char* what) {
    char text[400] = "";
    size_t used = 0;
    const Thread* first = threads[&block - blocks];
    for (unsigned i = 0; i < thread_count && used < sizeof text - 100; i++) {
        const auto kind = [&](unsigned n) {
            const Thread& t = first[n];
            return std::make_pair(t.state, t.state == kAtBarrier ? long(t.line)
                                           : t.state == kMeeting ? long(strlen(t.operation))
                                                                 : 0L);
        };
        bool is_told = false;
        unsigned alike = 0;
        for (unsigned other = 0; other < i; other++) is_told |= kind(other) == kind(i);
        if (is_told) continue;
        for (unsigned other = i; other < thread_count; other++) alike += kind(other) == kind(i);
        used += snprintf(text + used, sizeof text - used, "%s%u threads (%u, ...) %s", used ? ", " : "", alike, i,
                         kStates[first[i].state]);
        if (first[i].state == kAtBarrier) used += snprintf(text + used, sizeof text - used, " %d", first[i].line);
        if (first[i].state == kMeeting) used += snprintf(text + used, sizeof text - used, " %s", first[i].operation);
    }
    running = nullptr;
    fail("%s in block %u,%u,%u: %s", what, block.index.x, block.index.y, block.index.z, text);
}

static void open_barrier(Block& block) {
    Thread* first = threads[&block - blocks];
    if (block.at_barrier != thread_count)
        fail_stuck(block, block.at_barrier ? "divergent barrier" : "threads that wait for each other");
    for (unsigned i = 1; i < thread_count; i++)
        if (first[i].line != first[0].line) fail_stuck(block, "divergent barrier");
    block.counted = block.holding;
    block.holding = 0;
    block.at_barrier = 0;
    for (unsigned i = 0; i < thread_count; i++) make_ready(first[i]);
}

static Thread* take(std::deque<Thread*>& waiting) {
    if (is_random) std::swap(waiting.front(), waiting[random_below(waiting.size())]);
    Thread* thread = waiting.front();
    waiting.pop_front();
    return thread;
}

// Whether some block can go on while those who sleep go on sleeping.
static bool is_anybody_awake() {
    for (const Block& block : blocks)
        if (block.is_under_way && (!block.ready.empty() || block.asleep.empty())) return true;
    return false;
}

static void run_grid() {
    std::vector<uint32_t> order(size_t(grid_size.x) * grid_size.y * grid_size.z);
    for (size_t i = 0; i < order.size(); i++) order[i] = uint32_t(i);
    if (is_random)
        for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[random_below(i)]);
    const unsigned at_once = is_random && order.size() > 1 ? kMostBlocksUnderWay : 1;
    size_t next = 0;
    unsigned under_way = 0;
    for (unsigned i = 0; i < kMostBlocksUnderWay; i++) {
        blocks[i].is_under_way = i < at_once && next < order.size();
        if (!blocks[i].is_under_way) continue;
        begin(blocks[i], order[next++]);
        under_way++;
    }
    for (Block* block = &blocks[0]; under_way;) {
        turn_to(*block);
        if (!block->asleep.empty() && (random_below(512) == 0 || !is_anybody_awake())) make_ready(*take(block->asleep));
        if (!block->ready.empty()) {
            running = take(block->ready);
            switch_stacks(&scheduler_stack, running->stack_pointer);
            running = nullptr;
        } else if (!block->asleep.empty()) {
            // another block's turn
        } else if (block->ended < thread_count) {
            open_barrier(*block);
        } else if (next < order.size()) {
            begin(*block, order[next++]);
        } else {
            block->is_under_way = false;
            under_way--;
        }
        if (under_way && (!block->is_under_way || (at_once > 1 && (block->ready.size() < 2 || random_below(8) == 0))))
            do block = &blocks[random_below(at_once)];
            while (!block->is_under_way);
    }
}

// The launch

static char* map_with_guards(size_t parts, size_t part_bytes) {
    const size_t bytes = parts * part_bytes;
    void* place = mmap(nullptr, bytes + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) abort();
    mprotect(place, kPage, PROT_NONE);
    return static_cast<char*>(place) + kPage;
}

static void prepare_memory() {
    if (!stacks) {
        stacks = map_with_guards(kMostBlocksUnderWay * kMostThreads, kStack);
        dynamics = map_with_guards(kMostBlocksUnderWay, kMostDynamic + kPage);
        for (unsigned i = 0; i < kMostBlocksUnderWay; i++)
            mprotect(dynamics + i * (kMostDynamic + kPage) + kMostDynamic, kPage, PROT_NONE);
    }
    for (unsigned i = 0; i < kMostBlocksUnderWay; i++) {
        char* end = dynamics + i * (kMostDynamic + kPage) + kMostDynamic;
        blocks[i].dynamic = end - (dynamic_bytes + 15) / 16 * 16;  // aligned as on a device
        blocks[i].shared.assign(section_bytes(), char(poison));
    }
    in_section = nullptr;
}

int launch(void (*run)(void*), void* kernel, const unsigned* grid, const unsigned* block, uint64_t shared_bytes,
           unsigned seed, Report* out) {
    static char signal_stack[1 << 16];
    report = out;
    run_kernel = run;
    kernel_context = kernel;
    grid_size = dim3(grid[0], grid[1], grid[2]);
    block_size = dim3(block[0], block[1], block[2]);
    thread_count = block_size.x * block_size.y * block_size.z;
    dynamic_bytes = shared_bytes;
    running = nullptr;
    launching = pthread_self();
    set_chance(seed);
    prepare_memory();

    stack_t ours = {}, former_stack;
    ours.ss_sp = signal_stack;
    ours.ss_size = sizeof signal_stack;
    sigaltstack(&ours, &former_stack);
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (size_t i = 0; i < sizeof kSignals / sizeof *kSignals; i++) sigaction(kSignals[i], &action, &former[i]);
    const int failed = sigsetjmp(way_out, 1);
    if (!failed) run_grid();
    for (size_t i = 0; i < sizeof kSignals / sizeof *kSignals; i++) sigaction(kSignals[i], &former[i], nullptr);
    sigaltstack(&former_stack, nullptr);
    running = nullptr;
    return failed;
}

}  // namespace on_cpu

CALLED_FROM_PYTHON uint64_t static_shared_bytes() { return on_cpu::section_bytes(); }

// Hooks of -fsanitize=thread: before each load and store of a kernel.

#define HOOKS(size)                                                                         \
    extern "C" void __tsan_read##size(void* place) { on_cpu::before_load(place); }            \
    extern "C" void __tsan_write##size(void* place) { on_cpu::before_store(place); }          \
    extern "C" void __tsan_unaligned_read##size(void* place) { on_cpu::before_load(place); }  \
    extern "C" void __tsan_unaligned_write##size(void* place) { on_cpu::before_store(place); }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
extern "C" void __tsan_read_range(void* place, unsigned long) { on_cpu::before_load(place); }
extern "C" void __tsan_write_range(void* place, unsigned long) { on_cpu::before_store(place); }
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}

// Reports of -fsanitize=undefined; each has the place in the source first.

struct Place {
    const char* file;
    unsigned line, column;
};
#define MISTAKE(name, what) \
    extern "C" void __ubsan_handle_##name##_abort(const Place* at, ...) { on_cpu::fail("%s at %s:%u", what, at->file, at->line); }
MISTAKE(out_of_bounds, "index outside its array")
MISTAKE(type_mismatch_v1, "misaligned address")
MISTAKE(add_overflow, "overflow of a signed sum")
MISTAKE(sub_overflow, "overflow of a signed difference")
MISTAKE(mul_overflow, "overflow of a signed product")
MISTAKE(negate_overflow, "overflow of a signed negation")
MISTAKE(divrem_overflow, "division by zero, or its overflow")
MISTAKE(shift_out_of_bounds, "shift by too many bits")
MISTAKE(float_cast_overflow, "a floating-point number that its integer type cannot hold")
MISTAKE(vla_bound_not_positive, "array without elements")
