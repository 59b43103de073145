// A small kernel that uses all a block has. Tests break it in one place each and look whether that is noticed.

// Counts 16-bit values by their upper 6 bits (counts[64]), sums them, and finds the least.
extern "C" __global__ void __launch_bounds__(128) summarize(const u16* values, int n, u32* counts, u64* sum, u32* least) {
    __shared__ u32 bins[64];
    __shared__ u64 sums[32];
    for (int bin = threadIdx.x; bin < 64; bin += blockDim.x) bins[bin] = 0;
    __syncthreads();
    u64 mine = 0;
    u32 low = 65535;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        const u32 value = values[i];
        atomicAdd(&bins[value >> 10], 1u);
        mine += value;
        low = min(low, value);
    }
    low = warp_min(low);
    if ((threadIdx.x & 31) == 0) atomicMin(least, low);
    const u64 total = block_sum(mine, sums);
    for (int bin = threadIdx.x; bin < 64; bin += blockDim.x)
        if (bins[bin]) atomicAdd(&counts[bin], bins[bin]);
    if (threadIdx.x == 0) atomicAdd(sum, total);
}

// The running sum of a block's values, the sum before each, and what warps give: least, greatest, sum of floats.
extern "C" __global__ void __launch_bounds__(1024) collect(const u32* values, u32* before, int* extremes, float* sums) {
    __shared__ u32 scratch[32];
    const u32 value = values[threadIdx.x];
    before[threadIdx.x] = block_sum_before(value, scratch) + block_sum_before(value, scratch);
    extremes[2 * threadIdx.x] = warp_min(-int(value));
    extremes[2 * threadIdx.x + 1] = warp_max(int(value));
    sums[threadIdx.x] = warp_sum(float(value)) + float(warp_sum(value)) + float(warp_max(value) - warp_min(value));
}

// Reverses values in dynamic shared memory, four at a time on the way in.
extern "C" __global__ void __launch_bounds__(256) reverse(const ushort4* values, u16* out) {
    DYNAMIC_SHARED(ushort4, row);
    row[threadIdx.x] = values[threadIdx.x];
    __syncthreads();
    const u16* flat = reinterpret_cast<const u16*>(row);
    const int n = 4 * blockDim.x;
    for (int i = threadIdx.x; i < n; i += blockDim.x) out[i] = flat[n - 1 - i];
}

// One block adds up what all left behind: the last to come, which knows itself by a counter.
extern "C" __global__ void __launch_bounds__(64) last_block(u32* parts, u32* arrived, u32* sum) {
    __shared__ bool is_last;
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = blockIdx.x + 1;
        __threadfence();
        is_last = atomicAdd(arrived, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (!is_last) return;
    u32 mine = 0;
    for (int part = threadIdx.x; part < gridDim.x; part += blockDim.x) mine += *(volatile u32*)&parts[part];
    mine = warp_sum(mine);
    if ((threadIdx.x & 31) == 0) atomicAdd(sum, mine);
}
