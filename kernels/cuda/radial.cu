// Radial distribution of intensity (kernels/radial_gpu.py). Lengths of paths, rings and sums are those of
// kernels/geodesic_paths.py, radial_places.py and radial_sums.py; what a place is, is said there.

#define STRAIGHT 1136689u
#define DIAGONAL 1607521u
#define NOWHERE 255
#define WEDGES 8

// Greatest squared distance of each object of each set, above the complement of the first index with it. blockIdx.y is
// the set. What is read before an atomic operation only grows: if it is old, the operation is done in vain.
extern "C" __global__ void __launch_bounds__(256)
radial_peaks(const int* __restrict__ labels, const int* __restrict__ squares, const i64 pixels, const int count,
             u64* peaks) {
    const i64 first = (i64)blockIdx.y * pixels;
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < pixels; i += (i64)gridDim.x * blockDim.x) {
        const int label = labels[first + i];
        if (label == 0) continue;
        u64* peak = &peaks[(i64)blockIdx.y * count + label - 1];
        const u64 key = (u64)squares[first + i] << 32 | (u32)~(u32)i;
        if (*peak < key) atomicMax(peak, key);
    }
}

// Number of pixels with the greatest squared distance.
extern "C" __global__ void __launch_bounds__(256)
radial_ties(const int* __restrict__ labels, const int* __restrict__ squares, const i64 pixels, const int count,
            const u64* __restrict__ peaks, u32* ties) {
    const i64 first = (i64)blockIdx.y * pixels;
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < pixels; i += (i64)gridDim.x * blockDim.x) {
        const int label = labels[first + i];
        if (label == 0) continue;
        const i64 object = (i64)blockIdx.y * count + label - 1;
        if ((u32)squares[first + i] == (u32)(peaks[object] >> 32)) atomicAdd(&ties[object], 1u);
    }
}

struct Planes {
    const int* labels;
    const int* squares;
    u8* places;
    int height, width;
};

template <class Length>
__device__ __forceinline__ Length least(Length one, Length two, Length three, Length four) {
    return min(min(one, two), min(three, four));
}

// Writes the places of one object; gives whether some path may be too long for the type of its length. A row is worked
// on in segments of 32 pixels, by one warp each, and again only where it or one of its eight neighbours has changed in
// the round before. Lengths only become shorter, so whether a warp sees a neighbour's new one or its old one, the same
// is reached in the end. `memory`: lengths, (rows + 2) x pitch; which pixels are inside, a word a segment; rounds of the
// last changes, (rows + 2) x (segments + 2).
template <class Length>
__device__ __forceinline__ bool place_object(Planes planes, const int* box, const int label, const u32 centre,
                                             const int bins, Length* memory) {
    const Length far = sizeof(Length) == 4 ? (Length)(0xffffffffu - DIAGONAL) : (Length)(1ull << 62);
    const int rows = box[2] - box[0], columns = box[3] - box[1];
    const int segments = (columns + 31) / 32, pitch = 32 * segments + 2, turn = segments + 2;
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    Length* lengths = memory;
    u32* inside = (u32*)(lengths + (i64)(rows + 2) * pitch);
    int* rounds = (int*)(inside + (i64)rows * segments);
    const i64 corner = (i64)box[0] * planes.width + box[1];
    const int down = (int)(centre / (u32)planes.width) - box[0], right = (int)(centre % (u32)planes.width) - box[1];
    for (i64 i = threadIdx.x; i < (i64)(rows + 2) * pitch; i += blockDim.x) lengths[i] = far;
    for (i64 i = threadIdx.x; i < (i64)(rows + 2) * turn; i += blockDim.x) rounds[i] = 0;
    for (i64 segment = warp; segment < (i64)rows * segments; segment += warps) {
        const int y = (int)(segment / segments), x = (int)(segment % segments) * 32 + lane;
        const bool is_inside = x < columns && planes.labels[corner + (i64)y * planes.width + x] == label;
        const u32 bits = __ballot_sync(ALL_LANES, is_inside);
        if (lane == 0) inside[segment] = bits;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        lengths[(i64)(down + 1) * pitch + right + 1] = 0;
        rounds[(i64)(down + 1) * turn + right / 32 + 1] = 1;
    }
    __syncthreads();
    for (int round = 2, is_changing = 1; is_changing; ++round) {
        is_changing = 0;
        for (i64 segment = warp; segment < (i64)rows * segments; segment += warps) {
            const int y = (int)(segment / segments), across = (int)(segment % segments);
            int* last = rounds + (i64)(y + 1) * turn + across + 1;
            const bool is_fresh = lane < 9 && last[(lane / 3 - 1) * turn + lane % 3 - 1] >= round - 1;
            if (!__any_sync(ALL_LANES, is_fresh)) continue;
            Length* here = lengths + (i64)(y + 1) * pitch + across * 32 + lane + 1;
            bool is_shorter = false;
            if (inside[segment] >> lane & 1) {
                const Length straight = least(here[-1], here[1], here[-pitch], here[pitch]) + STRAIGHT;
                const Length diagonal =
                    least(here[-pitch - 1], here[-pitch + 1], here[pitch - 1], here[pitch + 1]) + DIAGONAL;
                const Length length = min(straight, diagonal);
                is_shorter = length < *here;
                if (is_shorter) *here = length;
            }
            if (__any_sync(ALL_LANES, is_shorter)) {
                is_changing = 1;
                if (lane == 0) *last = round;
            }
        }
        is_changing = __syncthreads_or(is_changing);
    }
    bool is_long = false;
    for (i64 segment = warp; segment < (i64)rows * segments; segment += warps) {
        const int y = (int)(segment / segments), x = (int)(segment % segments) * 32 + lane;
        if (!(inside[segment] >> lane & 1)) continue;
        const Length length = lengths[(i64)(y + 1) * pitch + x + 1];
        const i64 pixel = corner + (i64)y * planes.width + x;
        const double way = STRAIGHT * (sqrt((double)planes.squares[pixel]) + 0.001);
        int ring = 0;
        for (int k = 1; k < bins; ++k) ring += (double)length * (double)(bins - k) >= (double)k * way;
        const int wedge = (y > down) + 2 * (x > right) + 4 * (abs(y - down) > abs(x - right));
        planes.places[pixel] = length < far ? (u8)(ring * WEDGES + wedge) : NOWHERE;
        is_long |= length < far && length >= far - DIAGONAL;
    }
    return is_long;
}

// One block an object of a set; items are set * count + object. In 32 bits and shared memory; is_long says which objects
// have to be placed anew by radial_places_wide.
extern "C" __global__ void __launch_bounds__(256, 4)
radial_places(const int* __restrict__ labels, const int* __restrict__ squares, const int height, const int width,
              const int count, const int* __restrict__ boxes, const u32* __restrict__ centres,
              const int* __restrict__ items, const int bins, u8* places, u32* is_long) {
    DYNAMIC_SHARED(u32, memory);
    const int item = items[blockIdx.x];
    const i64 first = (i64)(item / count) * height * width;
    const Planes planes{labels + first, squares + first, places + first, height, width};
    if (place_object(planes, boxes + 4 * (i64)item, item % count + 1, centres[item], bins, memory)) is_long[item] = 1;
}

// The same in 64 bits and in global memory: `scratch` from first[blockIdx.x] on, in words of 8 bytes.
extern "C" __global__ void __launch_bounds__(256, 4)
radial_places_wide(const int* __restrict__ labels, const int* __restrict__ squares, const int height, const int width,
                   const int count, const int* __restrict__ boxes, const u32* __restrict__ centres,
                   const int* __restrict__ items, const int bins, u8* places, u64* scratch,
                   const i64* __restrict__ first_word) {
    const int item = items[blockIdx.x];
    const i64 first = (i64)(item / count) * height * width;
    const Planes planes{labels + first, squares + first, places + first, height, width};
    place_object(planes, boxes + 4 * (i64)item, item % count + 1, centres[item], bins,
                 scratch + first_word[blockIdx.x]);
}

// Sums per place of `lanes` lanes from first_lane on; lane `channels` counts pixels. Blocks: object, set, part of its
// rows, which has at most 65,536 pixels, so that its sums have 32 bits. `sums`: [object][set][place][channels + 1].
extern "C" __global__ void __launch_bounds__(256)
radial_sums(const u16* __restrict__ planes, const int channels, const int* __restrict__ labels,
            const u8* __restrict__ places, const int height, const int width, const int count,
            const int* __restrict__ boxes, const int first_lane, const int lanes, const int n_places, const int copies,
            u64* sums) {
    DYNAMIC_SHARED(u32, held);
    const int object = blockIdx.x, set = blockIdx.y;
    const int* box = boxes + 4 * ((i64)set * count + object);
    if (box[2] == 0) return;
    const int columns = box[3] - box[1], part = max(1, 65536 / columns);
    const int top = box[0] + (int)blockIdx.z * part, bottom = min(box[2], top + part), size = n_places * lanes;
    if (top >= bottom) return;
    for (int i = threadIdx.x; i < copies * size; i += blockDim.x) held[i] = 0;
    __syncthreads();
    const i64 pixels = (i64)height * width;
    u32* mine = held + threadIdx.x % copies * size;
    for (int i = threadIdx.x; i < (bottom - top) * columns; i += blockDim.x) {
        const i64 pixel = (i64)(top + i / columns) * width + box[1] + i % columns;
        if (labels[set * pixels + pixel] != object + 1) continue;
        const int place = places[set * pixels + pixel];
        if (place == NOWHERE) continue;
        for (int lane = 0; lane < lanes; ++lane) {
            const int channel = first_lane + lane;
            const u32 value = channel < channels ? planes[channel * pixels + pixel] : 1u;
            if (value) atomicAdd(&mine[place * lanes + lane], value);
        }
    }
    __syncthreads();
    u64* target = sums + ((i64)object * gridDim.y + set) * n_places * (channels + 1);
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        u64 sum = 0;
        for (int copy = 0; copy < copies; ++copy) sum += held[copy * size + i];
        if (sum) atomicAdd(&target[(i64)(i / lanes) * (channels + 1) + first_lane + i % lanes], sum);
    }
}
