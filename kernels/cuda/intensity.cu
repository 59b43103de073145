// Brightness of objects: the whole numbers of kernels/intensity_scan.py, which has the same fields in the same order.

#define FIELDS 19
#define BLOCKS 1024  // of 64 values each: counted first, so that only blocks with a wanted rank are counted by value
#define RANKS 6
#define MORE_DISTANCES 128  // doubled distances to the median in one block of them

// An object in one plane and one set.
struct View {
    const u8* member;
    const u16* pixels;
    int rows, columns, width;
    u32 in_set;
};

// Calls visit(row, column, bits of the pixel, value) for each pixel of the set; a warp takes a row at a time.
template <class Visit>
__device__ __forceinline__ void visit_pixels(const View& view, Visit visit) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    for (int row = warp; row < view.rows; row += warps) {
        const u8* bits = view.member + (i64)row * view.columns;
        const u16* values = view.pixels + (i64)row * view.width;
        for (int column = lane; column < view.columns; column += 32)
            if (bits[column] & view.in_set) visit(row, column, (u32)bits[column], (u32)values[column]);
    }
}

// A count on CellProfiler's scale, in its single precision.
__device__ __forceinline__ double single(u32 value) { return (double)((float)value / 65535.0f); }

// What a block needs to find ranks in a histogram.
struct Ranks {
    u32 rank[RANKS], block[RANKS], below[RANKS];
    int slot[RANKS];
};

// For the first `count` ranks: the block of values each is in, the number of pixels below that block, and a slot that
// equal blocks share. Called by 256 threads; `ranks->rank` is whole before.
__device__ __forceinline__ void find_blocks(const u32* histogram, int count, Ranks* ranks, u32* scratch) {
    const int first = 4 * threadIdx.x;
    u32 sum = 0;
    for (int k = 0; k < 4; ++k) sum += histogram[first + k];
    u32 below = block_sum_before(sum, scratch);
    for (int k = 0; k < 4; ++k) {
        const u32 held = histogram[first + k];
        for (int j = 0; j < count; ++j)
            if (ranks->rank[j] >= below && ranks->rank[j] < below + held) {
                ranks->block[j] = first + k;
                ranks->below[j] = below;
            }
        below += held;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        int slots = 0;
        for (int j = 0; j < count; ++j) ranks->slot[j] = j && ranks->block[j] == ranks->block[j - 1] ? slots - 1 : slots++;
    }
    __syncthreads();
}

// The slot of a block of values, or -1.
__device__ __forceinline__ int find_slot(const Ranks& ranks, int count, u32 block) {
    int slot = -1;
    for (int j = 0; j < count; ++j)
        if (ranks.block[j] == block) slot = ranks.slot[j];
    return slot;
}

struct Sums {
    u64 total, squares, by_x, by_y, columns, rows, edge_total, edge_squares, peak;
    u32 pixels, edge_pixels, least, greatest, edge_least, edge_greatest;
};

// Sums of the object into `sums` (set to nothing before), and its histogram by blocks of values.
__device__ __forceinline__ void sum_pixels(const View& view, u32 on_edge, int top, int left, Sums* sums, u32* blocks) {
    u64 total = 0, squares = 0, by_x = 0, by_y = 0, columns = 0, rows = 0, edge_total = 0, edge_squares = 0, peak = 0;
    u32 pixels = 0, edge_pixels = 0, least = 65536, edge_least = 65536, edge_greatest = 0;
    visit_pixels(view, [&](int row, int column, u32 bits, u32 value) {
        const u32 x = left + column, y = top + row;
        const u64 square = (u64)value * value;
        const u64 candidate = (u64)value << 32 | (0xffffffffu - (y * (u32)view.width + x));
        pixels++;
        total += value;
        squares += square;
        by_x += (u64)value * x;
        by_y += (u64)value * y;
        columns += x;
        rows += y;
        least = value < least ? value : least;
        peak = candidate > peak ? candidate : peak;
        atomicAdd(&blocks[value >> 6], 1u);
        if (bits & on_edge) {
            edge_pixels++;
            edge_total += value;
            edge_squares += square;
            edge_least = value < edge_least ? value : edge_least;
            edge_greatest = value > edge_greatest ? value : edge_greatest;
        }
    });
    const bool is_first = (threadIdx.x & 31) == 0;
    pixels = warp_sum(pixels);
    if (pixels == 0) return;
#define ADD(field, value) { const u64 sum = warp_sum(value); if (is_first) atomicAdd(&sums->field, sum); }
    ADD(total, total) ADD(squares, squares) ADD(by_x, by_x) ADD(by_y, by_y) ADD(columns, columns) ADD(rows, rows)
    ADD(edge_total, edge_total) ADD(edge_squares, edge_squares)
#undef ADD
    edge_pixels = warp_sum(edge_pixels);
    peak = warp_max(peak);
    least = warp_min(least);
    edge_least = warp_min(edge_least);
    edge_greatest = warp_max(edge_greatest);
    if (!is_first) return;
    atomicAdd(&sums->pixels, pixels);
    atomicAdd(&sums->edge_pixels, edge_pixels);
    atomicMax(&sums->peak, peak);
    atomicMin(&sums->least, least);
    atomicMin(&sums->edge_least, edge_least);
    atomicMax(&sums->edge_greatest, edge_greatest);
}

// Value at each of the six ranks.
__device__ __forceinline__ void find_values(const View& view, const Ranks& ranks, u32* counts, u32* values) {
    visit_pixels(view, [&](int, int, u32, u32 value) {
        const int slot = find_slot(ranks, RANKS, value >> 6);
        if (slot >= 0) atomicAdd(&counts[64 * slot + (value & 63)], 1u);
    });
    __syncthreads();
    if (threadIdx.x < RANKS) {
        const u32* count = counts + 64 * ranks.slot[threadIdx.x];
        u32 left = ranks.rank[threadIdx.x] - ranks.below[threadIdx.x], value = 0;
        while (left >= count[value]) left -= count[value++];
        values[threadIdx.x] = 64 * ranks.block[threadIdx.x] + value;
    }
    __syncthreads();
}

__device__ __forceinline__ u32 distance_to(u32 doubled_median, u32 value) {
    return 2 * value > doubled_median ? 2 * value - doubled_median : doubled_median - 2 * value;
}

// The values whose doubled distances to the median are at the two ranks; side[slot][is above][distance].
// CellProfiler sorts distances of single-precision values, where two on either side are not always equally far.
__device__ __forceinline__ void find_distances(const View& view, const Ranks& ranks, u32 doubled, double median,
                                               u32 (*side)[2][MORE_DISTANCES], i64* found) {
    visit_pixels(view, [&](int, int, u32, u32 value) {
        const u32 distance = distance_to(doubled, value);
        const int slot = find_slot(ranks, 2, distance / MORE_DISTANCES);
        if (slot >= 0) atomicAdd(&side[slot][2 * value > doubled][distance % MORE_DISTANCES], 1u);
    });
    __syncthreads();
    if (threadIdx.x >= 2) return;
    const u32 (*counts)[MORE_DISTANCES] = side[ranks.slot[threadIdx.x]];
    u32 left = ranks.rank[threadIdx.x] - ranks.below[threadIdx.x], offset = 0;
    while (left >= counts[0][offset] + counts[1][offset]) {
        left -= counts[0][offset] + counts[1][offset];
        offset++;
    }
    const u32 distance = MORE_DISTANCES * ranks.block[threadIdx.x] + offset;
    const u32 n_below = counts[0][offset], n_above = counts[1][offset];
    // where one side has no pixel its value may be none: it is not used then
    const u32 below = n_below ? (doubled - distance) / 2 : 0, above = n_above ? (doubled + distance) / 2 : 0;
    const bool is_below_nearer = fabs(single(below) - median) <= fabs(single(above) - median);
    bool takes_below;
    if (n_below == 0 || n_above == 0) takes_below = n_above == 0;
    else takes_below = is_below_nearer ? left < n_below : left >= n_above;
    found[threadIdx.x] = takes_below ? below : above;
}

// Block (object, channel, set), 256 threads. counts[object][set][channel][FIELDS], places[object][set][3]; untouched
// where the object is not in the set.
extern "C" __global__ void __launch_bounds__(256, 4)
object_intensity(const u16* __restrict__ planes, i64 pixels_of_plane, int width, const int* __restrict__ boxes,
                 const i64* __restrict__ first, const u8* __restrict__ member, i64* counts, i64* places) {
    __shared__ Sums sums;
    __shared__ Ranks ranks;
    __shared__ u32 blocks[BLOCKS], fine[RANKS * 64], side[2][2][MORE_DISTANCES], values[RANKS], scratch[32];
    const int object = blockIdx.x, channel = blockIdx.y, set = blockIdx.z;
    const int* box = boxes + 4 * (i64)object;
    if (box[2] == 0) return;
    const View view = {member + first[object],
                       planes + channel * pixels_of_plane + (i64)box[0] * width + box[1],
                       box[2] - box[0],
                       box[3] - box[1],
                       width,
                       1u << set};
    for (int i = threadIdx.x; i < BLOCKS; i += 256) blocks[i] = 0;
    for (int i = threadIdx.x; i < RANKS * 64; i += 256) fine[i] = 0;
    for (int i = threadIdx.x; i < 4 * MORE_DISTANCES; i += 256) (&side[0][0][0])[i] = 0;
    if (threadIdx.x == 0) {
        sums = Sums();
        sums.least = sums.edge_least = 65536;
    }
    __syncthreads();
    sum_pixels(view, 8u << set, box[0], box[1], &sums, blocks);
    __syncthreads();
    const u32 n = sums.pixels;
    if (n == 0) return;
    if (threadIdx.x < RANKS) {
        const u32 rank = (u32)((u64)n * (threadIdx.x / 2 + 1) / 4) + threadIdx.x % 2;
        ranks.rank[threadIdx.x] = rank < n ? rank : n - 1;
    }
    __syncthreads();
    find_blocks(blocks, RANKS, &ranks, scratch);
    find_values(view, ranks, fine, values);
    const bool has_half = n % 2 == 1 && n > 1;
    const u32 doubled = values[2] + values[has_half ? 3 : 2];
    const double median = has_half ? single(values[2]) * 0.5 + single(values[3]) * 0.5 : single(values[2]);
    for (int i = threadIdx.x; i < BLOCKS; i += 256) blocks[i] = 0;
    if (threadIdx.x < 2) ranks.rank[threadIdx.x] = ranks.rank[2 + threadIdx.x];
    __syncthreads();
    visit_pixels(view, [&](int, int, u32, u32 value) {
        atomicAdd(&blocks[distance_to(doubled, value) / MORE_DISTANCES], 1u);
    });
    __syncthreads();
    find_blocks(blocks, 2, &ranks, scratch);
    i64* state = counts + (((i64)object * gridDim.z + set) * gridDim.y + channel) * FIELDS;
    find_distances(view, ranks, doubled, median, side, state + 17);
    if (threadIdx.x < RANKS) state[11 + threadIdx.x] = values[threadIdx.x];
    if (threadIdx.x != 0) return;
    state[0] = sums.total;
    state[1] = sums.squares;
    state[2] = sums.by_x;
    state[3] = sums.by_y;
    state[4] = sums.least;
    state[5] = sums.peak >> 32;
    state[6] = 0xffffffffu - (u32)sums.peak;
    state[7] = sums.edge_total;
    state[8] = sums.edge_squares;
    state[9] = sums.edge_pixels ? sums.edge_least : 0;
    state[10] = sums.edge_greatest;
    if (channel != 0) return;
    i64* place = places + ((i64)object * gridDim.z + set) * 3;
    place[0] = sums.edge_pixels;
    place[1] = sums.columns;
    place[2] = sums.rows;
}
