// The flood of kernels/fixpoint_flood.py: each pixel's state is relaxed, in place and in any order, until none changes.

#define TILE 32
#define FRAMED 34
#define OWN 4
#define MOST_SWEEPS 96
#define UNREACHED 0xffffffffffffffffull
// bit of a pixel's terrain, beside its cost: its state follows from its neighbours
#define IS_OPEN 0x80000000u

// A state: cost << 48 | steps since the path last rose << 24 | label - 1.
__device__ __forceinline__ u64 next_state(u64 least, u32 cost) {
    if (least == UNREACHED) return UNREACHED;
    const u64 label = least & 0xffffff;
    return cost > (u32)(least >> 48) ? (u64)cost << 48 | label : least + (1ull << 24);
}

__device__ __forceinline__ u64 lesser(u64 one, u64 other) { return one < other ? one : other; }

// What other threads write meanwhile: any value that they had or have is good, as long as a later one is read in the end.
template <class T>
__device__ __forceinline__ T latest(const T* place) { return *(const volatile T*)place; }

extern "C" __global__ void __launch_bounds__(256)
flood_begin(const u16* __restrict__ height, const int* __restrict__ classes, const int* __restrict__ seeds,
            const int pixels, u32* terrain, u64* states) {
    const int place = blockIdx.x * blockDim.x + threadIdx.x;
    if (place >= pixels) return;
    const u32 cost = 65535u - height[place];
    const int seed = seeds[place];
    terrain[place] = seed == 0 && classes[place] > 0 ? cost | IS_OPEN : cost;
    states[place] = seed > 0 ? (u64)cost << 48 | (u64)(seed - 1) : UNREACHED;
}

// A tile sleeps unless it was left unsettled (2) or a neighbour changed (1 or 2) in the round before.
__device__ __forceinline__ bool is_awake(const u8* __restrict__ before, int tile_y, int tile_x, int down, int across) {
    bool awake = false;
    for (int dy = -1; dy <= 1; ++dy)
        for (int dx = -1; dx <= 1; ++dx) {
            const int y = tile_y + dy, x = tile_x + dx;
            if (y < 0 || y >= down || x < 0 || x >= across) continue;
            const u8 was = before[y * across + x];
            awake |= dy == 0 && dx == 0 ? was == 2 : was != 0;
        }
    return awake;
}

// One round over all tiles. blockIdx is the tile; `after` gets each tile's 0, 1 or 2, `changes` the number of others
// than 0. A state is computed anew from those around it, never compared with its own old one: while costs and steps sink
// to their least values, labels may still be wrong ones, and the last computation sets them right.
extern "C" __global__ void __launch_bounds__(256)
flood_round(const u32* __restrict__ terrain, const int height, const int width, const u8* __restrict__ before,
            u8* after, u32* changes, u64* states) {
    __shared__ u64 framed[FRAMED * FRAMED];
    const int tile = blockIdx.y * gridDim.x + blockIdx.x;
    if (!is_awake(before, blockIdx.y, blockIdx.x, gridDim.y, gridDim.x)) {
        if (threadIdx.x == 0) after[tile] = 0;
        return;
    }
    const int top = blockIdx.y * TILE, left = blockIdx.x * TILE;
    for (int i = threadIdx.x; i < FRAMED * FRAMED; i += 256) {
        const int y = top + i / FRAMED - 1, x = left + i % FRAMED - 1;
        const bool is_inside = y >= 0 && y < height && x >= 0 && x < width;
        framed[i] = is_inside ? latest(states + (i64)y * width + x) : UNREACHED;
    }
    const int column = threadIdx.x % TILE, first_row = threadIdx.x / TILE;
    u32 ground[OWN];
#pragma unroll
    for (int k = 0; k < OWN; ++k) {
        const int y = top + first_row + 8 * k, x = left + column;
        ground[k] = y < height && x < width ? terrain[(i64)y * width + x] : 0;
    }
    __syncthreads();
    bool is_changed = false, is_settled = false;
    for (int sweep = 0; sweep < MOST_SWEEPS && !is_settled; ++sweep) {
        bool changes_now = false;
#pragma unroll
        for (int k = 0; k < OWN; ++k) {
            if (!(ground[k] & IS_OPEN)) continue;
            u64* const own = framed + (first_row + 8 * k + 1) * FRAMED + column + 1;
            const u64 above = lesser(lesser(latest(own - FRAMED - 1), latest(own - FRAMED)), latest(own - FRAMED + 1));
            const u64 below = lesser(lesser(latest(own + FRAMED - 1), latest(own + FRAMED)), latest(own + FRAMED + 1));
            const u64 beside = lesser(latest(own - 1), latest(own + 1));
            const u64 state = next_state(lesser(lesser(above, below), beside), ground[k] & 0xffffu);
            if (state != latest(own)) {
                *(volatile u64*)own = state;
                changes_now = true;
            }
        }
        is_settled = !__syncthreads_or(changes_now);
        is_changed |= !is_settled;
    }
    if (threadIdx.x == 0) {
        after[tile] = (u8)(!is_changed ? 0 : is_settled ? 1 : 2);
        if (is_changed) atomicAdd(changes, 1u);
    }
    if (!is_changed) return;
#pragma unroll
    for (int k = 0; k < OWN; ++k)
        if (ground[k] & IS_OPEN) {
            const int row = first_row + 8 * k;
            *(volatile u64*)(states + (i64)(top + row) * width + left + column) =
                framed[(row + 1) * FRAMED + column + 1];
        }
}

extern "C" __global__ void __launch_bounds__(256)
flood_end(const u64* __restrict__ states, const int pixels, int* labels) {
    const int place = blockIdx.x * blockDim.x + threadIdx.x;
    if (place >= pixels) return;
    const u64 state = states[place];
    labels[place] = state == UNREACHED ? 0 : (int)(state & 0xffffff) + 1;
}
