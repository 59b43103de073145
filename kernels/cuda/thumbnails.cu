// Means of square tiles of n planes, uint16, rounded half up. A block takes `columns` columns (a multiple of the factor)
// of one row of tiles: column sums first, then each tile's. Shared memory: columns * 8 bytes.
extern "C" __global__ void __launch_bounds__(256)
average_tiles(const u16* __restrict__ planes, const int height, const int width, const int factor, const int columns,
              const int down, const int across, u16* small) {
    DYNAMIC_SHARED(u64, sums);
    const int first = blockIdx.x * columns, count = min(columns, width - first);
    const int top = blockIdx.y * factor, bottom = min(top + factor, height);
    const u16* plane = planes + (i64)blockIdx.z * height * width;
    for (int x = threadIdx.x; x < count; x += blockDim.x) {
        u64 sum = 0;
        for (int y = top; y < bottom; ++y) sum += plane[(i64)y * width + first + x];
        sums[x] = sum;
    }
    __syncthreads();
    for (int tile = threadIdx.x; tile * factor < count; tile += blockDim.x) {
        const int left = tile * factor, right = min(left + factor, count);
        const u64 pixels = (u64)(bottom - top) * (right - left);
        u64 total = 0;
        for (int x = left; x < right; ++x) total += sums[x];
        small[((i64)blockIdx.z * down + blockIdx.y) * across + first / factor + tile] =
            (u16)((2 * total + pixels) / (2 * pixels));
    }
}

// The same for tiles too wide for shared memory: one block a tile.
extern "C" __global__ void __launch_bounds__(256)
average_large_tiles(const u16* __restrict__ planes, const int height, const int width, const int factor,
                    const int down, const int across, u16* small) {
    __shared__ u64 scratch[32];
    const int top = blockIdx.y * factor, bottom = min(top + factor, height);
    const int left = blockIdx.x * factor, right = min(left + factor, width);
    const u16* plane = planes + (i64)blockIdx.z * height * width;
    u64 sum = 0;
    for (int y = top; y < bottom; ++y)
        for (int x = left + threadIdx.x; x < right; x += blockDim.x) sum += plane[(i64)y * width + x];
    sum = block_sum(sum, scratch);
    const u64 pixels = (u64)(bottom - top) * (right - left);
    if (threadIdx.x == 0)
        small[((i64)blockIdx.z * down + blockIdx.y) * across + blockIdx.x] = (u16)((2 * sum + pixels) / (2 * pixels));
}
