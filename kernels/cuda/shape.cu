// AreaShape of the objects of one to three sets: sums that kernels/shape_sums.py takes on the host. blockIdx.x is the
// object, blockIdx.y the set. `member` has a byte per pixel of each object's box from first[object] on, bit z for set z.
// Whole numbers do not depend on the order of threads; moments are added in the host's order.

const int ORDER = 9, MOMENTS = 55, PATTERNS = 4, BINS = 2048, DIGITS = 11;

// Bit x + 1 of a row of words is pixel x; rows -1 and `height` are empty.
__device__ __forceinline__ u32 lefts(const u32* row, int word) {
    return (row[word] << 1) | (word > 0 ? row[word - 1] >> 31 : 0u);
}

__device__ __forceinline__ u32 rights(const u32* row, int word, int words) {
    return (row[word] >> 1) | (word + 1 < words ? row[word + 1] << 31 : 0u);
}

// Digits of the sum of four bits in each place.
__device__ __forceinline__ void add_four(u32 a, u32 b, u32 c, u32 d, u32* ones, u32* twos, u32* fours) {
    const u32 ab = a ^ b, cd = c ^ d, carry_ab = a & b, carry_cd = c & d;
    *ones = ab ^ cd;
    *twos = carry_ab ^ carry_cd ^ (ab & cd);
    *fours = carry_ab & carry_cd;
}

// Draw an object's pixels as bits, and find the ends of its rows and its own box. A warp takes a row.
__device__ __forceinline__ void draw_rows(const u8* pixels, int set, int height, int width, int words, u32* bits,
                                          int* left, int* right, int* box) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    for (int line = warp; line < height + 2; line += warps) {
        const int row = line - 1;
        int begin = 1 << 30, last = -1;
        for (int word = 0; word < words; ++word) {
            const int column = 32 * word + lane - 1;
            const bool is_framed = row >= 0 && row < height && column >= 0 && column < width;
            const bool is_inside = is_framed && (pixels[(i64)row * width + column] >> set & 1);
            const u32 drawn = __ballot_sync(ALL_LANES, is_inside);
            if (lane == 0) bits[(i64)line * words + word] = drawn;
            if (!drawn) continue;
            if (last < 0) begin = 32 * word + __ffs(drawn) - 2;
            last = 32 * word + 30 - __clz(drawn);
        }
        if (lane || row < 0 || row >= height) continue;
        left[row] = begin;
        right[row] = last;
        if (last < 0) continue;
        atomicMin(&box[0], row);
        atomicMin(&box[1], begin);
        atomicMax(&box[2], row + 1);
        atomicMax(&box[3], last + 1);
    }
}

// Keep the pixels that have a straight neighbour outside, and count 2 x 2 squares for the Euler number.
__device__ __forceinline__ void find_edge(const u32* bits, int height, int words, u32* edge, int* euler) {
    int total = 0;
    for (i64 i = threadIdx.x; i < (i64)(height + 2) * words; i += blockDim.x) {
        const int line = (int)(i / words), word = (int)(i % words);
        const u32* row = bits + (i64)line * words;
        const u32 here = row[word], right = rights(row, word, words);
        u32 rim = 0;
        if (line > 0 && line <= height)
            rim = here & ~(row[word - words] & row[word + words] & lefts(row, word) & right);
        edge[i] = rim;
        if (line > height) continue;
        const u32* below = row + words;
        const u32 under = below[word], under_right = rights(below, word, words);
        const u32 odd = here ^ right ^ under ^ under_right;
        const u32 three = odd & ((here & right) | (under & under_right));
        const u32 diagonal = (here & under_right & ~right & ~under) | (right & under & ~here & ~under_right);
        total += __popc(odd & ~three) - __popc(three) - 2 * __popc(diagonal);
    }
    if (total) atomicAdd(euler, total);
}

// Count pixels of the edge by the length that they stand for: 1, sqrt(2), (1 + sqrt(2)) / 2.
__device__ __forceinline__ void count_outline(const u32* edge, int height, int words, int* counts) {
    int unit = 0, slant = 0, mixed = 0;
    for (i64 i = words + threadIdx.x; i < (i64)(height + 1) * words; i += blockDim.x) {
        const u32 here = edge[i];
        if (!here) continue;
        const int word = (int)(i % words);
        const u32 *row = edge + (i - word), *above = row - words, *below = row + words;
        u32 one, two, four, one_off, two_off, four_off;
        add_four(above[word], below[word], lefts(row, word), rights(row, word, words), &one, &two, &four);
        add_four(lefts(above, word), rights(above, word, words), lefts(below, word), rights(below, word, words), &one_off,
                 &two_off, &four_off);
        const u32 few = ~(two | four), just_two = two_off & ~one_off, three = two_off & one_off;
        unit += __popc(here & two & ~four_off & ~three);
        slant += __popc(here & few & ((~one & just_two) | (one & three)));
        mixed += __popc(here & few & one & ~four_off & (one_off ^ two_off));
    }
    if (unit) atomicAdd(&counts[0], unit);
    if (slant) atomicAdd(&counts[1], slant);
    if (mixed) atomicAdd(&counts[2], mixed);
}

// Go on to a point of the hull, without the corners behind `base` that are none by then.
__device__ __forceinline__ int append_corner(int2* hull, int base, int count, int y, int x) {
    while (count >= base + 2) {
        const int2 last = hull[count - 1], before = hull[count - 2];
        const i64 to_y = last.y - before.y, to_x = last.x - before.x, on_y = y - last.y, on_x = x - last.x;
        if (to_y * on_x - to_x * on_y < 0) break;
        --count;
    }
    hull[count] = make_int2(x, y);
    return count + 1;
}

// Corners of the convex hull of rows top to bottom - 1, from below over the left to the top and back over the right.
__device__ __forceinline__ int find_hull(const int* left, const int* right, int top, int bottom, int2* hull) {
    int count = 0;
    for (int row = bottom - 1; row >= top; --row)
        if (left[row] <= right[row]) count = append_corner(hull, 0, count, row, left[row]);
    if (bottom - top == 1) return right[top] > left[top] ? append_corner(hull, 0, count, top, right[top]) : count;
    const int base = count - 1;
    for (int row = top; row < bottom; ++row)
        if (left[row] <= right[row] && (row > top || right[row] > left[row]))
            count = append_corner(hull, base, count, row, right[row]);
    const int2 begin = hull[0], end = hull[count - 1];
    if (begin.x != end.x || begin.y != end.y) count = append_corner(hull, base, count, begin.y, begin.x);
    return count - 1;
}

__device__ __forceinline__ int leftmost_corner(const int2* hull, int count) {
    int found = 0;
    for (int corner = 1; corner < count; ++corner)
        if (hull[corner].x < hull[found].x || (hull[corner].x == hull[found].x && hull[corner].y < hull[found].y))
            found = corner;
    return found;
}

// Sums of powers of x along each row, run after run; `powers` is of kernels/object_moments.py. A warp takes a row.
__device__ __forceinline__ void sum_rows(const u32* bits, int words, const int* box, const double* powers, int reach,
                                         double* of_rows) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    if (lane > ORDER) return;
    const int middle = (box[1] + box[3] - 1) >> 1;
    const double* from_middle = powers + (i64)(reach - middle) * (ORDER + 1) + lane;
    for (int row = box[0] + warp; row < box[2]; row += warps) {
        const u32* drawn = bits + (i64)(row + 1) * words;
        double sum = 0;
        int begin = -1;
        for (int word = 0; word < words; ++word) {
            u32 changes = drawn[word] ^ lefts(drawn, word);
            while (changes) {
                const int column = 32 * word + __ffs(changes) - 2;
                changes &= changes - 1;
                if (begin < 0) {
                    begin = column;
                } else {
                    sum += from_middle[(i64)column * (ORDER + 1)] - from_middle[(i64)begin * (ORDER + 1)];
                    begin = -1;
                }
            }
        }
        of_rows[(i64)row * (ORDER + 1) + lane] = sum;
    }
}

// One moment a thread, row after row.
__device__ __forceinline__ void sum_moments(const double* of_rows, const int* box, double* moments) {
    if (threadIdx.x >= MOMENTS) return;
    int p = 0, q = threadIdx.x;
    while (q > ORDER - p) {
        q -= ORDER + 1 - p;
        ++p;
    }
    const int middle = (box[0] + box[2] - 1) >> 1;
    double moment = 0;
    for (int row = box[0]; row < box[2]; ++row) {
        const double y = row - middle;
        double power = 1;
        for (int i = 0; i < p; ++i) power *= y;
        moment += power * of_rows[(i64)row * (ORDER + 1) + q];
    }
    moments[threadIdx.x] = moment;
}

// Box, outline, hull and moments. Scratch of each set: `ends` two numbers a row of the boxes, `of_rows` ORDER + 1 a row,
// `drawn` twice the words of the boxes, `hulls` and the two parts of `corners` 2 * height + 1 an object; `starts` has
// the first row and the first word of each object. `states`: own box, patterns, number of corners.
extern "C" __global__ void __launch_bounds__(256, 1)
shape_outline(const u8* __restrict__ member, const i64* __restrict__ first, const int* __restrict__ boxes, int count,
              const i64* __restrict__ starts, i64 all_rows, i64 all_words, const u32* __restrict__ area,
              const double* __restrict__ powers, int reach, int* ends, double* of_rows, u32* drawn, int2* hulls,
              int* states, double* moments, int* corners) {
    __shared__ int box[4], patterns[PATTERNS], corner_count, corner_first;
    const int object = blockIdx.x, set = blockIdx.y;
    const i64 place = (i64)set * count + object;
    if (area[place] == 0) return;
    const int* outer = boxes + 4 * (i64)object;
    const int height = outer[2] - outer[0], width = outer[3] - outer[1], words = (width + 33) >> 5;
    const i64 row_first = set * all_rows + starts[object], word_first = 2 * (set * all_words + starts[count + object]);
    int *left = ends + 2 * row_first, *right = left + height;
    u32 *bits = drawn + word_first, *edge = bits + (i64)(height + 2) * words;
    const i64 corner_place = 2 * row_first + place, all_corners = gridDim.y * (2 * all_rows + count);
    int2* hull = hulls + corner_place;
    if (threadIdx.x == 0) {
        box[0] = box[1] = 1 << 30;
        box[2] = box[3] = 0;
        for (int i = 0; i < PATTERNS; ++i) patterns[i] = 0;
    }
    __syncthreads();
    draw_rows(member + first[object], set, height, width, words, bits, left, right, box);
    __syncthreads();
    if (threadIdx.x == 0) {
        corner_count = find_hull(left, right, box[0], box[2], hull);
        corner_first = leftmost_corner(hull, corner_count);
    }
    find_edge(bits, height, words, edge, &patterns[3]);
    sum_rows(bits, words, box, powers, reach, of_rows + row_first * (ORDER + 1));
    __syncthreads();
    count_outline(edge, height, words, patterns);
    sum_moments(of_rows + row_first * (ORDER + 1), box, moments + place * MOMENTS);
    for (int i = threadIdx.x; i < corner_count; i += blockDim.x) {
        const int2 corner = hull[(corner_first + i) % corner_count];
        corners[corner_place + i] = corner.y + outer[0];
        corners[all_corners + corner_place + i] = corner.x + outer[1];
    }
    __syncthreads();
    int* state = states + place * 9;
    if (threadIdx.x < 4) {
        state[threadIdx.x] = box[threadIdx.x] + outer[threadIdx.x & 1];
        state[4 + threadIdx.x] = threadIdx.x < 3 ? patterns[threadIdx.x] : patterns[3] / 4;
    }
    if (threadIdx.x == 4) state[8] = corner_count;
}

// Distance of each pixel of an object to the outside along its column, at most `most`. A thread takes a column.
__device__ __forceinline__ void measure_depths(const u8* pixels, int set, int height, int width, int most, u16* depth) {
    for (int column = threadIdx.x; column < width; column += blockDim.x) {
        int deep = 0;
        for (int row = 0; row < height; ++row) {
            const i64 i = (i64)row * width + column;
            deep = pixels[i] >> set & 1 ? min(deep + 1, most) : 0;
            depth[i] = (u16)deep;
        }
        deep = 0;
        for (int row = height - 1; row >= 0; --row) {
            const i64 i = (i64)row * width + column;
            deep = min(deep + 1, (int)depth[i]);
            depth[i] = (u16)deep;
        }
    }
}

__device__ __forceinline__ u32 nearest_square(const u16* row, int column, int width) {
    u32 nearest = (u32)row[column] * row[column];
    for (int step = 1; (u32)(step * step) < nearest; ++step) {
        const u32 left = column >= step ? row[column - step] : 0, right = column + step < width ? row[column + step] : 0;
        const u32 depth = left < right ? left : right;
        nearest = min(nearest, depth * depth + (u32)(step * step));
    }
    return nearest;
}

// The square of that rank, from 0, among those of the object (others are 0): by DIGITS bits at a time from the top.
__device__ __forceinline__ u32 select_square(const u32* squares, i64 pixels, u32 greatest, u32 rank, u32* bins,
                                             u32* scratch, u32* found) {
    u32 prefix = 0;
    int bits = 32 - __clz(greatest), below = bits > DIGITS ? bits - DIGITS : 0, digits = bits - below;
    while (true) {
        for (int i = threadIdx.x; i < BINS; i += blockDim.x) bins[i] = 0;
        __syncthreads();
        for (i64 i = threadIdx.x; i < pixels; i += blockDim.x) {
            const u32 square = squares[i];
            const bool is_counted = square && (square >> below >> digits) == prefix;
            if (is_counted) atomicAdd(&bins[square >> below & ((1u << digits) - 1)], 1u);
        }
        __syncthreads();
        const int each = BINS / blockDim.x, begin = threadIdx.x * each;
        u32 own = 0;
        for (int i = 0; i < each; ++i) own += bins[begin + i];
        u32 before = block_sum_before(own, scratch);
        if (before <= rank && rank < before + own) {
            int bin = begin;
            while (before + bins[bin] <= rank) before += bins[bin++];
            found[0] = prefix << digits | (u32)bin;
            found[1] = before;
        }
        __syncthreads();
        prefix = found[0];
        rank -= found[1];
        if (below == 0) return prefix;
        digits = below < DIGITS ? below : DIGITS;
        below -= digits;
    }
}

// Distances to the outside: greatest square, lower and upper middle one, sums of whole parts and fractions of roots.
// `depth` and `squares` are scratch for a number per byte of `member` and set.
extern "C" __global__ void __launch_bounds__(256, 1)
shape_radii(const u8* __restrict__ member, const i64* __restrict__ first, const int* __restrict__ boxes, int count,
            const u32* __restrict__ area, u16* depth, u32* squares, u64* radii) {
    __shared__ u32 bins[BINS], scratch[32], found[2], greatest;
    __shared__ u64 sums[32];
    const int object = blockIdx.x, set = blockIdx.y;
    const i64 place = (i64)set * count + object;
    const u32 inside = area[place];
    if (inside == 0) return;
    const int* box = boxes + 4 * (i64)object;
    const int height = box[2] - box[0], width = box[3] - box[1], most = (min(height, width) + 1) / 2;
    const i64 pixels = (i64)height * width, begin = set * first[count] + first[object];
    u16* deep = depth + begin;
    u32* square = squares + begin;
    if (threadIdx.x == 0) greatest = 0;
    measure_depths(member + first[object], set, height, width, most, deep);
    __syncthreads();
    u32 most_here = 0;
    u64 whole = 0, fraction = 0;
    for (i64 i = threadIdx.x; i < pixels; i += blockDim.x) {
        const int column = (int)(i % width);
        const u32 nearest = nearest_square(deep + (i - column), column, width);
        square[i] = nearest;
        most_here = max(most_here, nearest);
        const double root = sqrt((double)nearest);
        const u64 part = (u64)root;
        whole += part;
        fraction += (u64)((root - (double)part) * 4294967296.0);
    }
    most_here = warp_max(most_here);
    if ((threadIdx.x & 31) == 0) atomicMax(&greatest, most_here);
    whole = block_sum(whole, sums);  // its barriers also make `greatest` and the squares whole
    fraction = block_sum(fraction, sums);
    const u32 lower = select_square(square, pixels, greatest, (inside - 1) / 2, bins, scratch, found);
    const u32 upper =
        inside % 2 ? lower : select_square(square, pixels, greatest, inside / 2, bins, scratch, found);
    if (threadIdx.x == 0) {
        u64* out = radii + place * 5;
        out[0] = greatest;
        out[1] = lower;
        out[2] = upper;
        out[3] = whole;
        out[4] = fraction;
    }
}
