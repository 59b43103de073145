// CUDA C++ as ordinary C++: the device's words, for kernels that run on the CPU, one fiber per CUDA thread.
//
// This file is put before a kernel's text; cuda_on_cpu.cpp is the scheduler behind it. A kernel's loads and stores are
// instrumented by -fsanitize=thread, whose hooks the scheduler answers by switching to another thread now and then, so
// atomics are functions that are not instrumented. -fsanitize=undefined reports to the scheduler too.
//
// Understood: indices and sizes in three dimensions, static and dynamic shared memory, barriers, warp shuffles, votes,
// matches and reductions, atomics, vector types, the usual intrinsics. Not understood: textures, cooperative groups,
// shared variables in templates, __constant__ memory that the host writes. Every lane that a mask names must be alive.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(bytes) alignas(bytes)
#define __launch_bounds__(...)
// The scheduler fills this section before each block, and swaps it when it turns to another block.
#define __shared__ static __attribute__((section("shared_memory")))
#define DYNAMIC_SHARED(T, name) T* const name = reinterpret_cast<T*>(on_cpu::dynamic_shared())
#define warpSize 32

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define VECTORS(T, name, bytes)                                                                 \
    struct alignas(2 * bytes) name##2 { T x, y; };                                              \
    struct name##3 { T x, y, z; };                                                              \
    struct alignas(4 * bytes < 16 ? 4 * bytes : 16) name##4 { T x, y, z, w; };                  \
    static inline name##2 make_##name##2(T x, T y) { return {x, y}; }                           \
    static inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                   \
    static inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
VECTORS(unsigned char, uchar, 1)
VECTORS(unsigned short, ushort, 2)
VECTORS(short, short, 2)
VECTORS(int, int, 4)
VECTORS(unsigned, uint, 4)
VECTORS(float, float, 4)
VECTORS(double, double, 8)
VECTORS(long long, longlong, 8)
VECTORS(unsigned long long, ulonglong, 8)
#undef VECTORS

namespace on_cpu {

struct Report;
extern dim3 block_size, grid_size;

const uint3& thread_index();
const uint3& block_index();
void* dynamic_shared();
void may_switch();                              // lets another thread run, now and then
int barrier(int line, int predicate);           // the number of threads whose predicate holds
const uint64_t* meet(unsigned mask, uint64_t value, const char* operation);  // the 32 values of the warp
unsigned lane();
[[noreturn]] void fail(const char* format, ...);
int launch(void (*run)(void*), void* kernel, const unsigned* grid, const unsigned* block, uint64_t shared_bytes,
           unsigned seed, Report* report);

template <class T>
uint64_t pack(T value) {
    static_assert(sizeof(T) <= 8, "at most 8 bytes are exchanged at a time");
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
}

template <class T>
T unpack(uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}

template <class T>
T shuffle(unsigned mask, T value, int source, bool is_inside, const char* operation) {
    const uint64_t* values = meet(mask, pack(value), operation);
    if (!is_inside) return value;
    if (!(mask >> source & 1)) fail("%s reads lane %d, which is not in the mask %08x", operation, source, mask);
    return unpack<T>(values[source]);
}

template <class T, class Combine>
T reduce(unsigned mask, T value, const char* operation, Combine combine) {
    const uint64_t* values = meet(mask, pack(value), operation);
    bool is_first = true;
    T result = value;
    for (int other = 0; other < 32; other++)
        if (mask >> other & 1) {
            result = is_first ? unpack<T>(values[other]) : combine(result, unpack<T>(values[other]));
            is_first = false;
        }
    return result;
}

// The types of a kernel's parameters in NumPy's letters: "const*u2,i4".
template <class T>
std::string code() {
    if constexpr (std::is_pointer_v<T>) {
        using Pointee = std::remove_pointer_t<T>;
        return (std::is_const_v<Pointee> ? "const*" : "*") + code<std::remove_cv_t<Pointee>>();
    } else {
        const char kind = std::is_same_v<T, bool>           ? 'b'
                          : std::is_floating_point_v<T>     ? 'f'
                          : std::is_same_v<T, float2>       ? 'c'
                          : std::is_same_v<T, double2>      ? 'c'
                          : !std::is_integral_v<T>          ? 'V'
                          : std::is_unsigned_v<T>           ? 'u'
                                                            : 'i';
        return kind + std::to_string(sizeof(T));
    }
}

template <class... P>
std::string signature(void (*)(P...)) {
    std::string codes;
    ((codes += (codes.empty() ? "" : ",") + code<std::remove_cv_t<P>>()), ...);
    return codes;
}

template <class... P>
struct Call {
    void (*kernel)(P...);
    void** args;
    template <size_t... I>
    void run(std::index_sequence<I...>) const {
        kernel(*static_cast<std::remove_cv_t<P>*>(args[I])...);
    }
};

template <class... P>
int launch_kernel(void (*kernel)(P...), void** args, const unsigned* grid, const unsigned* block,
                  uint64_t shared_bytes, unsigned seed, Report* report) {
    Call<P...> call{kernel, args};
    const auto run = [](void* context) {
        static_cast<Call<P...>*>(context)->run(std::index_sequence_for<P...>());
    };
    return launch(run, &call, grid, block, shared_bytes, seed, report);
}

}  // namespace on_cpu

// Written after a kernel's text for each of its functions: what Python calls.
#define CALLED_FROM_PYTHON extern "C" __attribute__((visibility("default"), no_sanitize("thread")))
#define LAUNCHER(kernel)                                                                                       \
    CALLED_FROM_PYTHON const char* signature_of_##kernel() {                                                   \
        static const std::string codes = on_cpu::signature(kernel);                                            \
        return codes.c_str();                                                                                  \
    }                                                                                                          \
    CALLED_FROM_PYTHON int launch_##kernel(void** args, const unsigned* grid, const unsigned* block,           \
                                           uint64_t shared_bytes, unsigned seed, on_cpu::Report* report) {     \
        return on_cpu::launch_kernel(kernel, args, grid, block, shared_bytes, seed, report);                   \
    }

#define threadIdx (on_cpu::thread_index())
#define blockIdx (on_cpu::block_index())
#define blockDim (on_cpu::block_size)
#define gridDim (on_cpu::grid_size)

#define __syncthreads() ((void)on_cpu::barrier(__LINE__, 0))
#define __syncthreads_count(predicate) (on_cpu::barrier(__LINE__, (predicate) != 0))
#define __syncthreads_or(predicate) (on_cpu::barrier(__LINE__, (predicate) != 0) > 0)
#define __syncthreads_and(predicate) (on_cpu::barrier(__LINE__, !(predicate)) == 0)

static inline void __syncwarp(unsigned mask = ~0u) { on_cpu::meet(mask, 0, "__syncwarp"); }
static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline void __nanosleep(unsigned) { on_cpu::may_switch(); }
[[noreturn]] static inline void __trap() { on_cpu::fail("the kernel called __trap()"); }

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    const int first = on_cpu::lane() & ~(width - 1);
    return on_cpu::shuffle(mask, value, first + (source & (width - 1)), true, "__shfl_sync");
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const int source = int(on_cpu::lane()) - int(delta), first = on_cpu::lane() & ~(width - 1);
    return on_cpu::shuffle(mask, value, source, source >= first, "__shfl_up_sync");
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const int source = int(on_cpu::lane() + delta), first = on_cpu::lane() & ~(width - 1);
    return on_cpu::shuffle(mask, value, source, source < first + width, "__shfl_down_sync");
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
    const int source = int(on_cpu::lane()) ^ lanes, first = on_cpu::lane() & ~(width - 1);
    return on_cpu::shuffle(mask, value, source, source < first + width, "__shfl_xor_sync");
}
static inline unsigned __ballot_sync(unsigned mask, int predicate) {
    const uint64_t* values = on_cpu::meet(mask, predicate != 0, "__ballot_sync");
    unsigned votes = 0;
    for (int other = 0; other < 32; other++)
        if (mask >> other & 1) votes |= unsigned(values[other]) << other;
    return votes;
}
static inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
static inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == mask; }
template <class T>
unsigned __match_any_sync(unsigned mask, T value) {
    const uint64_t* values = on_cpu::meet(mask, on_cpu::pack(value), "__match_any_sync");
    unsigned same = 0;
    for (int other = 0; other < 32; other++)
        if ((mask >> other & 1) && values[other] == on_cpu::pack(value)) same |= 1u << other;
    return same;
}

#if __CUDA_ARCH__ >= 800
#define REDUCTION(T, name, expression)                                                       \
    static inline T __reduce_##name##_sync(unsigned mask, T value) {                         \
        return on_cpu::reduce(mask, value, "__reduce_" #name "_sync", [](T a, T b) -> T { return expression; }); \
    }
REDUCTION(unsigned, add, a + b)
REDUCTION(unsigned, min, a < b ? a : b)
REDUCTION(unsigned, max, a > b ? a : b)
REDUCTION(unsigned, and, a & b)
REDUCTION(unsigned, or, a | b)
REDUCTION(unsigned, xor, a ^ b)
REDUCTION(int, add, int(unsigned(a) + unsigned(b)))
REDUCTION(int, min, a < b ? a : b)
REDUCTION(int, max, a > b ? a : b)
#undef REDUCTION
#endif

#define ATOMIC(name, expression)                                                             \
    template <class T>                                                                       \
    __attribute__((noinline, no_sanitize("thread"))) T name(T* place, std::common_type_t<T> value) { \
        on_cpu::may_switch();                                                                \
        const T old = *place;                                                                \
        *place = expression;                                                                 \
        return old;                                                                          \
    }
ATOMIC(atomicAdd, T(old + value))
ATOMIC(atomicSub, T(old - value))
ATOMIC(atomicExch, value)
ATOMIC(atomicMin, value < old ? value : old)
ATOMIC(atomicMax, value > old ? value : old)
ATOMIC(atomicAnd, T(old & value))
ATOMIC(atomicOr, T(old | value))
ATOMIC(atomicXor, T(old ^ value))
ATOMIC(atomicInc, T(old >= value ? 0 : old + 1))
ATOMIC(atomicDec, T(old == 0 || old > value ? value : old - 1))
#undef ATOMIC
template <class T>
__attribute__((noinline, no_sanitize("thread"))) T atomicCAS(T* place, std::common_type_t<T> expected,
                                                             std::common_type_t<T> value) {
    on_cpu::may_switch();
    const T old = *place;
    if (old == expected) *place = value;
    return old;
}

template <class T>
T __ldg(const T* place) { return *place; }
template <class A, class B>
std::common_type_t<A, B> min(A a, B b) {
    using T = std::common_type_t<A, B>;
    return T(b) < T(a) ? T(b) : T(a);
}
template <class A, class B>
std::common_type_t<A, B> max(A a, B b) {
    using T = std::common_type_t<A, B>;
    return T(a) < T(b) ? T(b) : T(a);
}

static inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
static inline int __popcll(unsigned long long bits) { return __builtin_popcountll(bits); }
static inline int __clz(int bits) { return bits ? __builtin_clz(unsigned(bits)) : 32; }
static inline int __clzll(long long bits) { return bits ? __builtin_clzll((unsigned long long)bits) : 64; }
static inline int __ffs(int bits) { return __builtin_ffs(bits); }
static inline int __ffsll(long long bits) { return __builtin_ffsll(bits); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}

// Without contraction and in the default rounding, the plain operations are those that round to nearest.
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline double __dsqrt_rn(double a) { return sqrt(a); }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

static inline int __float2int_rn(float a) { return int(nearbyintf(a)); }
static inline int __double2int_rn(double a) { return int(nearbyint(a)); }
static inline long long __double2ll_rn(double a) { return (long long)nearbyint(a); }
static inline int __float_as_int(float a) { return on_cpu::unpack<int>(on_cpu::pack(a)); }
static inline unsigned __float_as_uint(float a) { return on_cpu::unpack<unsigned>(on_cpu::pack(a)); }
static inline float __int_as_float(int a) { return on_cpu::unpack<float>(on_cpu::pack(a)); }
static inline float __uint_as_float(unsigned a) { return on_cpu::unpack<float>(on_cpu::pack(a)); }
static inline long long __double_as_longlong(double a) { return on_cpu::unpack<long long>(on_cpu::pack(a)); }
static inline double __longlong_as_double(long long a) { return on_cpu::unpack<double>(on_cpu::pack(a)); }
