// Images of granularity: n planes (all channels of any number of sites), one after the other in memory, at half
// resolution without their background (kernels/granularity_background.py). blockIdx.z is the plane.

#define RADIUS 10
#define DISK_TILE 32
#define DISK_SIDE (DISK_TILE + 2 * RADIUS)
#define NOTHING __int_as_float(0x7f800000)

__device__ __forceinline__ void double_span(const float* spans, int span, float* doubled) {
    for (int i = threadIdx.x; i < DISK_SIDE * DISK_SIDE; i += blockDim.x) {
        const float beyond = i % DISK_SIDE + span < DISK_SIDE ? spans[i + span] : NOTHING;
        doubled[i] = fminf(spans[i], beyond);
    }
    __syncthreads();
}

// The least value in the disk around each pixel of a tile. `single` holds the tile and its surroundings, infinite
// outside of the plane; `eight` and `sixteen` get the least of so many values to the right.
__device__ __forceinline__ void write_lowest(const float* single, float* eight, float* sixteen, int height, int width,
                                             float sign, float* out) {
    __syncthreads();
    double_span(single, 1, eight);
    double_span(eight, 2, sixteen);
    double_span(sixteen, 4, eight);
    double_span(eight, 8, sixteen);
    for (int i = threadIdx.x; i < DISK_TILE * DISK_TILE; i += blockDim.x) {
        const int row = i / DISK_TILE, column = i % DISK_TILE;
        const int y = blockIdx.y * DISK_TILE + row, x = blockIdx.x * DISK_TILE + column;
        if (y >= height || x >= width) continue;
        float lowest = NOTHING;
#pragma unroll
        for (int dy = -RADIUS; dy <= RADIUS; ++dy) {
            constexpr int half_widths[RADIUS + 1] = {10, 9, 9, 9, 9, 8, 8, 7, 6, 4, 0};
            const int half = half_widths[dy < 0 ? -dy : dy];
            const int middle = (row + RADIUS + dy) * DISK_SIDE + column + RADIUS;
            if (half == 0) lowest = fminf(lowest, single[middle]);
            else if (half < 8) lowest = fminf(lowest, fminf(eight[middle - half], eight[middle + half - 7]));
            else lowest = fminf(lowest, fminf(sixteen[middle - half], sixteen[middle + half - 15]));
        }
        out[(i64)y * width + x] = sign * lowest;
    }
}

__device__ __forceinline__ float as_fraction(u16 count) { return __fdiv_rn((float)count, 65535.0f); }

// Every fourth pixel, eroded. Blocks are tiles of the background.
extern "C" __global__ void __launch_bounds__(256)
granularity_erode(const u16* __restrict__ planes, const int height, const int width, const int down, const int across,
                  float* eroded) {
    DYNAMIC_SHARED(float, single);
    const u16* plane = planes + (i64)blockIdx.z * height * width;
    for (int i = threadIdx.x; i < DISK_SIDE * DISK_SIDE; i += blockDim.x) {
        const int y = (int)blockIdx.y * DISK_TILE + i / DISK_SIDE - RADIUS;
        const int x = (int)blockIdx.x * DISK_TILE + i % DISK_SIDE - RADIUS;
        const bool is_inside = y >= 0 && y < down && x >= 0 && x < across;
        single[i] = is_inside ? as_fraction(plane[(i64)(4 * y) * width + 4 * x]) : NOTHING;
    }
    float* eight = single + DISK_SIDE * DISK_SIDE;
    write_lowest(single, eight, eight + DISK_SIDE * DISK_SIDE, down, across, 1.0f,
                 eroded + (i64)blockIdx.z * down * across);
}

extern "C" __global__ void __launch_bounds__(256)
granularity_dilate(const float* __restrict__ eroded, const int down, const int across, float* opened) {
    DYNAMIC_SHARED(float, single);
    const float* plane = eroded + (i64)blockIdx.z * down * across;
    for (int i = threadIdx.x; i < DISK_SIDE * DISK_SIDE; i += blockDim.x) {
        const int y = (int)blockIdx.y * DISK_TILE + i / DISK_SIDE - RADIUS;
        const int x = (int)blockIdx.x * DISK_TILE + i % DISK_SIDE - RADIUS;
        single[i] = y >= 0 && y < down && x >= 0 && x < across ? -plane[(i64)y * across + x] : NOTHING;
    }
    float* eight = single + DISK_SIDE * DISK_SIDE;
    write_lowest(single, eight, eight + DISK_SIDE * DISK_SIDE, down, across, -1.0f,
                 opened + (i64)blockIdx.z * down * across);
}

// Images: every second pixel less the stretched background, with a rim of -1. One thread per pixel, rim included.
// row_places and row_weights: lower and upper of kernels.granularity_background.Taps, one after the other.
extern "C" __global__ void __launch_bounds__(256)
granularity_subtract(const u16* __restrict__ planes, const int height, const int width, const int rows,
                     const int columns, const float* __restrict__ opened, const int down, const int across,
                     const int* __restrict__ row_places, const double* __restrict__ row_weights,
                     const int* __restrict__ column_places, const double* __restrict__ column_weights, int* heights) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, stride = columns + 2;
    if (i >= (rows + 2) * stride) return;
    const int y = i / stride - 1, x = i % stride - 1;
    int* out = heights + (i64)blockIdx.z * (rows + 2) * stride + i;
    if (y < 0 || y >= rows || x < 0 || x >= columns) {
        *out = -1;
        return;
    }
    const float* background = opened + (i64)blockIdx.z * down * across;
    const float* upper = background + (i64)row_places[y] * across;
    const float* lower = background + (i64)row_places[rows + y] * across;
    const double upper_weight = row_weights[y], lower_weight = row_weights[rows + y];
    const int left = column_places[x], right = column_places[columns + x];
    const double left_weight = column_weights[x], right_weight = column_weights[columns + x];
    double stretched = upper[left] * upper_weight * left_weight + upper[right] * upper_weight * right_weight;
    stretched += lower[left] * lower_weight * left_weight;
    stretched += lower[right] * lower_weight * right_weight;
    const u16 count = planes[((i64)blockIdx.z * height + 2 * y) * width + 2 * x];
    const float difference = as_fraction(count) - (float)stretched;
    *out = difference > 0.0f ? __float_as_int(difference) : 0;
}
