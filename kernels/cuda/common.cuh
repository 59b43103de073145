// What every kernel may use; put before each .cu file by kernels/gpu.py. Only the device's own language: no #include.
// A block that calls these has whole warps, and all its threads call them (for warp_*: all 32 lanes).

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define ALL_LANES 0xffffffffu

// Dynamic shared memory as an array of T; one per kernel. Its bytes are the launch's shared_mem.
#ifndef DYNAMIC_SHARED
#define DYNAMIC_SHARED(T, name)                                  \
    extern __shared__ __align__(16) unsigned char dynamic_shared_[]; \
    T* const name = reinterpret_cast<T*>(dynamic_shared_)
#endif

// Sum, least and greatest value of a warp, for all its lanes. From sm_80 on, 32 bits take one instruction.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
    for (int offset = 16; offset > 0; offset >>= 1) value += __shfl_xor_sync(ALL_LANES, value, offset);
    return value;
}

template <class T>
__device__ __forceinline__ T warp_min(T value) {
    for (int offset = 16; offset > 0; offset >>= 1) {
        const T other = __shfl_xor_sync(ALL_LANES, value, offset);
        value = other < value ? other : value;
    }
    return value;
}

template <class T>
__device__ __forceinline__ T warp_max(T value) {
    for (int offset = 16; offset > 0; offset >>= 1) {
        const T other = __shfl_xor_sync(ALL_LANES, value, offset);
        value = other > value ? other : value;
    }
    return value;
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
template <> __device__ __forceinline__ u32 warp_sum<u32>(u32 value) { return __reduce_add_sync(ALL_LANES, value); }
template <> __device__ __forceinline__ int warp_sum<int>(int value) { return __reduce_add_sync(ALL_LANES, value); }
template <> __device__ __forceinline__ u32 warp_min<u32>(u32 value) { return __reduce_min_sync(ALL_LANES, value); }
template <> __device__ __forceinline__ int warp_min<int>(int value) { return __reduce_min_sync(ALL_LANES, value); }
template <> __device__ __forceinline__ u32 warp_max<u32>(u32 value) { return __reduce_max_sync(ALL_LANES, value); }
template <> __device__ __forceinline__ int warp_max<int>(int value) { return __reduce_max_sync(ALL_LANES, value); }
#endif

// Sum of the lanes below this one.
template <class T>
__device__ __forceinline__ T warp_sum_before(T value) {
    const int lane = threadIdx.x & 31;
    T sum = value;
    for (int offset = 1; offset < 32; offset <<= 1) {
        const T lower = __shfl_up_sync(ALL_LANES, sum, offset);
        if (lane >= offset) sum += lower;
    }
    return sum - value;
}

// Sum of a block of one dimension, for all its threads. `scratch` is shared memory for 32 values; it may be used again
// at once, also by the next call.
template <class T>
__device__ __forceinline__ T block_sum(T value, T* scratch) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    value = warp_sum(value);
    __syncthreads();  // the last call's sums have been read
    if (lane == 0) scratch[warp] = value;
    __syncthreads();
    value = warp_sum(lane < warps ? scratch[lane] : T(0));
    __syncthreads();
    return value;
}

// Sum of the threads below this one, in a block of one dimension; `scratch` as in block_sum.
template <class T>
__device__ __forceinline__ T block_sum_before(T value, T* scratch) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    const T before = warp_sum_before(value);
    __syncthreads();
    if (lane == 31) scratch[warp] = before + value;
    __syncthreads();
    const T lower = warp_sum_before(lane < warps ? scratch[lane] : T(0));
    const T sum = before + __shfl_sync(ALL_LANES, lower, warp);
    __syncthreads();
    return sum;
}
