// Exact squared distances to the nearest pixel of another label (kernels/label_distances.py). blockIdx.z is the set, a
// block has 32 x 8 pixels of its plane.

#define NO_OTHER 65535

// Distance along its column, NO_OTHER where all of that has the pixel's label; 0 outside objects.
extern "C" __global__ void __launch_bounds__(256)
label_columns(const int* __restrict__ labels, const int height, const int width, const int frame_counts, u16* nearest) {
    const int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 8 + threadIdx.y;
    if (x >= width || y >= height) return;
    const i64 place = ((i64)blockIdx.z * height + y) * width + x;
    const int label = labels[place];
    int distance = label ? NO_OTHER : 0;
    bool goes_up = label != 0, goes_down = label != 0;
    for (int step = 1; goes_up || goes_down; ++step) {
        if (goes_up) {
            const bool is_outside = y < step;
            if (is_outside ? frame_counts : labels[place - (i64)step * width] != label) {
                distance = step;
                break;
            }
            goes_up = !is_outside;
        }
        if (goes_down) {
            const bool is_outside = y + step >= height;
            if (is_outside ? frame_counts : labels[place + (i64)step * width] != label) {
                distance = step;
                break;
            }
            goes_down = !is_outside;
        }
    }
    nearest[place] = (u16)distance;
}

// Goes from a pixel along its row until another label or a step as long as the distance that is known.
struct RowSearch {
    const int* row;
    const u16* nearest;
    int label, width, frame_counts;

    __device__ __forceinline__ bool step(int x, u32 square, u32& least) const {
        const bool is_outside = x < 0 || x >= width;
        if (is_outside ? frame_counts : row[x] != label) {
            least = square;  // it was greater, or the search had ended
            return false;
        }
        if (is_outside) return false;
        const u32 column = nearest[x];
        if (column != NO_OTHER) least = min(least, column * column + square);
        return true;
    }
};

// Squared distance of each pixel, from the distances along columns.
extern "C" __global__ void __launch_bounds__(256)
label_rows(const int* __restrict__ labels, const u16* __restrict__ nearest, const int height, const int width,
           const int frame_counts, int* squares) {
    const int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 8 + threadIdx.y;
    if (x >= width || y >= height) return;
    const i64 first = ((i64)blockIdx.z * height + y) * width;
    const RowSearch search{labels + first, nearest + first, labels[first + x], width, frame_counts};
    const u32 own = search.nearest[x];
    u32 least = own == NO_OTHER ? ALL_LANES : own * own;
    bool goes_left = own != 0, goes_right = own != 0;
    for (u32 step = 1; step * step < least && (goes_left || goes_right); ++step) {
        if (goes_left) goes_left = search.step(x - (int)step, step * step, least);
        if (goes_right && step * step < least) goes_right = search.step(x + (int)step, step * step, least);
    }
    if (least == ALL_LANES) least = (u32)(y + 1) * (u32)(y + 1) + (u32)x * (u32)x;
    squares[first + x] = (int)least;
}
