// Image quality of n planes (all channels of all sites of a batch), uint16, one after the other in memory. Sums are of
// whole numbers; variances are added in the order of kernels/quality_scan.py, so both devices give the same bits.

// Histogram of each plane, 65,536 counts; values below `window` are counted in shared memory first (window * 4 bytes).
extern "C" __global__ void __launch_bounds__(512)
quality_histogram(const u16* __restrict__ planes, const i64 pixels, const int window, u32* histogram) {
    DYNAMIC_SHARED(u32, counts);
    const u16* plane = planes + (i64)blockIdx.y * pixels;
    u32* whole = histogram + (i64)blockIdx.y * 65536;
    for (int i = threadIdx.x; i < window; i += blockDim.x) counts[i] = 0;
    __syncthreads();
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < pixels; i += (i64)gridDim.x * blockDim.x) {
        const int value = plane[i];
        atomicAdd(value < window ? &counts[value] : &whole[value], 1u);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < window; i += blockDim.x)
        if (counts[i]) atomicAdd(&whole[i], counts[i]);
}

// Per plane, from its histogram: breaks of the 8 grey levels, and the mean. One block of 1,024 threads a plane.
extern "C" __global__ void __launch_bounds__(1024)
quality_levels(const u32* __restrict__ histogram, const i64 pixels, const float* __restrict__ scales,
               u32* breaks, double* mean) {
    __shared__ u64 sums[32];
    __shared__ u32 low, high;
    const u32* counts = histogram + (i64)blockIdx.x * 65536;
    if (threadIdx.x == 0) {
        low = 65535;
        high = 0;
    }
    __syncthreads();
    u64 total = 0;
    u32 least = 65535, most = 0;
    for (u32 value = threadIdx.x; value < 65536; value += 1024) {
        const u32 count = counts[value];
        total += (u64)count * value;
        if (count) {
            least = value < least ? value : least;
            most = value;
        }
    }
    least = warp_min(least);
    most = warp_max(most);
    if ((threadIdx.x & 31) == 0) {
        atomicMin(&low, least);
        atomicMax(&high, most);
    }
    total = block_sum(total, sums);  // its barriers also make low and high whole
    if (threadIdx.x == 0) mean[blockIdx.x] = (double)total / (double)pixels;
    if (threadIdx.x >= 7) return;
    const int step = threadIdx.x + 1;
    u32 found = 65536;
    if (high > low) {
        const int near = (int)low + (int)((high - low) * step / 8);
        const float scale = scales[blockIdx.x], darkest = (float)low / scale, range = (float)high / scale - darkest;
        bool is_reached = false;
        for (int offset = -4; offset < 6; ++offset) {
            const int count = min(max(near + offset, 0), 65535);
            const float stretched = ((float)count / scale - darkest) / range;
            if (offset == -4) found = count;
            if (!is_reached && floorf(stretched * 8.0f) >= (float)step) {
                is_reached = true;
                found = count;
            }
        }
    }
    breaks[blockIdx.x * 7 + threadIdx.x] = found;
}

// Local focus of each window of the four grids, one warp a window: n * sum of squared distances to the mean / (n * sum)
// in whole numbers; NaN for a black window. grid_first: first window of each grid, and the number of all. rows_first,
// places_first: where each grid's edges begin in `rows` and `places`.
extern "C" __global__ void __launch_bounds__(256)
quality_windows(const u16* __restrict__ planes, const i64 pixels, const int width, const int grids,
                const int* __restrict__ grid_first, const int* __restrict__ rows_first,
                const int* __restrict__ places_first, const int* __restrict__ rows, const int* __restrict__ places,
                double* focus) {
    const int lane = threadIdx.x & 31, windows = grid_first[grids];
    const int window = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (window >= windows) return;
    int grid = 0;
    while (window >= grid_first[grid + 1]) ++grid;
    const int across = places_first[grid + 1] - places_first[grid] - 1, index = window - grid_first[grid];
    const int* top = rows + rows_first[grid] + index / across;
    const int* left = places + places_first[grid] + index % across;
    const int wide = left[1] - left[0], count = wide * (top[1] - top[0]);
    const u16* corner = planes + (i64)blockIdx.y * pixels + (i64)top[0] * width + left[0];
    u64 total = 0, squares = 0;
    for (int i = lane; i < count; i += 32) {
        const u32 value = corner[(i64)(i / wide) * width + i % wide];
        total += value;
        squares += (u64)value * value;
    }
    total = warp_sum(total);
    squares = warp_sum(squares);
    if (lane) return;
    const u64 scatter = (u64)count * squares - total * total;
    focus[(i64)blockIdx.y * windows + window] =
        total ? (double)scatter / (double)((u64)count * total) : __longlong_as_double(0x7ff8000000000000ll);
}

__device__ __forceinline__ double add_lanes(double* lanes) {
    for (int step = 512; step > 0; step >>= 1) {
        __syncthreads();
        if (threadIdx.x < step) lanes[threadIdx.x] += lanes[threadIdx.x + step];
    }
    __syncthreads();
    const double sum = lanes[0];
    __syncthreads();
    return sum;
}

// Variance and median of the windows of a grid: one block of 1,024 threads per grid and plane. Thread t adds values t,
// t + 1024, ... The median is found by its bits, eight at a time, as values are not negative.
extern "C" __global__ void __launch_bounds__(1024, 1)
quality_focus(const double* __restrict__ focus, const int grids, const int* __restrict__ grid_first, double* spread,
              double* middle) {
    __shared__ double lanes[1024];
    __shared__ u32 digits[256];
    __shared__ int scratch[32];
    __shared__ u64 prefix;
    __shared__ int rank;
    const int windows = grid_first[grids], first = grid_first[blockIdx.x], count = grid_first[blockIdx.x + 1] - first;
    const double* values = focus + (i64)blockIdx.y * windows + first;
    const int place = blockIdx.y * grids + blockIdx.x;
    double sum = 0;
    int known = 0;
    for (int i = threadIdx.x; i < count; i += 1024) {
        const double value = values[i];
        if (value == value) {
            sum += value;
            ++known;
        }
    }
    known = block_sum(known, scratch);
    if (known == 0) {
        if (threadIdx.x == 0) {
            spread[place] = __longlong_as_double(0x7ff8000000000000ll);
            middle[place] = 0;
        }
        return;
    }
    lanes[threadIdx.x] = sum;
    const double mean = add_lanes(lanes) / known;
    sum = 0;
    for (int i = threadIdx.x; i < count; i += 1024) {
        const double value = values[i];
        if (value == value) sum += (value - mean) * (value - mean);
    }
    lanes[threadIdx.x] = sum;
    const double variance = add_lanes(lanes) / known;
    double halves = 0;
    for (int half = 0; half < 2; ++half) {
        if (threadIdx.x == 0) {
            rank = half ? known / 2 : (known - 1) / 2;
            prefix = 0;
        }
        for (int shift = 56; shift >= 0; shift -= 8) {
            if (threadIdx.x < 256) digits[threadIdx.x] = 0;
            __syncthreads();
            for (int i = threadIdx.x; i < count; i += 1024) {
                const double value = values[i];
                const u64 bits = (u64)__double_as_longlong(value);
                const bool is_alike = shift == 56 || bits >> (shift + 8) == prefix >> (shift + 8);
                if (value == value && is_alike) atomicAdd(&digits[bits >> shift & 255], 1u);
            }
            __syncthreads();
            if (threadIdx.x == 0) {
                int left = rank, digit = 0;
                while (left >= (int)digits[digit]) left -= digits[digit++];
                rank = left;
                prefix |= (u64)digit << shift;
            }
            __syncthreads();
        }
        halves += __longlong_as_double((i64)prefix);
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        spread[place] = variance;
        middle[place] = halves / 2;
    }
}

// Sums of the plane in 8 grey levels and of its products with itself `offset` pixels to the right. sums[plane][22]:
// sum, sum of squares; then per offset: products, sum and squares of the first and of the last `offset` columns.
extern "C" __global__ void __launch_bounds__(256)
quality_products(const u16* __restrict__ planes, const i64 pixels, const int height, const int width,
                 const u32* __restrict__ breaks, const int* __restrict__ offsets, u64* sums) {
    DYNAMIC_SHARED(u8, row);
    __shared__ u64 held[22];
    const u16* plane = planes + (i64)blockIdx.y * pixels;
    u32 edge[7], part[22];
    for (int i = 0; i < 7; ++i) edge[i] = breaks[blockIdx.y * 7 + i];
    for (int i = 0; i < 22; ++i) part[i] = 0;
    if (threadIdx.x < 22) held[threadIdx.x] = 0;
    for (int y = blockIdx.x; y < height; y += gridDim.x) {
        __syncthreads();
        for (int x = threadIdx.x; x < width; x += blockDim.x) {
            const u32 value = plane[(i64)y * width + x];
            u32 level = 0;
            for (int i = 0; i < 7; ++i) level += value >= edge[i];
            row[x] = (u8)level;
        }
        __syncthreads();
        for (int x = threadIdx.x; x < width; x += blockDim.x) {
            const u32 level = row[x], square = level * level;
            part[0] += level;
            part[1] += square;
            for (int k = 0; k < 4; ++k) {
                const int offset = offsets[k];
                if (x + offset < width) part[2 + 5 * k] += level * row[x + offset];
                if (x < offset) {
                    part[3 + 5 * k] += level;
                    part[4 + 5 * k] += square;
                }
                if (x >= width - offset) {
                    part[5 + 5 * k] += level;
                    part[6 + 5 * k] += square;
                }
            }
        }
    }
    __syncthreads();
    for (int i = 0; i < 22; ++i) {
        const u32 sum = warp_sum(part[i]);
        if ((threadIdx.x & 31) == 0 && sum) atomicAdd(&held[i], (u64)sum);
    }
    __syncthreads();
    if (threadIdx.x < 22 && held[threadIdx.x]) atomicAdd(&sums[blockIdx.y * 22 + threadIdx.x], held[threadIdx.x]);
}

// Sum and sum of squares of each whole tile of 8 x 8 pixels. A warp takes 32 columns of a row of tiles.
extern "C" __global__ void __launch_bounds__(256)
quality_tiles(const u16* __restrict__ planes, const i64 pixels, const int width, const int down, const int across,
              u32* sums, u64* squares) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, tile = x >> 3, row = blockIdx.y;
    const u16* top = planes + (i64)blockIdx.z * pixels + (i64)row * 8 * width;
    u32 sum = 0;
    u64 square = 0;
    if (tile < across)
        for (int y = 0; y < 8; ++y) {
            const u32 value = top[(i64)y * width + x];
            sum += value;
            square += (u64)value * value;
        }
    for (int offset = 4; offset > 0; offset >>= 1) {
        sum += __shfl_xor_sync(ALL_LANES, sum, offset);
        square += __shfl_xor_sync(ALL_LANES, square, offset);
    }
    if (tile < across && (x & 7) == 0) {
        const i64 place = ((i64)blockIdx.z * down + row) * across + tile;
        sums[place] = sum;
        squares[place] = square;
    }
}

// The planes less their means, in single precision, for the Fourier transform.
extern "C" __global__ void __launch_bounds__(256)
quality_centre(const u16* __restrict__ planes, const i64 pixels, const double* __restrict__ mean, float* centred) {
    const float centre = (float)mean[blockIdx.y];
    const i64 start = (i64)blockIdx.y * pixels;
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < pixels; i += (i64)gridDim.x * blockDim.x)
        centred[start + i] = (float)planes[start + i] - centre;
}

// Power of each ring of the spectrum, one warp a ring; `members` lists the frequencies of a ring from first[ring] on.
extern "C" __global__ void __launch_bounds__(32)
quality_rings(const float* __restrict__ spectrum, const i64 frequencies, const int* __restrict__ first,
              const int* __restrict__ members, double* powers) {
    const float* of_plane = spectrum + 2 * frequencies * blockIdx.y;
    double power = 0;
    for (int i = first[blockIdx.x] + threadIdx.x; i < first[blockIdx.x + 1]; i += 32) {
        const double real = of_plane[2 * members[i]], imaginary = of_plane[2 * members[i] + 1];
        power += real * real + imaginary * imaginary;
    }
    power = warp_sum(power);
    if (threadIdx.x == 0) powers[blockIdx.y * gridDim.x + blockIdx.x] = power;
}
