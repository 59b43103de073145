// The one real kernel that is run before a device is chosen: its answer shows that code is compiled and run.

extern "C" __global__ void probe(u32* out) {
    __shared__ u32 sums[32];
    const u32 sum = block_sum(u32(threadIdx.x), sums);
    out[threadIdx.x] = sum + threadIdx.x;
}
