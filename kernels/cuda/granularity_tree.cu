// Sixteen reconstructions of each of n images at once. What basins, saddles and levels are is said in
// kernels/granularity_tree.py. Heights and levels are the bits of float32 that are not negative. All is comparisons of
// whole numbers: the order of threads shows nowhere but in the numbers that basins and saddles get. blockIdx.z is the
// plane, in granularity_merge blockIdx.x.

#define HIGHEST 0x7fffffff
#define STEPS 16

// ---- Basins and saddles ----

// Position of this thread among those of all warps that want one; `total` counts them.
__device__ __forceinline__ int take_place(bool is_wanted, int* total) {
    const int lane = threadIdx.x & 31;
    const u32 wanted = __ballot_sync(ALL_LANES, is_wanted);
    int first = 0;
    if (lane == 0 && wanted) first = atomicAdd(total, __popc(wanted));
    return __shfl_sync(ALL_LANES, first, 0) + __popc(wanted & ((1u << lane) - 1));
}

// For each pixel the one that steepest ascent leads to next, itself at a maximum. Maxima are named, and what is kept of
// a basin is cleared: levels, the chosen saddles of two rounds, and `joined`, the basin that it is part of (-1: none).
extern "C" __global__ void __launch_bounds__(256)
granularity_climb(const int* __restrict__ heights, const int rows, const int columns, const int most_basins, int* above,
                  int* names, int* n_basins, int* levels, u64* chosen, u64* chosen_next, int* joined) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, pixels = rows * columns, plane = blockIdx.z;
    bool is_top = false;
    if (i < pixels) {
        const int stride = columns + 2;
        const int* pixel = heights + ((i64)plane * (rows + 2) + i / columns + 1) * stride + i % columns + 1;
        const int own = pixel[0], north = pixel[-stride], west = pixel[-1], east = pixel[1], south = pixel[stride];
        is_top = north <= own && west <= own && east < own && south < own;
        const int highest = max(max(north, west), max(east, south));
        const int step = south == highest ? columns : east == highest ? 1 : west == highest ? -1 : -columns;
        above[(i64)plane * pixels + i] = is_top ? i : i + step;
    }
    const int name = take_place(is_top, &n_basins[plane]);
    if (!is_top) return;
    names[(i64)plane * pixels + i] = name;
    const i64 basin = (i64)plane * most_basins + name;
    for (int step = 0; step < STEPS; ++step) levels[basin * STEPS + step] = 0;
    chosen[basin] = 0;
    chosen_next[basin] = 0;
    joined[basin] = -1;
}

// Give each pixel its basin. Threads shorten each other's ways: whatever they read lies further up.
extern "C" __global__ void __launch_bounds__(256)
granularity_label(int* above, const int* __restrict__ names, const int pixels, int* basins) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= pixels) return;
    volatile int* way = above + (i64)blockIdx.z * pixels;
    int top = way[i];
    while (true) {
        const int next = way[top];
        if (next == top) break;
        way[i] = next;
        top = next;
    }
    basins[(i64)blockIdx.z * pixels + i] = names[(i64)blockIdx.z * pixels + top];
}

// The saddles between basins: both basins and the height, and each basin's choice for the first round.
struct Saddles {
    int* first;
    int* second;
    int* height;
};

__device__ __forceinline__ Saddles saddles_of(int* saddles, int plane, int planes, int pixels) {
    int* first = saddles + (i64)plane * pixels;
    const i64 all = (i64)planes * pixels;
    return {first, first + all, first + 2 * all};
}

__device__ __forceinline__ void put_saddle(const Saddles& saddles, int place, int first, int second, int height,
                                           u64* chosen) {
    saddles.first[place] = first;
    saddles.second[place] = second;
    saddles.height[place] = height;
    const u64 key = (u64)(u32)height << 32 | (u32)(place + 1);
    atomicMax(&chosen[first], key);
    atomicMax(&chosen[second], key);
}

// `rings`: kernels.granularity_tree.RINGS.
extern "C" __global__ void __launch_bounds__(256)
granularity_saddles(const int* __restrict__ heights, const int* __restrict__ basins, const u8* __restrict__ rings,
                    const int rows, const int columns, const int most_basins, int* saddles, int* n_saddles,
                    u64* chosen) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, pixels = rows * columns, plane = blockIdx.z;
    int parts = 0, own = 0, basin[4];
    if (i < pixels) {
        const int stride = columns + 2;
        const int* pixel = heights + ((i64)plane * (rows + 2) + i / columns + 1) * stride + i % columns + 1;
        own = pixel[0];
        const int ring = (pixel[-stride] > own) | (pixel[1 - stride] > own) << 1 | (pixel[1] >= own) << 2 |
                         (pixel[stride + 1] >= own) << 3 | (pixel[stride] >= own) << 4 |
                         (pixel[stride - 1] >= own) << 5 | (pixel[-1] > own) << 6 | (pixel[-stride - 1] > own) << 7;
        const u8* entry = rings + 5 * ring;
        parts = entry[0] > 1 ? entry[0] : 0;
#pragma unroll
        for (int part = 0; part < 4; ++part) {
            if (part >= parts) continue;
            const int side = entry[1 + part];
            const int step = side == 0 ? -columns : side == 2 ? 1 : side == 4 ? columns : -1;
            basin[part] = basins[(i64)plane * pixels + i + step];
        }
    }
    const Saddles of_plane = saddles_of(saddles, plane, gridDim.z, pixels);
#pragma unroll
    for (int part = 1; part < 4; ++part) {
        const bool is_saddle = part < parts && basin[part] != basin[0];
        const int place = take_place(is_saddle, &n_saddles[plane]);
        if (is_saddle) put_saddle(of_plane, place, basin[0], basin[part], own, chosen + (i64)plane * most_basins);
    }
}

// ---- Levels to begin with ----

#define MARK_SIDE 96
#define MARK_ROWS 12
#define MARK_REACH (STEPS + 1)
#define MARK_INNER (MARK_SIDE - 2 * MARK_REACH)

struct Triple {
    int left, middle, right;
};

// One is added so that HIGHEST, which stands outside of the image, becomes the lowest.
__device__ __forceinline__ int outside_lowest(int value) { return (int)((u32)value + 1u); }

__device__ __forceinline__ int highest_of(const Triple& row) {
    return max(max(outside_lowest(row.left), outside_lowest(row.middle)), outside_lowest(row.right));
}

// Sixteen erosions by the cross in shared memory; the local maxima of each raise the levels of their basins. A block
// has MARK_SIDE by MARK_SIDE / MARK_ROWS threads, a thread goes down MARK_ROWS rows of its column.
extern "C" __global__ void __launch_bounds__(MARK_SIDE * MARK_SIDE / MARK_ROWS, 1)
granularity_mark(const int* __restrict__ heights, const int* __restrict__ basins, const int rows, const int columns,
                 const int most_basins, int* levels) {
    DYNAMIC_SHARED(int, tile);
    const int plane = blockIdx.z, first = threadIdx.y * MARK_ROWS, last = first + MARK_ROWS - 1;
    const int top = (int)blockIdx.y * MARK_INNER - MARK_REACH;
    const int x = (int)blockIdx.x * MARK_INNER - MARK_REACH + (int)threadIdx.x;
    const int* image = heights + (i64)plane * (rows + 2) * (columns + 2);
    for (int row = first; row <= last; ++row) {
        const int y = top + row;
        const bool is_inside = y >= 0 && y < rows && x >= 0 && x < columns;
        tile[row * MARK_SIDE + threadIdx.x] = is_inside ? image[(i64)(y + 1) * (columns + 2) + x + 1] : HIGHEST;
    }
    const int left = max((int)threadIdx.x - 1, 0), right = min((int)threadIdx.x + 1, MARK_SIDE - 1);
    const auto read = [&](int row) {
        const int* cells = tile + row * MARK_SIDE;
        return Triple{cells[left], cells[threadIdx.x], cells[right]};
    };
    const bool is_inner = (int)threadIdx.x >= MARK_REACH && (int)threadIdx.x < MARK_REACH + MARK_INNER && x < columns;
    u32 inner_rows = 0;
    for (int k = 0; k < MARK_ROWS; ++k) {
        const int row = first + k;
        inner_rows |= (u32)(is_inner && row >= MARK_REACH && row < MARK_REACH + MARK_INNER && top + row < rows) << k;
    }
    __syncthreads();
    for (int step = 0; step <= STEPS; ++step) {
        int eroded[MARK_ROWS];
        u32 tops = 0;
        Triple upper = read(max(first - 1, 0)), own = read(first);
#pragma unroll
        for (int k = 0; k < MARK_ROWS; ++k) {
            const Triple lower = read(min(first + k + 1, MARK_SIDE - 1));
            const int least = min(min(min(upper.middle, lower.middle), min(own.left, own.right)), own.middle);
            eroded[k] = own.middle == HIGHEST ? HIGHEST : least;
            const int before = max(highest_of(upper), outside_lowest(own.left));
            const int behind = max(highest_of(lower), outside_lowest(own.right));
            const int middle = outside_lowest(own.middle);
            tops |= (u32)(before <= middle && behind < middle && own.middle > 0) << k;
            upper = own;
            own = lower;
        }
        for (tops &= step > 0 ? inner_rows : 0; tops; tops &= tops - 1) {
            const int row = first + __ffs((int)tops) - 1, height = tile[row * MARK_SIDE + threadIdx.x];
            const i64 basin = basins[((i64)plane * rows + top + row) * columns + x];
            atomicMax(&levels[((i64)plane * most_basins + basin) * STEPS + step - 1], height);
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < MARK_ROWS; ++k) tile[(first + k) * MARK_SIDE + threadIdx.x] = eroded[k];
        __syncthreads();
    }
}

// ---- Rounds of joining ----

__device__ __forceinline__ int beyond(const Saddles& saddles, u64 key, int basin) {
    const u32 place = (u32)key - 1;
    return saddles.first[place] == basin ? saddles.second[place] : saddles.first[place];
}

// Where the way over chosen saddles ends: keys rise along it until two basins choose the same saddle; the lower number
// stands for all.
__device__ __forceinline__ int find_root(const Saddles& saddles, const u64* chosen, int basin) {
    while (true) {
        const u64 key = chosen[basin];
        const int other = beyond(saddles, key, basin);
        if (chosen[other] == key) return min(basin, other);
        basin = other;
    }
}

// Join the basins beside a saddle to their roots if they chose it, and hand their levels up as far as the saddle lets
// them pass; 16 lanes for each side. Whole warps call this.
__device__ __forceinline__ void join_beside(const Saddles& saddles, int place, int n_saddles, const u64* chosen,
                                            int* joined, int* passes, int* levels) {
    int root[2] = {-1, -1}, basin[2] = {0, 0}, height = 0;
    if (place < n_saddles) {
        height = saddles.height[place];
        basin[0] = saddles.first[place];
        basin[1] = saddles.second[place];
#pragma unroll
        for (int side = 0; side < 2; ++side) {
            if ((u32)chosen[basin[side]] != (u32)(place + 1)) continue;
            const int found = find_root(saddles, chosen, basin[side]);
            if (found == basin[side]) continue;
            root[side] = found;
            joined[basin[side]] = found;
            passes[basin[side]] = height;
        }
    }
    const int lane = threadIdx.x & 31, step = lane & 15;
    u32 waiting = __ballot_sync(ALL_LANES, root[0] >= 0 || root[1] >= 0);
    for (; waiting; waiting &= waiting - 1) {
        const int from = __ffs(waiting) - 1;
        const int first = __shfl_sync(ALL_LANES, basin[0], from), first_root = __shfl_sync(ALL_LANES, root[0], from);
        const int second = __shfl_sync(ALL_LANES, basin[1], from), second_root = __shfl_sync(ALL_LANES, root[1], from);
        const int most = __shfl_sync(ALL_LANES, height, from);
        const int target = lane < 16 ? first_root : second_root, source = lane < 16 ? first : second;
        if (target < 0) continue;
        const int level = min(most, levels[(i64)source * STEPS + step]);
        if (level) atomicMax(&levels[(i64)target * STEPS + step], level);
    }
}

// One thread per saddle.
extern "C" __global__ void __launch_bounds__(256)
granularity_join(int* saddles, const int pixels, const int* __restrict__ n_saddles, const int most_basins,
                 const u64* __restrict__ chosen, int* joined, int* passes, int* levels) {
    const int plane = blockIdx.z, count = n_saddles[plane];
    if ((int)(blockIdx.x * blockDim.x) >= count) return;
    const i64 basins = (i64)plane * most_basins;
    join_beside(saddles_of(saddles, plane, gridDim.z, pixels), blockIdx.x * blockDim.x + threadIdx.x, count,
                chosen + basins, joined + basins, passes + basins, levels + basins * STEPS);
}

__device__ __forceinline__ int renamed(const int* joined, int basin) {
    const int root = joined[basin];
    return root < 0 ? basin : root;
}

// Rename the basins beside saddles by their roots, keep the saddles between two, and choose for the next round; what
// was chosen in this round is cleared. One thread per saddle or basin.
extern "C" __global__ void __launch_bounds__(256)
granularity_rename(int* saddles, const int pixels, const int* __restrict__ n_saddles, const int* __restrict__ n_basins,
                   const int most_basins, const int* __restrict__ joined, int* kept, int* n_kept, u64* chosen,
                   u64* chosen_next) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, plane = blockIdx.z;
    const i64 basins = (i64)plane * most_basins;
    if (i < n_basins[plane]) chosen[basins + i] = 0;
    const Saddles old = saddles_of(saddles, plane, gridDim.z, pixels), now = saddles_of(kept, plane, gridDim.z, pixels);
    int first = 0, second = 0;
    if (i < n_saddles[plane]) {
        first = renamed(joined + basins, old.first[i]);
        second = renamed(joined + basins, old.second[i]);
    }
    const int place = take_place(first != second, &n_kept[plane]);
    if (first != second) put_saddle(now, place, first, second, old.height[i], chosen_next + basins);
}

// All further rounds: one block a plane. Saddles are moved together in place.
extern "C" __global__ void __launch_bounds__(1024, 1)
granularity_merge(int* saddles, const int pixels, const int* __restrict__ n_saddles, const int most_basins, u64* chosen,
                  int* joined, int* passes, int* levels) {
    __shared__ int scratch[32];
    const int plane = blockIdx.x, threads = blockDim.x;
    const Saddles of_plane = saddles_of(saddles, plane, gridDim.x, pixels);
    chosen += (i64)plane * most_basins;
    joined += (i64)plane * most_basins;
    passes += (i64)plane * most_basins;
    levels += (i64)plane * most_basins * STEPS;
    int count = n_saddles[plane];
    while (count) {
        for (int start = 0; start < count; start += threads)
            join_beside(of_plane, start + threadIdx.x, count, chosen, joined, passes, levels);
        __syncthreads();
        for (int i = threadIdx.x; i < count; i += threads) {
            chosen[renamed(joined, of_plane.first[i])] = 0;
            chosen[renamed(joined, of_plane.second[i])] = 0;
        }
        __syncthreads();
        int kept = 0;
        for (int start = 0; start < count; start += threads) {
            const int i = start + threadIdx.x;
            const bool is_there = i < count;
            const int first = is_there ? renamed(joined, of_plane.first[i]) : 0;
            const int second = is_there ? renamed(joined, of_plane.second[i]) : 0;
            const int height = is_there ? of_plane.height[i] : 0;
            const int place = kept + block_sum_before(int(first != second), scratch);
            if (first != second) put_saddle(of_plane, place, first, second, height, chosen);
            kept += __syncthreads_count(first != second);
        }
        count = kept;
    }
}

// Hand the levels down again: 16 lanes a basin, up the way of those that it was joined to. It may read levels that are
// handed down already: they lie no higher than what it gets in the end.
extern "C" __global__ void __launch_bounds__(256)
granularity_hand_down(const int* __restrict__ joined, const int* __restrict__ passes, const int* __restrict__ n_basins,
                      const int most_basins, int* levels) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, basin = i >> 4, step = i & 15, plane = blockIdx.z;
    if (basin >= n_basins[plane]) return;
    const i64 basins = (i64)plane * most_basins;
    volatile int* of_plane = levels + basins * STEPS;
    int level = of_plane[(i64)basin * STEPS + step], pass = HIGHEST;
    for (int at = basin; joined[basins + at] >= 0;) {
        pass = min(pass, passes[basins + at]);
        at = joined[basins + at];
        level = max(level, min(pass, (int)of_plane[(i64)at * STEPS + step]));
    }
    of_plane[(i64)basin * STEPS + step] = level;
}
