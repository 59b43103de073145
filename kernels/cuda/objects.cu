// Objects of one to three label images over one plane (kernels/object_sets_gpu.py). Sets share their numbers; each
// object of a set is part of the outer set's object of the same number.

// A box is: first row, first column, row behind the last, column behind the last; before, (height, width, 0, 0).
// One thread per pixel, blocks along x, blockIdx.y is the row. Only the ends of runs touch memory.
extern "C" __global__ void object_boxes(const int* __restrict__ labels, int width, int* boxes) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x >= width) return;
    const int* row = labels + (i64)y * width;
    const int label = row[x];
    if (label == 0) return;
    int* box = boxes + 4 * (i64)(label - 1);
    if (x == 0 || row[x - 1] != label) {
        atomicMin(&box[0], y);
        atomicMin(&box[1], x);
        atomicMax(&box[2], y + 1);
    }
    if (x == width - 1 || row[x + 1] != label) atomicMax(&box[3], x + 1);
}

__device__ __forceinline__ bool on_edge(const int* __restrict__ labels, int height, int width, int y, int x, int label) {
    const i64 p = (i64)y * width + x;
    return (y > 0 && labels[p - width] != label) || (y + 1 < height && labels[p + width] != label) ||
           (x > 0 && labels[p - 1] != label) || (x + 1 < width && labels[p + 1] != label);
}

// One byte per pixel of each box: bit z says that the pixel is in set z, bit 3 + z that it is on that object's edge.
// blockIdx.x is the object, blockIdx.y deals out rows to warps. `first` is where an object's bytes begin.
extern "C" __global__ void object_members(const int* __restrict__ labels, int sets, int height, int width,
                                          const int* __restrict__ boxes, const i64* __restrict__ first, u8* member,
                                          u32* area, int count) {
    const int object = blockIdx.x, label = object + 1;
    const int* box = boxes + 4 * (i64)object;
    if (box[2] == 0) return;
    const int rows = box[2] - box[0], columns = box[3] - box[1];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    u32 pixels[3] = {0, 0, 0};
    for (int row = blockIdx.y * warps + warp; row < rows; row += gridDim.y * warps) {
        for (int column = lane; column < columns; column += 32) {
            const int y = box[0] + row, x = box[1] + column;
            u32 bits = 0;
            for (int z = 0; z < 3; z++) {
                if (z >= sets) break;
                const int* set = labels + (i64)z * height * width;
                if (set[(i64)y * width + x] != label) continue;
                bits |= (on_edge(set, height, width, y, x, label) ? 9u : 1u) << z;
                pixels[z]++;
            }
            member[first[object] + (i64)row * columns + column] = (u8)bits;
        }
    }
    for (int z = 0; z < 3; z++) {
        const u32 sum = warp_sum(pixels[z]);
        if (lane == 0 && z < sets && sum) atomicAdd(&area[(i64)z * count + object], sum);
    }
}
