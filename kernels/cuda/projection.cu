// One plane of a stack of `depth` planes, uint16, each of so many pixels.
extern "C" __global__ void __launch_bounds__(256)
project_max(const u16* __restrict__ planes, const int depth, const i64 pixels, u16* projected) {
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < pixels; i += (i64)gridDim.x * blockDim.x) {
        u16 greatest = 0;
        for (int z = 0; z < depth; ++z) greatest = max(greatest, planes[z * pixels + i]);
        projected[i] = greatest;
    }
}

// Sums over z divided by the depth, rounded half up.
extern "C" __global__ void __launch_bounds__(256)
project_mean(const u16* __restrict__ planes, const int depth, const i64 pixels, u16* projected) {
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < pixels; i += (i64)gridDim.x * blockDim.x) {
        u64 total = 0;
        for (int z = 0; z < depth; ++z) total += planes[z * pixels + i];
        projected[i] = (u16)((2 * total + depth) / (2 * (u64)depth));
    }
}
