// Distances of the fixpoint segmentation (kernels/fixpoint_steps.py: measure_heights, expand). One thread a pixel, whose
// index y * width + x is below 2^24. Each looks outwards and ends where nothing can be nearer.

#define ONE_PIXEL const int place = blockIdx.x * blockDim.x + threadIdx.x
#define HIGHEST 65535u
// A distance from which on the height is the greatest, pixels.
#define FARTHEST 1024
#define FAR 0xffffffffffffffffull

// Distance to the nearest background of the column, at most FARTHEST.
extern "C" __global__ void __launch_bounds__(256)
heights_columns(const int* __restrict__ classes, const int pixels, const int width, u16* near) {
    ONE_PIXEL;
    if (place >= pixels) return;
    int distance = 0;
    for (int above = place, below = place; distance < FARTHEST; ++distance, above -= width, below += width) {
        if (above < 0 && below >= pixels) {
            distance = FARTHEST;
            break;
        }
        if ((above >= 0 && classes[above] <= 0) || (below < pixels && classes[below] <= 0)) break;
    }
    near[place] = (u16)distance;
}

// The least distance over the row, in whole 1/64 pixels.
extern "C" __global__ void __launch_bounds__(256)
heights_rows(const u16* __restrict__ near, const int pixels, const int width, u16* height) {
    ONE_PIXEL;
    if (place >= pixels) return;
    const int x = place % width;
    const u16* row = near + (place - x);
    int squared = row[x] * row[x];
    for (int offset = 1; offset * offset < squared && (offset <= x || offset < width - x); ++offset) {
        if (offset <= x) squared = min(squared, offset * offset + row[x - offset] * row[x - offset]);
        if (offset < width - x) squared = min(squared, offset * offset + row[x + offset] * row[x + offset]);
    }
    height[place] = squared >= FARTHEST * FARTHEST ? HIGHEST : (u16)(u32)sqrt((double)squared * 4096.0);
}

// The nearest label of the column within reach, the smaller of two: distance << 32 | label, or FAR.
extern "C" __global__ void __launch_bounds__(256)
expand_columns(const int* __restrict__ labels, const int pixels, const int width, const int reach, u64* near) {
    ONE_PIXEL;
    if (place >= pixels) return;
    u64 nearest = FAR;
    for (int distance = 0; distance <= reach && nearest == FAR; ++distance) {
        const int above = place - distance * width, below = place + distance * width;
        if (above < 0 && below >= pixels) break;
        if (above >= 0 && labels[above] > 0) nearest = (u64)distance << 32 | (u32)labels[above];
        if (below < pixels && labels[below] > 0) nearest = min(nearest, (u64)distance << 32 | (u32)labels[below]);
    }
    near[place] = nearest;
}

__device__ __forceinline__ u64 reached_from(const u64 near, const int offset) {
    const u64 distance = near >> 32;
    return near == FAR ? FAR : (distance * distance + (u64)offset * offset) << 32 | (near & 0xffffffffull);
}

extern "C" __global__ void __launch_bounds__(256)
expand_rows(const u64* __restrict__ near, const int pixels, const int width, const int reach, const u32 most_squared,
            int* grown) {
    ONE_PIXEL;
    if (place >= pixels) return;
    const int x = place % width;
    const u64* row = near + (place - x);
    u64 nearest = reached_from(row[x], 0);
    for (int offset = 1; offset <= reach && (u64)offset * offset <= nearest >> 32; ++offset) {
        if (offset <= x) nearest = min(nearest, reached_from(row[x - offset], offset));
        if (offset < width - x) nearest = min(nearest, reached_from(row[x + offset], offset));
    }
    grown[place] = nearest != FAR && nearest >> 32 <= most_squared ? (int)(nearest & 0xffffffffull) : 0;
}
