// Texture of objects (kernels/texture_gpu.py): the whole-number state of each co-occurrence matrix, as in
// kernels/texture_state.py. An item is a matrix: (object * channels + channel) * steps + step, where step is 4 * scale +
// angle. A set of the kernels is: 0 the outer set, 1 and 2 the others in their order.

#define EMPTY 0xffffffffu
#define PROBES 64
#define TILE_PROBES 8
#define STATE 12
#define MARGINALS 2560  // words of shared memory for the marginals of a table, see below

// Which pixels there are: boxes as in objects.cu; `member` has a byte per pixel of each box. Where `is_whole`, the only
// object is the plane, all of its pixels are in set 0, and level 0 counts.
__device__ __forceinline__ u32 sets_at(const u8* __restrict__ member, i64 place, bool is_whole) {
    return is_whole ? 1u : member[place] & 7u;
}

// Least level of each object and channel (from 256 down), then the greatest of each set (from 0 up), of sets in the
// order of `member`. blockIdx: object, channel, and a part of the pixels.
extern "C" __global__ void __launch_bounds__(256)
texture_levels(const u16* __restrict__ planes, const i64 pixels, const int width, const u8* __restrict__ tables,
               const i64 table_step, const int* __restrict__ boxes, const i64* __restrict__ first,
               const u8* __restrict__ member, const int is_whole, const int object, const int sets, int* levels) {
    const int* box = boxes + 4 * (i64)(object + blockIdx.x);
    const int across = box[3] - box[1], size = (box[2] - box[0]) * across;
    const u16* plane = planes + blockIdx.y * pixels;
    const u8* table = tables + blockIdx.y * table_step;
    const i64 first_byte = first[object + blockIdx.x];
    u32 least = 256, greatest[3] = {0, 0, 0};
    for (int place = blockIdx.z * blockDim.x + threadIdx.x; place < size; place += gridDim.z * blockDim.x) {
        const u32 bits = sets_at(member, first_byte + place, is_whole);
        if (!bits) continue;
        const int y = box[0] + place / across, x = box[1] + place % across;
        const u32 level = table[plane[(i64)y * width + x]];
        if (level == 0 && !is_whole) continue;
        least = level < least ? level : least;
        for (int z = 0; z < 3; ++z)
            if (bits >> z & 1u && level > greatest[z]) greatest[z] = level;
    }
    int* found = levels + ((i64)blockIdx.x * gridDim.y + blockIdx.y) * (1 + sets);
    least = warp_min(least);
    for (int z = 0; z < 3; ++z) greatest[z] = warp_max(greatest[z]);
    if ((threadIdx.x & 31) || least == 256) return;
    atomicMin(&found[0], (int)least);
    for (int z = 0; z < sets; ++z) atomicMax(&found[1 + z], (int)greatest[z]);
}

// Crops of one object, one per channel: `gap` empty places before it, between its rows, and rows of them behind it, so
// that each step from a pixel ends in its crop. A code is the level from 1 for the least (whole planes: from 0), with
// the sets from bit 8 on; 0 outside. blockIdx as in texture_levels.
extern "C" __global__ void __launch_bounds__(256)
texture_codes(const u16* __restrict__ planes, const i64 pixels, const int width, const u8* __restrict__ tables,
              const i64 table_step, const int* __restrict__ boxes, const i64* __restrict__ first,
              const u8* __restrict__ member, const int is_whole, const int object, const int sets, const int outer,
              const int gap, const int* __restrict__ levels, const i64* __restrict__ crop_first, u16* codes) {
    const int* box = boxes + 4 * (i64)(object + blockIdx.x);
    const int across = box[3] - box[1], height = box[2] - box[0], stride = across + gap;
    if (height == 0) return;
    const u16* plane = planes + blockIdx.y * pixels;
    const u8* table = tables + blockIdx.y * table_step;
    const i64 first_byte = first[object + blockIdx.x];
    const i64 size = crop_first[blockIdx.x + 1] - crop_first[blockIdx.x];
    const int least = levels[((i64)blockIdx.x * gridDim.y + blockIdx.y) * (1 + sets)];
    u16* crop = codes + crop_first[blockIdx.x] * gridDim.y + blockIdx.y * size;
    for (int place = blockIdx.z * blockDim.x + threadIdx.x; place < size; place += gridDim.z * blockDim.x) {
        const int y = place < gap ? height : (place - gap) / stride, x = place < gap ? 0 : (place - gap) % stride;
        u32 code = 0;
        if (y < height && x < across) {
            const u32 bits = sets_at(member, first_byte + (i64)y * across + x, is_whole);
            const int level = table[plane[(i64)(box[0] + y) * width + box[1] + x]];
            if (bits && (level || is_whole)) {
                const u32 below = bits & ((1u << outer) - 1u), above = bits >> (outer + 1) << outer;
                code = (1u | (below | above) << 1) << 8 | (u32)(level - least + (is_whole ? 0 : 1));
            }
        }
        crop[place] = (u16)code;
    }
}

__device__ __forceinline__ int lowest_bit(u32 value) { return 31 - __clz((int)(value & (0u - value))); }

// n log2 n in units of 2^-32, as entropy_term in kernels/texture_terms.py; `terms` holds those below 65,536.
__device__ __forceinline__ u64 entropy_term(u32 count, const u64* __restrict__ terms) {
    if (count < 65536u) return terms[count];
    const int twos = lowest_bit(count);
    const u32 odd = count >> twos;
    u64 term;
    if (odd < 65536u) {
        term = terms[odd];
    } else {
        const int exponent = 31 - __clz((int)odd);
        u64 mantissa = (u64)odd << (63 - exponent), fraction = 0;
        for (int digit = 0; digit < 37; ++digit) {
            mantissa = __umul64hi(mantissa, mantissa);
            fraction <<= 1;
            if (mantissa >> 63)
                fraction |= 1;
            else
                mantissa <<= 1;
        }
        fraction = (fraction + 1) >> 1;
        term = ((u64)(odd * exponent) << 32) + ((odd * fraction + 8) >> 4);
    }
    return (term << twos) + ((u64)count * twos << 32);
}

// The matrix of an item: pairs of places `offset` apart, codes from 0 to range - 1. Without pairs, places is 0.
struct Matrix {
    const u16* codes;
    int places, offset, range, shift;
};

__device__ __forceinline__ Matrix matrix_of(u32 item, int channels, int steps, const int* __restrict__ boxes,
                                            const i64* __restrict__ crop_first, int object, int gap, int is_whole,
                                            int sets, int outer, const int* __restrict__ scales,
                                            const int* __restrict__ levels, const u16* __restrict__ codes) {
    const int step = item % steps, crop = item / steps, of_object = crop / channels, channel = crop % channels;
    const int* box = boxes + 4 * (i64)(object + of_object);
    const int stride = box[3] - box[1] + gap, scale = scales[step >> 2], angle = step & 3;
    const int* found = levels + (i64)crop * (1 + sets);
    const i64 size = crop_first[of_object + 1] - crop_first[of_object];
    Matrix matrix;
    matrix.codes = codes + crop_first[of_object] * channels + channel * size + gap;
    matrix.offset = angle == 0 ? scale : scale * stride + (angle == 1 ? scale : angle == 2 ? 0 : -scale);
    matrix.range = found[1 + outer] - found[0] + (is_whole ? 1 : 2);
    matrix.places = matrix.range > 0 ? (box[2] - box[0]) * stride : 0;
    matrix.shift = 1;
    while ((1 << matrix.shift) < matrix.range) ++matrix.shift;
    return matrix;
}

// Key of the pair that begins at a place: difference of the codes, then the lower one. Gives the sets that both pixels
// are in, 0 for no pair.
__device__ __forceinline__ u32 pair_at(const Matrix& matrix, int place, u32& key) {
    const u32 one = matrix.codes[place];
    if (one < 256u) return 0;
    const u32 other = matrix.codes[place + matrix.offset], a = one & 255u, b = other & 255u;
    key = a > b ? (a - b) << matrix.shift | b : (b - a) << matrix.shift | a;
    return (one & other) >> 8;
}

// A table of entries in shared memory: keys, then two words of counts per slot. Pairs are counted by the sets beside
// the outer one that they are in: word 0 not in set 1, word 1 in set 1; low half not in set 2, high half in set 2.
struct Table {
    u32 *keys, *words, mask;
    int bits;
};

__device__ __forceinline__ Table table_in(u32* shared, int bits) {
    Table table;
    table.keys = shared;
    table.words = shared + (1u << bits);
    table.mask = (1u << bits) - 1u;
    table.bits = bits;
    return table;
}

__device__ __forceinline__ void clear(const Table& table) {
    for (u32 slot = threadIdx.x; slot <= table.mask; slot += blockDim.x) {
        table.keys[slot] = EMPTY;
        table.words[slot] = 0;
        table.words[table.mask + 1 + slot] = 0;
    }
}

// Count one pair; false if no slot was free within so many probes. Keys below the number of slots have their own slot;
// steps of 32 stay in a bank of memory, and drift to the next after four.
__device__ __forceinline__ bool count_pair(const Table& table, u32 key, u32 sets, int probes) {
    u32 slot = (key + (key >> table.bits) * 1312u) & table.mask;
    for (int probe = 0; probe < probes; ++probe) {
        u32 held = ((volatile u32*)table.keys)[slot];
        if (held == EMPTY) held = atomicCAS(&table.keys[slot], EMPTY, key);
        if (held == key || held == EMPTY) {
            atomicAdd(&table.words[(sets & 2u ? table.mask + 1 : 0u) + slot], sets & 4u ? 65536u : 1u);
            return true;
        }
        slot = (slot + 32u * (u32)(probe + 1) + (u32)(probe >> 2)) & table.mask;
    }
    return false;
}

__device__ __forceinline__ u32 pairs_in(int set, u32 word0, u32 word1) {
    if (set == 0) return (word0 & 65535u) + (word0 >> 16) + (word1 & 65535u) + (word1 >> 16);
    return set == 1 ? (word1 & 65535u) + (word1 >> 16) : (word0 >> 16) + (word1 >> 16);
}

// State of a set from a marginal; one warp each. `count_at` reads it.
template <class Count>
__device__ __forceinline__ void sum_levels(int range, const u64* __restrict__ terms, u64* state, Count count_at) {
    const int lane = threadIdx.x & 31;
    u64 levels = 0, squares = 0, entropy = 0;
    for (int level = lane; level < range; level += 32) {
        const u64 count = count_at(level);
        levels += count * level;
        squares += count * level * level;
        entropy += entropy_term((u32)count, terms);
    }
    levels = warp_sum(levels);
    squares = warp_sum(squares);
    entropy = warp_sum(entropy);
    if (lane) return;
    state[1] = levels;
    state[2] = squares;
    state[7] = entropy;
}

template <class Count>
__device__ __forceinline__ void sum_sums(int range, const u64* __restrict__ terms, u64* state, Count count_at) {
    u64 entropy = 0;
    for (int sum = threadIdx.x & 31; sum < 2 * range - 1; sum += 32) entropy += entropy_term(count_at(sum), terms);
    entropy = warp_sum(entropy);
    if ((threadIdx.x & 31) == 0) state[8] = entropy;
}

template <class Count>
__device__ __forceinline__ void sum_differences(int range, const u64* __restrict__ terms,
                                                const u64* __restrict__ nearness, u64* state, Count count_at) {
    const int lane = threadIdx.x & 31;
    u64 pairs = 0, contrast = 0, near = 0, entropy = 0, squares = 0;
    for (int difference = lane; difference < range; difference += 32) {
        const u64 count = count_at(difference);
        pairs += count;
        contrast += count * difference * difference;
        near += count * nearness[difference];
        entropy += entropy_term((u32)count, terms);
        squares += count * count;
    }
    pairs = warp_sum(pairs);
    contrast = warp_sum(contrast);
    near = warp_sum(near);
    entropy = warp_sum(entropy);
    squares = warp_sum(squares);
    if (lane) return;
    state[0] = pairs;
    state[3] = contrast;
    state[4] = near;
    state[9] = entropy;
    state[10] = squares;
    state[11] = count_at(0);
}

// Blocks take items from a list until none is left; an item whose entries find no room goes to `spilled`. Objects have
// at most 65,535 pixels. Shared memory: 3 words a slot, and MARGINALS words: pairs per lower level, per upper level,
// per difference (256 of word 0, 256 of word 1 each), per sum (512 and 512).
extern "C" __global__ void __launch_bounds__(256, 2)
texture_pairs(const u32* __restrict__ items, const u32* __restrict__ count, u32* taken, const int bits, u32* spilled,
              u32* spilled_count, const u16* __restrict__ codes, const int* __restrict__ levels,
              const int* __restrict__ boxes, const i64* __restrict__ crop_first, const int object, const int channels,
              const int steps, const int gap, const int is_whole, const int sets, const int outer,
              const int* __restrict__ scales, const u64* __restrict__ terms, const u64* __restrict__ nearness,
              u64* states) {
    DYNAMIC_SHARED(u32, shared);
    __shared__ u32 current;
    __shared__ int is_full;
    __shared__ u64 entries[6];
    const Table table = table_in(shared, bits);
    u32* lower_levels = shared + (3u << bits);
    u32 *upper_levels = lower_levels + 512, *differences = lower_levels + 1024, *sums = lower_levels + 1536;
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    clear(table);
    for (int i = threadIdx.x; i < MARGINALS; i += blockDim.x) lower_levels[i] = 0;
    for (;;) {
        if (threadIdx.x == 0) {
            current = atomicAdd(taken, 1u);
            is_full = 0;
        }
        if (threadIdx.x < 6) entries[threadIdx.x] = 0;
        __syncthreads();
        if (current >= *count) return;
        const u32 item = items[current];
        const Matrix matrix = matrix_of(item, channels, steps, boxes, crop_first, object, gap, is_whole, sets, outer,
                                        scales, levels, codes);
        for (int place = threadIdx.x; place < matrix.places; place += blockDim.x) {
            u32 key = 0;
            const u32 both = pair_at(matrix, place, key);
            if (both && !count_pair(table, key, both, PROBES)) is_full = 1;
            if (((volatile int*)&is_full)[0]) break;
        }
        __syncthreads();
        const bool is_lost = is_full;
        u64 terms_of[3] = {0, 0, 0}, squares_of[3] = {0, 0, 0};
        for (u32 slot = threadIdx.x; slot <= table.mask; slot += blockDim.x) {
            const u32 key = table.keys[slot];
            u32 word0 = table.words[slot], word1 = table.words[table.mask + 1 + slot];
            table.keys[slot] = EMPTY;
            table.words[slot] = 0;
            table.words[table.mask + 1 + slot] = 0;
            const bool is_held = key != EMPTY && !is_lost;
            if (!__any_sync(ALL_LANES, is_held)) continue;
            const u32 difference = is_held ? key >> matrix.shift : 0u, lower = key & ((1u << matrix.shift) - 1u);
            if (!is_held) word0 = word1 = 0;
            const u32 common = warp_max(difference);
            const bool is_common = __all_sync(ALL_LANES, !is_held || difference == common);
            if (is_common) {  // neighbours in the table mostly have one difference: one lane adds for all
                const u32 all0 = warp_sum(word0), all1 = warp_sum(word1);
                if (lane == 0 && all0) atomicAdd(&differences[common], all0);
                if (lane == 0 && all1) atomicAdd(&differences[256 + common], all1);
            }
            if (!is_held) continue;
            for (int word = 0; word < 2; ++word) {
                const u32 added = word ? word1 : word0;
                if (!added) continue;
                if (!is_common) atomicAdd(&differences[256 * word + difference], added);
                atomicAdd(&lower_levels[256 * word + lower], added);
                atomicAdd(&upper_levels[256 * word + lower + difference], added);
                atomicAdd(&sums[512 * word + 2 * lower + difference], added);
            }
            for (int set = 0; set < 3; ++set) {
                const u64 pairs = pairs_in(set, word0, word1);
                terms_of[set] += terms[pairs];
                squares_of[set] += pairs * pairs << (difference ? 0 : 1);
            }
        }
        for (int set = 0; set < 3; ++set) {
            const u64 all_terms = warp_sum(terms_of[set]), all_squares = warp_sum(squares_of[set]);
            if (lane) continue;
            atomicAdd(&entries[set], all_terms);
            atomicAdd(&entries[3 + set], all_squares);
        }
        __syncthreads();
        u64* state = states + (i64)item * sets * STATE;
        if (is_lost) {
            if (threadIdx.x == 0) spilled[atomicAdd(spilled_count, 1u)] = item;
        } else {
            for (int task = warp; task < 3 * sets; task += warps) {
                const int set = task / 3, kind = task % 3;
                u64* of_set = state + set * STATE;
                if (kind == 0)
                    sum_levels(matrix.range, terms, of_set, [=](int i) {
                        return pairs_in(set, lower_levels[i], lower_levels[256 + i]) +
                               pairs_in(set, upper_levels[i], upper_levels[256 + i]);
                    });
                else if (kind == 1)
                    sum_sums(matrix.range, terms, of_set,
                             [=](int i) { return pairs_in(set, sums[i], sums[512 + i]); });
                else
                    sum_differences(matrix.range, terms, nearness, of_set,
                                    [=](int i) { return pairs_in(set, differences[i], differences[256 + i]); });
            }
            if (threadIdx.x < sets) {
                state[threadIdx.x * STATE + 6] = entries[threadIdx.x];
                state[threadIdx.x * STATE + 5] = entries[3 + threadIdx.x];
            }
        }
        __syncthreads();
        for (int i = threadIdx.x; i < MARGINALS; i += blockDim.x) lower_levels[i] = 0;
    }
}

// Items of any size, some at a time: each has `sets` tables of 65,536 counts in global memory, 0 before and after.
// blockIdx.x deals out tiles of places, at most 65,535 each; a small table takes most pairs of a tile.
extern "C" __global__ void __launch_bounds__(256)
texture_huge_pairs(const u32* __restrict__ items, const int bits, const int tile, const u16* __restrict__ codes,
                   const int* __restrict__ levels, const int* __restrict__ boxes, const i64* __restrict__ crop_first,
                   const int object, const int channels, const int steps, const int gap, const int is_whole,
                   const int sets, const int outer, const int* __restrict__ scales, u32* counts) {
    DYNAMIC_SHARED(u32, shared);
    const Table table = table_in(shared, bits);
    const Matrix matrix = matrix_of(items[blockIdx.y], channels, steps, boxes, crop_first, object, gap, is_whole, sets,
                                    outer, scales, levels, codes);
    u32* whole = counts + (i64)blockIdx.y * sets * 65536;
    for (i64 begin = (i64)blockIdx.x * tile; begin < matrix.places; begin += (i64)gridDim.x * tile) {
        const int end = (int)(begin + tile < matrix.places ? begin + tile : matrix.places);
        clear(table);
        __syncthreads();
        for (int place = (int)begin + threadIdx.x; place < end; place += blockDim.x) {
            u32 key = 0;
            const u32 both = pair_at(matrix, place, key);
            if (!both || count_pair(table, key, both, TILE_PROBES)) continue;
            for (int set = 0; set < sets; ++set)
                if (both >> set & 1u) atomicAdd(&whole[65536 * set + key], 1u);
        }
        __syncthreads();
        for (u32 slot = threadIdx.x; slot <= table.mask; slot += blockDim.x) {
            if (table.keys[slot] == EMPTY) continue;
            for (int set = 0; set < sets; ++set) {
                const u32 pairs = pairs_in(set, table.words[slot], table.words[table.mask + 1 + slot]);
                if (pairs) atomicAdd(&whole[65536 * set + table.keys[slot]], pairs);
            }
        }
        __syncthreads();
    }
}

// State of an item and set from its counts, which are cleared. blockIdx: item, set.
extern "C" __global__ void __launch_bounds__(512)
texture_huge_sums(const u32* __restrict__ items, const int* __restrict__ levels, const int steps, const int is_whole,
                  const int sets, const int outer, const u64* __restrict__ terms, const u64* __restrict__ nearness,
                  u32* counts, u64* states) {
    __shared__ u32 of_levels[256], differences[256], sums[512];
    __shared__ u64 scratch[32];
    const u32 item = items[blockIdx.x];
    const int* found = levels + (i64)(item / steps) * (1 + sets);
    const int range = found[1 + outer] - found[0] + (is_whole ? 1 : 2);
    if (range <= 0) return;
    int shift = 1;
    while ((1 << shift) < range) ++shift;
    if (threadIdx.x < 256) of_levels[threadIdx.x] = differences[threadIdx.x] = 0;
    sums[threadIdx.x] = 0;
    __syncthreads();
    u32* whole = counts + ((i64)blockIdx.x * sets + blockIdx.y) * 65536;
    u64 entropy = 0, squares = 0;
    for (u32 key = threadIdx.x; key < (u32)range << shift; key += blockDim.x) {
        const u32 pairs = whole[key];
        if (!pairs) continue;
        whole[key] = 0;
        const u32 difference = key >> shift, lower = key & ((1u << shift) - 1u);
        atomicAdd(&differences[difference], pairs);
        atomicAdd(&of_levels[lower], pairs);
        atomicAdd(&of_levels[lower + difference], pairs);
        atomicAdd(&sums[2 * lower + difference], pairs);
        entropy += entropy_term(pairs, terms);
        squares += (u64)pairs * pairs << (difference ? 0 : 1);
    }
    entropy = block_sum(entropy, scratch);  // its barriers also make the marginals whole
    squares = block_sum(squares, scratch);
    u64* state = states + ((i64)item * sets + blockIdx.y) * STATE;
    const int warp = threadIdx.x >> 5;
    if (warp == 0)
        sum_levels(range, terms, state, [&](int i) { return of_levels[i]; });
    else if (warp == 1)
        sum_sums(range, terms, state, [&](int i) { return sums[i]; });
    else if (warp == 2)
        sum_differences(range, terms, nearness, state, [&](int i) { return differences[i]; });
    else if (threadIdx.x == 96) {
        state[5] = squares;
        state[6] = entropy;
    }
}
