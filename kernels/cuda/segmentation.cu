// Steps of the fixpoint segmentation (kernels/fixpoint_steps.py says what each gives, kernels/fixpoint_cpu.py does the
// same). One thread a pixel unless said otherwise; `place` is a pixel's index y * width + x, below 2^24.

#define ONE_PIXEL const int place = blockIdx.x * blockDim.x + threadIdx.x
#define TOUCHES_BORDER 0x80000000u
#define HIGHEST 65535u

// A row of a table whose rows come in any order; `count` goes on where there is no room.
__device__ __forceinline__ void append(u64* table, u32* count, const u32 room, const u64 row) {
    const u32 at = atomicAdd(count, 1u);
    if (at < room) table[at] = row;
}

// A place beyond a line of pixels is mirrored at its ends, the outermost pixels twice.
__device__ __forceinline__ int mirror(int place, const int length) {
    place %= 2 * length;
    if (place < 0) place += 2 * length;
    return place < length ? place : 2 * length - 1 - place;
}

// Rows are rounded to 1/16 of a count.
extern "C" __global__ void __launch_bounds__(256)
smooth_rows(const u16* __restrict__ plane, const int pixels, const int width, const u32 scale,
            const u32* __restrict__ weights, const int reach, u32* rows) {
    ONE_PIXEL;
    if (place >= pixels) return;
    const int x = place % width;
    const u16* row = plane + (place - x);
    u32 total = 128 + weights[0] * (row[x] * scale);
    for (int k = 1; k <= reach; ++k) {
        const int before = x >= k ? x - k : mirror(x - k, width), behind = x + k < width ? x + k : mirror(x + k, width);
        total += weights[k] * ((row[before] + (u32)row[behind]) * scale);
    }
    rows[place] = total >> 8;
}

extern "C" __global__ void __launch_bounds__(256)
smooth_columns(const u32* __restrict__ rows, const int pixels, const int width, const u32* __restrict__ weights,
               const int reach, u16* smooth) {
    ONE_PIXEL;
    if (place >= pixels) return;
    const int y = place / width, x = place - y * width, height = pixels / width;
    u32 total = 32768 + weights[0] * rows[place];
    for (int k = 1; k <= reach; ++k) {
        const int above = y >= k ? y - k : mirror(y - k, height), below = y + k < height ? y + k : mirror(y + k, height);
        total += weights[k] * (rows[above * width + x] + rows[below * width + x]);
    }
    smooth[place] = (u16)(total >> 16);
}

extern "C" __global__ void __launch_bounds__(256)
divide(const u16* __restrict__ plane, const int pixels, const int limit, int* classes) {
    ONE_PIXEL;
    if (place < pixels) classes[place] = (int)plane[place] > limit ? 1 : -1;
}

// The window of a grid that a place is in: window k begins at k * length / windows, rounded down.
__device__ __forceinline__ int window_of(const int place, const int length, const int windows) {
    return (int)(((i64)(place + 1) * windows - 1) / length);
}

extern "C" __global__ void __launch_bounds__(256)
count_windows(const u16* __restrict__ plane, const int pixels, const int width, const int down, const int across,
              u32* counts) {
    ONE_PIXEL;
    if (place >= pixels) return;
    const int y = place / width, x = place - y * width;
    const int window = window_of(y, pixels / width, down) * across + window_of(x, width, across);
    atomicAdd(&counts[(i64)window * 65536 + plane[place]], 1u);
}

// Of `count` places, a `whole` apart, the one before what is so far behind the first; what is left goes to `part`.
__device__ __forceinline__ int between(i64 behind, const i64 whole, const int count, i64& part) {
    behind = min(max(behind, (i64)0), whole * (count - 1));
    part = behind % whole;
    return (int)(behind / whole);
}

extern "C" __global__ void __launch_bounds__(256)
divide_locally(const u16* __restrict__ plane, const int pixels, const int width, const int down, const int across,
               const int* __restrict__ limits, int* classes) {
    ONE_PIXEL;
    if (place >= pixels) return;
    const int y = place / width, x = place - y * width, height = pixels / width;
    const i64 tall = 2 * (i64)height, wide = 2 * (i64)width;
    i64 part_y, part_x;
    const int upper = between((2 * (i64)y + 1) * down - height, tall, down, part_y), lower = min(upper + 1, down - 1);
    const int left = between((2 * (i64)x + 1) * across - width, wide, across, part_x), right = min(left + 1, across - 1);
    const i64 above = limits[upper * across + left] * (wide - part_x) + limits[upper * across + right] * part_x;
    const i64 below = limits[lower * across + left] * (wide - part_x) + limits[lower * across + right] * part_x;
    classes[place] = plane[place] * 16 * tall * wide > above * (tall - part_y) + below * part_y ? 1 : -1;
}

// One thread a block of step x step pixels; `blocks` and `across` are those of the small plane.
extern "C" __global__ void __launch_bounds__(256)
reduce(const u16* __restrict__ plane, const int pixels, const int width, const int step, const int scale,
       const int blocks, const int across, u16* small) {
    const int block = blockIdx.x * blockDim.x + threadIdx.x;
    if (block >= blocks) return;
    const int row = block / across, column = block - row * across;
    const int bottom = min((row + 1) * step, pixels / width), right = min((column + 1) * step, width);
    u64 sum = 0;
    for (int y = row * step; y < bottom; ++y)
        for (int x = column * step; x < right; ++x) sum += plane[y * width + x];
    const u64 members = (u64)(bottom - row * step) * (u64)(right - column * step);
    small[block] = (u16)((2 * scale * sum + members) / (2 * members));
}

extern "C" __global__ void __launch_bounds__(256)
flatten(const u16* __restrict__ plane, const int pixels, const int width, const u16* __restrict__ background,
        const int down, const int across, const int step, const int top, u16* flat) {
    ONE_PIXEL;
    if (place >= pixels) return;
    const int y = place / width, x = place - y * width;
    const i64 whole = 2 * (i64)step;
    i64 part_y, part_x;
    const int upper = between(2 * (i64)y + 1 - step, whole, down, part_y), below = min(upper + 1, down - 1);
    const int left = between(2 * (i64)x + 1 - step, whole, across, part_x), right = min(left + 1, across - 1);
    const u16 *first = background + upper * across, *second = background + below * across;
    const i64 before = first[left] * (whole - part_y) + second[left] * part_y;
    const i64 behind = first[right] * (whole - part_y) + second[right] * part_y;
    const i64 ground = (before * (whole - part_x) + behind * part_x + whole * whole / 2) / (whole * whole);
    flat[place] = (u16)min((i64)plane[place] + top - ground, (i64)HIGHEST);
}

extern "C" __global__ void __launch_bounds__(256)
cut(const int* __restrict__ classes, const u16* __restrict__ smooth, const int pixels, const int width, const i64 share,
    const i64 twice_zero, int* inside) {
    ONE_PIXEL;
    if (place >= pixels) return;
    const int kind = classes[place], x = place % width;
    inside[place] = kind;
    if (kind <= 0) return;
    const i64 own = smooth[place];
    const i64 above = place >= width ? smooth[place - width] : own, left = x > 0 ? smooth[place - 1] : own;
    const i64 below = place + width < pixels ? smooth[place + width] : own, right = x + 1 < width ? smooth[place + 1] : own;
    if ((above + below + left + right - 4 * own) * 2 * 65536 > share * (2 * own - twice_zero)) inside[place] = -kind;
}

// ---- Regions: union-find over labels, which are 1 + the index of a pixel; the smallest of a region is its root. ----

__device__ __forceinline__ int kind_of(const int* __restrict__ classes, int place) { return max(classes[place], 0); }

__device__ __forceinline__ int find_root(const int* labels, int label) {
    for (;;) {
        const int next = *(const volatile int*)(labels + label - 1);
        if (next == label) return label;
        label = next;
    }
}

__device__ __forceinline__ void unite(int* labels, int one, int other) {
    for (;;) {
        one = find_root(labels, one);
        other = find_root(labels, other);
        if (one == other) return;
        const int low = min(one, other), high = max(one, other);
        const int was = atomicMin(&labels[high - 1], low);
        if (was == high) return;
        one = low;
        other = was;  // another thread hung `high` elsewhere meanwhile: that is the same region
    }
}

// Each pixel hangs on the first one of its run among the pixels of its warp.
extern "C" __global__ void __launch_bounds__(256)
regions_begin(const int* __restrict__ classes, const int pixels, const int width, const int with_background,
              int* labels, u32* sizes) {
    ONE_PIXEL;
    const int lane = threadIdx.x & 31;
    const bool is_pixel = place < pixels;
    const int kind = is_pixel ? kind_of(classes, place) : -1;
    const bool joins = is_pixel && lane > 0 && place % width > 0 && kind_of(classes, place - 1) == kind;
    const u32 starts = ~__ballot_sync(ALL_LANES, joins) & (ALL_LANES >> (31 - lane));
    if (!is_pixel) return;
    labels[place] = kind > 0 || with_background ? place - lane + (31 - __clz((int)starts)) + 1 : 0;
    sizes[place] = 0;
}

// Unites runs with those of the row above; regions also across corners. Neighbours that another thread unites are left.
extern "C" __global__ void __launch_bounds__(256)
regions_merge(const int* __restrict__ classes, const int pixels, const int width, const int with_background,
              int* labels) {
    ONE_PIXEL;
    if (place >= pixels) return;
    const int kind = kind_of(classes, place), x = place % width;
    if (kind == 0 && !with_background) return;
    const bool is_left = x > 0 && kind_of(classes, place - 1) == kind;
    if (is_left && (threadIdx.x & 31) == 0) unite(labels, place + 1, place);
    if (place < width) return;
    const int above = place - width;
    const bool is_up_left = x > 0 && kind_of(classes, above - 1) == kind;
    if (kind_of(classes, above) == kind) {
        if (!(is_left && is_up_left)) unite(labels, place + 1, above + 1);
        return;
    }
    if (kind == 0) return;
    if (is_up_left && !is_left) unite(labels, place + 1, above);
    if (x + 1 < width && classes[above + 1] == kind) unite(labels, place + 1, above + 2);
}

// Gives each pixel its root, and each root its size and whether it reaches the border.
extern "C" __global__ void __launch_bounds__(256)
regions_end(const int pixels, const int width, int* labels, u32* sizes) {
    ONE_PIXEL;
    const int lane = threadIdx.x & 31;
    const int label = place < pixels ? labels[place] : 0;
    const int root = label > 0 ? find_root(labels, label) : 0;
    const u32 alike = __match_any_sync(ALL_LANES, root);
    if (root == 0) return;
    *(volatile int*)(labels + place) = root;
    if (lane == __ffs((int)alike) - 1) atomicAdd(&sizes[root - 1], (u32)__popc(alike));
    const int x = place % width;
    if (place < width || place >= pixels - width || x == 0 || x == width - 1)
        atomicOr(&sizes[root - 1], TOUCHES_BORDER);
}

extern "C" __global__ void __launch_bounds__(256)
fill_holes(const int* __restrict__ labels, const u32* __restrict__ sizes, const int pixels, const u32 hole_area,
           int* classes) {
    ONE_PIXEL;
    if (place >= pixels) return;
    const int kind = classes[place];
    if (kind < 0 && sizes[labels[place] - 1] < hole_area) classes[place] = -kind;
}

extern "C" __global__ void __launch_bounds__(256)
list_regions(const int* __restrict__ labels, const u32* __restrict__ sizes, const int pixels, const u32 room,
             u32* count, u64* table) {
    ONE_PIXEL;
    if (place < pixels && labels[place] == place + 1) append(table, count, room, (u64)place << 32 | sizes[place]);
}

// ---- Seeds and parts ----

extern "C" __global__ void __launch_bounds__(256)
find_seeds(const u16* __restrict__ heights, const int* __restrict__ regions, const int pixels, const int width,
           const int2* __restrict__ offsets, const int n_offsets, const u32 room, u32* count, u64* table, int* seeds) {
    ONE_PIXEL;
    if (place >= pixels) return;
    const int y = place / width, x = place - y * width, height = pixels / width;
    const int region = regions[place];
    const u32 own = heights[place];
    bool is_highest = region > 0;
    for (int k = 0; k < n_offsets && is_highest; ++k) {
        const int dy = offsets[k].x, dx = offsets[k].y;
        if (y + dy < 0 || y + dy >= height || x + dx < 0 || x + dx >= width) continue;
        const int other = place + dy * width + dx;
        const u32 its = heights[other];
        is_highest = its < own || (its == own && other > place) || regions[other] != region;
    }
    seeds[place] = is_highest ? place + 1 : 0;
    if (is_highest) append(table, count, room, (u64)place << 32 | own);
}

// One thread a pixel and blockIdx.y the neighbour: right, below left, below, below right.
extern "C" __global__ void __launch_bounds__(256)
list_joins(const u16* __restrict__ heights, const int* __restrict__ parts, const int pixels, const int width,
           const i64 neck, const i64 twice_base, const u32 room, u32* count, u64* table) {
    ONE_PIXEL;
    if (place >= pixels) return;
    const int part = parts[place], x = place % width, dx = blockIdx.y == 0 ? 1 : (int)blockIdx.y - 2;
    const int other = place + (blockIdx.y > 0 ? width : 0) + dx;
    if (part == 0 || other >= pixels || x + dx < 0 || x + dx >= width) return;
    const int its = parts[other];
    if (its == 0 || its == part) return;
    const i64 saddle = min(heights[place], heights[other]), lower = min(part, its) - 1, upper = max(part, its) - 1;
    const i64 peak = min(heights[lower], heights[upper]);
    if ((2 * saddle - twice_base) * 65536 < neck * (2 * peak - twice_base)) return;
    append(table, count, room, (u64)(65535 - saddle) << 48 | (u64)lower << 24 | (u64)upper);
}

// One thread a row of the table.
extern "C" __global__ void __launch_bounds__(256)
put_numbers(const int* __restrict__ first, const int* __restrict__ number, const int rows, int* numbers) {
    const int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row < rows) numbers[first[row]] = number[row];
}

extern "C" __global__ void __launch_bounds__(256)
renumber(const int* __restrict__ parts, const int* __restrict__ numbers, const int pixels, int* labels) {
    ONE_PIXEL;
    if (place < pixels) labels[place] = parts[place] > 0 ? numbers[parts[place] - 1] : 0;
}

// ---- Trimming: the upper quartile's upper byte from one histogram an object, its lower byte from a second one. ----

extern "C" __global__ void __launch_bounds__(256)
count_bytes(const int* __restrict__ labels, const u16* __restrict__ plane, const int pixels, const int is_lower,
            const u32* __restrict__ quartiles, u32* counts) {
    ONE_PIXEL;
    if (place >= pixels || labels[place] == 0) return;
    const int object = labels[place] - 1;
    const u32 value = plane[place], byte = is_lower ? value & 255 : value >> 8;
    if (!is_lower || value >> 8 == quartiles[object]) atomicAdd(&counts[(i64)object * 256 + byte], 1u);
}

// One warp an object, eight counts a lane. `ranks` is how many of the object's values still lie below the quartile.
extern "C" __global__ void __launch_bounds__(32)
find_byte(const u32* __restrict__ counts, const int is_lower, u32* ranks, u32* quartiles) {
    const int object = blockIdx.x, lane = threadIdx.x;
    const u32* own = counts + (i64)object * 256 + 8 * lane;
    u32 sum = 0;
    for (int k = 0; k < 8; ++k) sum += own[k];
    const u32 all = warp_sum(sum), rank = is_lower ? ranks[object] : (u32)(3 * (u64)all / 4);
    const u32 upper = is_lower ? quartiles[object] : 0;
    u32 below = warp_sum_before(sum);
    if (rank < below || rank >= below + sum) return;
    int byte = 0;
    while (rank >= below + own[byte]) below += own[byte++];
    ranks[object] = rank - below;
    quartiles[object] = upper << 8 | (u32)(8 * lane + byte);
}

extern "C" __global__ void __launch_bounds__(256)
trim(const int* __restrict__ labels, const u16* __restrict__ plane, const int pixels, const u32* __restrict__ quartiles,
     const i64 twice_base, const i64 fraction, int* classes) {
    ONE_PIXEL;
    if (place >= pixels) return;
    const int label = labels[place];
    classes[place] = label;
    if (label == 0) return;
    const i64 own = 2 * (i64)plane[place] - twice_base, upper = 2 * (i64)quartiles[label - 1] - twice_base;
    if (own * 65536 < fraction * upper) classes[place] = -label;
}

// ---- Cytoplasm ----

extern "C" __global__ void __launch_bounds__(256)
subtract(const int* __restrict__ nuclei, const int* __restrict__ cells, const int pixels, const int width,
         const int shared_rim, int* rest) {
    ONE_PIXEL;
    if (place >= pixels) return;
    const int label = nuclei[place], x = place % width;
    bool is_out = label == 0;
    if (!is_out && shared_rim) {
        is_out = place < width || place >= pixels - width || x == 0 || x == width - 1;
        for (int k = 0; k < 9 && !is_out; ++k) is_out = nuclei[place + (k / 3 - 1) * width + k % 3 - 1] != label;
    }
    rest[place] = is_out ? cells[place] : 0;
}
