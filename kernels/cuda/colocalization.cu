// Colocalisation of channels in objects: the whole numbers of kernels/colocalization_scan.py and kernels/costes.py, with
// the same fields in the same order.

#define WORDS 2048  // of 32 bits, one for each value of a pixel
#define CHANNEL_FIELDS 4
#define PAIR_FIELDS 9
#define STEP_FIELDS 6

// Which values the pixels of each set have: seen[set][channel][WORDS], 0 before. blockIdx.y is the channel.
extern "C" __global__ void __launch_bounds__(256)
colocalization_values(const u16* __restrict__ planes, i64 pixels, const int* __restrict__ labels, int sets, u32* seen) {
    __shared__ u32 held[3 * WORDS];
    const u16* plane = planes + (i64)blockIdx.y * pixels;
    for (int i = threadIdx.x; i < sets * WORDS; i += 256) held[i] = 0;
    __syncthreads();
    for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < pixels; i += (i64)gridDim.x * 256) {
        const u32 value = plane[i], bit = 1u << (value & 31);
        for (int set = 0; set < sets; ++set) {
            if (labels[set * pixels + i] == 0) continue;
            u32* word = &held[set * WORDS + (value >> 5)];
            if (!(*(volatile u32*)word & bit)) atomicOr(word, bit);  // most values have been seen
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < sets * WORDS; i += 256)
        if (held[i]) atomicOr(&seen[((i64)(i / WORDS) * gridDim.y + blockIdx.y) * WORDS + i % WORDS], held[i]);
}

// Number of values below those of each word, which makes ranks of values, and the greatest rank (-1 if there is none).
// A block of 1,024 threads for each set and channel.
extern "C" __global__ void __launch_bounds__(1024)
colocalization_ranks(const u32* __restrict__ seen, u16* below, int* greatest) {
    __shared__ u32 scratch[32];
    const i64 first = (i64)blockIdx.x * WORDS + 2 * threadIdx.x;
    const u32 one = __popc(seen[first]), other = __popc(seen[first + 1]);
    const u32 before = block_sum_before(one + other, scratch);
    below[first] = (u16)before;
    below[first + 1] = (u16)(before + one);
    if (threadIdx.x == 1023) greatest[blockIdx.x] = (int)(before + one + other) - 1;
}

// An object, and its pixels in the first plane.
struct Object {
    const u8* member;
    const u16* pixels;
    u32 columns, size, width;
};

__device__ __forceinline__ Object find_object(const u16* planes, int width, const int* boxes, const i64* first,
                                              const u8* member, int object) {
    const int* box = boxes + 4 * (i64)object;
    const u32 columns = box[3] - box[1];
    return {member + first[object], planes + (i64)box[0] * width + box[1], columns, (box[2] - box[0]) * columns, (u32)width};
}

__device__ __forceinline__ i64 place_of(const Object& object, u32 i) {
    const u32 row = i / object.columns;
    return (i64)row * object.width + (i - row * object.columns);
}

__device__ __forceinline__ void add_to(i64* total, u64 part) {
    const u64 sum = warp_sum(part);
    if ((threadIdx.x & 31) == 0) *total += (i64)sum;
}

// Tiles of an object's pixels in shared memory, for all channels; pixels outside the set are 0.
struct Tiles {
    int* roundings;
    u16 *values, *ranks;
    u32* least;  // of each channel, the count that reaches its threshold
};

__device__ __forceinline__ void sum_channel(const Tiles& tiles, int tile, int channel, i64* state) {
    u64 total = 0, squares = 0, rounded = 0, above = 0;
    const u32 least = tiles.least[channel];
    for (int i = channel * tile + (threadIdx.x & 31); i < (channel + 1) * tile; i += 32) {
        const u32 value = tiles.values[i];
        total += value;
        squares += (u64)value * value;
        rounded += (u64)(i64)tiles.roundings[i];
        if (value >= least) above += value;
    }
    add_to(&state[0], total);
    add_to(&state[1], squares);
    add_to(&state[2], rounded);
    add_to(&state[3], above);
}

__device__ __forceinline__ void sum_pair(const Tiles& tiles, int tile, int one, int other, i64* state) {
    u64 products = 0, rounded = 0;
    u64 sums[7] = {0, 0, 0, 0, 0, 0, 0};
    const u32 least_one = tiles.least[one], least_other = tiles.least[other];
    for (int i = threadIdx.x & 31; i < tile; i += 32) {
        const int at_one = one * tile + i, at_other = other * tile + i;
        const u64 first = tiles.values[at_one], second = tiles.values[at_other];
        products += first * second;
        rounded += first * (u64)(i64)tiles.roundings[at_other] + second * (u64)(i64)tiles.roundings[at_one];
        if (first < least_one || second < least_other) continue;
        const u64 distance = abs((int)tiles.ranks[at_one] - (int)tiles.ranks[at_other]);
        sums[0] += first;
        sums[1] += second;
        sums[2] += first * first;
        sums[3] += second * second;
        sums[4] += first * second;
        sums[5] += first * distance;
        sums[6] += second * distance;
    }
    add_to(&state[0], products);
    add_to(&state[1], rounded);
    for (int k = 0; k < 7; ++k) add_to(&state[2 + k], sums[k]);
}

// Block (object, set), 256 threads. of_channel[object][set][channel][CHANNEL_FIELDS] and
// of_pair[object][set][pair][PAIR_FIELDS], 0 before; one warp adds to each of their rows. Shared memory: `channels`
// times (4 bytes and `tile` times 8 bytes).
extern "C" __global__ void __launch_bounds__(256, 2)
colocalization_sums(const u16* __restrict__ planes, i64 pixels, int width, int channels, const int* __restrict__ pairs,
                    int n_pairs, const int* __restrict__ boxes, const i64* __restrict__ first,
                    const u8* __restrict__ member, const u32* __restrict__ seen, const u16* __restrict__ below,
                    const int* __restrict__ thresholds, const int* __restrict__ roundings, int tile, i64* of_channel,
                    i64* of_pair) {
    DYNAMIC_SHARED(u32, shared);
    const int set = blockIdx.y, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    const Object object = find_object(planes, width, boxes, first, member, blockIdx.x);
    if (object.size == 0) return;
    const Tiles tiles = {(int*)(shared + channels), (u16*)(shared + channels + channels * tile),
                         (u16*)(shared + channels + channels * tile) + channels * tile, shared};
    const u8 in_set = (u8)(1u << set);
    for (int channel = warp; channel < channels; channel += 8) {
        u32 greatest = 0;
        for (u32 i = lane; i < object.size; i += 32)
            if (object.member[i] & in_set) {
                const u32 value = object.pixels[channel * pixels + place_of(object, i)];
                greatest = value > greatest ? value : greatest;
            }
        greatest = warp_max(greatest);
        if (lane == 0) tiles.least[channel] = thresholds[greatest];
    }
    i64* const rows = of_channel + ((i64)blockIdx.x * gridDim.y + set) * channels * CHANNEL_FIELDS;
    i64* const pair_rows = of_pair + ((i64)blockIdx.x * gridDim.y + set) * n_pairs * PAIR_FIELDS;
    for (u32 begin = 0; begin < object.size; begin += tile) {
        __syncthreads();
        for (int i = threadIdx.x; i < tile; i += 256) {
            const bool is_inside = begin + i < object.size && (object.member[begin + i] & in_set);
            const i64 place = is_inside ? place_of(object, begin + i) : 0;
#pragma unroll 1  // more takes registers that there are not
            for (int channel = 0; channel < channels; ++channel) {
                u32 value = 0, rank = 0;
                if (is_inside) {
                    value = object.pixels[channel * pixels + place];
                    const i64 word = (i64)(set * channels + channel) * WORDS + (value >> 5);
                    rank = below[word] + __popc(seen[word] & ((1u << (value & 31)) - 1));
                }
                tiles.values[channel * tile + i] = (u16)value;
                tiles.ranks[channel * tile + i] = (u16)rank;
                tiles.roundings[channel * tile + i] = roundings[value];
            }
        }
        __syncthreads();
        for (int item = warp; item < channels + n_pairs; item += 8) {
            const int pair = item - channels;
            if (pair < 0) sum_channel(tiles, tile, item, rows + item * CHANNEL_FIELDS);
            else sum_pair(tiles, tile, pairs[2 * pair], pairs[2 * pair + 1], pair_rows + pair * PAIR_FIELDS);
        }
    }
}

// Sums over pixels of two planes above both Costes limits, and over those that reach each channel's own; limits[pair]:
// reach and above of the first, reach and above of the second. Block (object, set); a warp takes a pair.
extern "C" __global__ void __launch_bounds__(256)
colocalization_above(const u16* __restrict__ planes, i64 pixels, int width, const int* __restrict__ pairs, int n_pairs,
                     const int* __restrict__ boxes, const i64* __restrict__ first, const u8* __restrict__ member,
                     const int* __restrict__ limits, i64* of_pair) {
    const int set = blockIdx.y;
    const Object object = find_object(planes, width, boxes, first, member, blockIdx.x);
    for (int pair = threadIdx.x >> 5; pair < n_pairs; pair += 8) {
        const u16* one_plane = object.pixels + pairs[2 * pair] * pixels;
        const u16* other_plane = object.pixels + pairs[2 * pair + 1] * pixels;
        const int* limit = limits + 4 * pair;
        u64 sums[4] = {0, 0, 0, 0};
        for (u32 i = threadIdx.x & 31; i < object.size; i += 32) {
            if (!(object.member[i] >> set & 1)) continue;
            const i64 place = place_of(object, i);
            const int one = one_plane[place], other = other_plane[place];
            if (one >= limit[1] && other >= limit[3]) {
                sums[0] += one;
                sums[1] += other;
            }
            if (one >= limit[0]) sums[2] += one;
            if (other >= limit[2]) sums[3] += other;
        }
        i64* row = of_pair + (((i64)blockIdx.x * gridDim.y + set) * n_pairs + pair) * 4;
        for (int k = 0; k < 4; ++k) add_to(&row[k], sums[k]);
    }
}

// Number of pixels black in both planes, and sums of the whole planes: sums[pair][STEP_FIELDS], 0 before. blockIdx.y is
// the pair.
extern "C" __global__ void __launch_bounds__(256)
costes_planes(const u16* __restrict__ planes, i64 pixels, const int* __restrict__ pairs, u64* sums) {
    const u16* one_plane = planes + pairs[2 * blockIdx.y] * pixels;
    const u16* other_plane = planes + pairs[2 * blockIdx.y + 1] * pixels;
    u64 part[STEP_FIELDS] = {0, 0, 0, 0, 0, 0};
    for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < pixels; i += (i64)gridDim.x * 256) {
        const u64 one = one_plane[i], other = other_plane[i];
        part[0] += (one | other) == 0;
        part[1] += one;
        part[2] += other;
        part[3] += one * one;
        part[4] += other * other;
        part[5] += one * other;
    }
    for (int k = 0; k < STEP_FIELDS; ++k) {
        const u64 sum = warp_sum(part[k]);
        if ((threadIdx.x & 31) == 0) atomicAdd(&sums[blockIdx.y * STEP_FIELDS + k], sum);
    }
}

// Sums of pixels of two planes by the candidate that ends their stretch, less those that begin after the first one:
// steps[candidate][STEP_FIELDS], 0 before.
extern "C" __global__ void __launch_bounds__(256)
costes_steps(const u16* __restrict__ one_plane, const u16* __restrict__ other_plane, i64 pixels,
             const int* __restrict__ end_first, const int* __restrict__ begin_second,
             const int* __restrict__ end_second, u64* steps) {
    for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < pixels; i += (i64)gridDim.x * 256) {
        const u64 one = one_plane[i], other = other_plane[i];
        const int begin = begin_second[other], end = min(end_first[one], end_second[other]);
        if (begin >= end) continue;
        const u64 parts[STEP_FIELDS] = {1, one, other, one * one, other * other, one * other};
        for (int k = 0; k < STEP_FIELDS; ++k) {
            atomicAdd(&steps[(i64)end * STEP_FIELDS + k], parts[k]);
            if (begin > 0) atomicAdd(&steps[(i64)begin * STEP_FIELDS + k], 0 - parts[k]);
        }
    }
}
