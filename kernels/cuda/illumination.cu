// Planes times gains in fixed point, as kernels/illumination.py says it. One thread a pixel; 65535 * 65535 + 16384 still
// fits 32 bits. Bytes moved are the bound: 6 a pixel of 16 bits.

template <class T>
__device__ __forceinline__ void correct(const T* planes, const u16* gains, u16* out, u64 size, u32 scale) {
    const u64 i = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= size) return;
    const u32 value = (u32(planes[i]) * scale * gains[i] + 16384u) >> 15;
    out[i] = u16(value < 65535u ? value : 65535u);
}

extern "C" __global__ void correct_u8(const u8* planes, const u16* gains, u16* out, u64 size) {
    correct(planes, gains, out, size, 257u);
}

extern "C" __global__ void correct_u16(const u16* planes, const u16* gains, u16* out, u64 size) {
    correct(planes, gains, out, size, 1u);
}
