// Pixels of 8 bits as 16 bits and back: every other kernel reads 16.
extern "C" __global__ void __launch_bounds__(256) widen(const u8* __restrict__ narrow, const i64 pixels, u16* wide) {
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < pixels; i += (i64)gridDim.x * blockDim.x)
        wide[i] = narrow[i];
}

extern "C" __global__ void __launch_bounds__(256) narrow(const u16* __restrict__ wide, const i64 pixels, u8* narrow) {
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < pixels; i += (i64)gridDim.x * blockDim.x)
        narrow[i] = (u8)wide[i];
}
