// Sums of reconstructions over images and objects, as whole numbers (kernels/granularity_sums.py).

#define STEPS 16
#define MOST_SETS 3
#define PATTERNS 7
#define OBJECT_TILE 256

// A number as multiples of a power of 2, rounded as kernels.granularity_sums.rounding_number says.
__device__ __forceinline__ i64 as_whole(double value, double rounding) {
    return __double_as_longlong(value + rounding) - __double_as_longlong(rounding);
}

// The other half of the warp has the same 16 steps.
__device__ __forceinline__ void add_halves(i64 sum, u64* target) {
    sum += __shfl_xor_sync(ALL_LANES, sum, 16);
    if ((threadIdx.x & 31) < 16 && sum) atomicAdd(target, (u64)sum);
}

// Sums of heights and of the 16 reconstructions, 17 a plane; 16 lanes a pixel.
extern "C" __global__ void __launch_bounds__(256)
granularity_image_sums(const int* __restrict__ heights, const int* __restrict__ basins, const int* __restrict__ levels,
                       const int rows, const int columns, const int most_basins, const double rounding, u64* sums) {
    const int step = threadIdx.x & 15, plane = blockIdx.y, pixels = rows * columns;
    const int* image = heights + (i64)plane * (rows + 2) * (columns + 2);
    const int* of_plane = levels + (i64)plane * most_basins * STEPS;
    i64 sum = 0, start = 0;
    for (int i = (blockIdx.x * blockDim.x + threadIdx.x) >> 4; i < pixels; i += gridDim.x * blockDim.x >> 4) {
        const int own = image[(i64)(i / columns + 1) * (columns + 2) + i % columns + 1];
        const int level = of_plane[(i64)basins[(i64)plane * pixels + i] * STEPS + step];
        sum += as_whole(__int_as_float(min(own, level)), rounding);
        if (step == 0) start += as_whole(__int_as_float(own), rounding);
    }
    add_halves(sum, &sums[plane * (STEPS + 1) + 1 + step]);
    start += __shfl_xor_sync(ALL_LANES, start, 16);
    if ((threadIdx.x & 31) == 0 && start) atomicAdd(&sums[plane * (STEPS + 1)], (u64)start);
}

// The places of the plane that pixels of an image are part of along one axis (kernels.granularity_background.Windows).
struct Windows {
    const int* first;
    const int* count;
    const double* weights;
    const double* total;
    int most;
};

// An object's pixels in the plane: bits of its box, row by row.
struct Object {
    int top, left, bottom, right;
    const u8* member;
};

__device__ __forceinline__ int pattern_at(const Object& object, int y, int x) {
    if (y < object.top || y >= object.bottom || x < object.left || x >= object.right) return 0;
    return object.member[(i64)(y - object.top) * (object.right - object.left) + x - object.left] & PATTERNS;
}

// Weights of a pixel of the image in an object: weight[(p - 1) * OBJECT_TILE] in its pixels that are in the sets of
// pattern p. Gives a bit per pattern that occurs.
__device__ __forceinline__ u32 weigh(const Object& object, const Windows& down, const Windows& across, int y, int x,
                                     double* weight) {
    u32 occurring = 0;
    for (int j = 0; j < down.count[y]; ++j)
        for (int k = 0; k < across.count[x]; ++k)
            occurring |= 1u << pattern_at(object, down.first[y] + j, across.first[x] + k);
    if ((occurring & (occurring - 1)) == 0) {
        if (occurring > 1) weight[(__ffs((int)occurring) - 2) * OBJECT_TILE] = down.total[y] * across.total[x];
        return occurring & ~1u;
    }
    for (int pattern = 1; pattern <= PATTERNS; ++pattern)
        if (occurring >> pattern & 1) weight[(pattern - 1) * OBJECT_TILE] = 0;
    for (int j = 0; j < down.count[y]; ++j)
        for (int k = 0; k < across.count[x]; ++k) {
            const int pattern = pattern_at(object, down.first[y] + j, across.first[x] + k);
            const double part = down.weights[y * down.most + j] * across.weights[x * across.most + k];
            if (pattern) weight[(pattern - 1) * OBJECT_TILE] += part;
        }
    return occurring & ~1u;
}

// Sums of the reconstructions over objects, (sets, planes, objects, 16), and of the counts of the planes, (sets,
// planes, objects). blockIdx.x is the object, blockIdx.y deals out tiles of its box, blockIdx.z is the plane.
extern "C" __global__ void __launch_bounds__(OBJECT_TILE, 4)
granularity_object_sums(const u16* __restrict__ planes, const int height, const int width,
                        const int* __restrict__ heights, const int* __restrict__ basins, const int* __restrict__ levels,
                        const int rows, const int columns, const int most_basins, const int* __restrict__ row_first,
                        const int* __restrict__ row_count, const double* __restrict__ row_weights,
                        const double* __restrict__ row_total, const int most_of_row,
                        const int* __restrict__ column_first, const int* __restrict__ column_count,
                        const double* __restrict__ column_weights, const double* __restrict__ column_total,
                        const int most_of_column, const int* __restrict__ boxes, const i64* __restrict__ first,
                        const u8* __restrict__ member, const int sets, const double rounding, u64* sums, u64* counts) {
    __shared__ double weights[PATTERNS * OBJECT_TILE];
    __shared__ u8 occurring[OBJECT_TILE];
    const int* box = boxes + 4 * (i64)blockIdx.x;
    if (box[2] == 0) return;
    const Object object = {box[0], box[1], box[2], box[3], member + first[blockIdx.x]};
    const Windows down = {row_first, row_count, row_weights, row_total, most_of_row};
    const Windows across = {column_first, column_count, column_weights, column_total, most_of_column};
    const int plane = blockIdx.z, step = threadIdx.x & 15;
    const int* image = heights + (i64)plane * (rows + 2) * (columns + 2);
    const int* of_plane = levels + (i64)plane * most_basins * STEPS;
    const int top = max((object.top - 1) >> 1, 0), bottom = min(((object.bottom - 1) >> 1) + 2, rows);
    const int left = max((object.left - 1) >> 1, 0), wide = min(((object.right - 1) >> 1) + 2, columns) - left;
    i64 sum[MOST_SETS] = {0, 0, 0};
    const int pixels = (bottom - top) * wide;
    for (int start = blockIdx.y * OBJECT_TILE; start < pixels; start += gridDim.y * OBJECT_TILE) {
        const int mine = start + threadIdx.x, tile = min(OBJECT_TILE, pixels - start);
        __syncthreads();  // the last tile has been read
        if ((int)threadIdx.x < tile) {
            const int y = top + mine / wide, x = left + mine % wide;
            occurring[threadIdx.x] = (u8)weigh(object, down, across, y, x, weights + threadIdx.x);
        }
        __syncthreads();
        for (int i = threadIdx.x >> 4; i < tile; i += OBJECT_TILE >> 4) {
            u32 patterns = occurring[i];
            if (!patterns) continue;
            const int y = top + (start + i) / wide, x = left + (start + i) % wide;
            const int basin = basins[((i64)plane * rows + y) * columns + x];
            const int own = image[(i64)(y + 1) * (columns + 2) + x + 1];
            const double value = __int_as_float(min(own, of_plane[(i64)basin * STEPS + step]));
            for (; patterns; patterns &= patterns - 1) {
                const int pattern = __ffs((int)patterns) - 1;
                const i64 part = as_whole(weights[(pattern - 1) * OBJECT_TILE + i] * value, rounding);
                for (int z = 0; z < MOST_SETS; ++z) sum[z] += pattern >> z & 1 ? part : 0;
            }
        }
    }
    u64 count[MOST_SETS] = {0, 0, 0};
    const i64 box_width = object.right - object.left, box_pixels = (object.bottom - object.top) * box_width;
    for (i64 i = (i64)blockIdx.y * OBJECT_TILE + threadIdx.x; i < box_pixels; i += gridDim.y * OBJECT_TILE) {
        const int pattern = object.member[i] & PATTERNS;
        if (!pattern) continue;
        const i64 y = object.top + i / box_width, x = object.left + i % box_width;
        const u64 value = planes[((i64)plane * height + y) * width + x];
        for (int z = 0; z < MOST_SETS; ++z) count[z] += pattern >> z & 1 ? value : 0;
    }
    for (int z = 0; z < MOST_SETS; ++z) {
        if (z >= sets) break;
        const i64 place = ((i64)z * gridDim.z + plane) * gridDim.x + blockIdx.x;
        add_halves(sum[z], &sums[place * STEPS + step]);
        const u64 total = warp_sum(count[z]);
        if ((threadIdx.x & 31) == 0 && total) atomicAdd(&counts[place], total);
    }
}
