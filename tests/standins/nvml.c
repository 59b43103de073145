/* A stand-in for NVIDIA's management library, libnvidia-ml.so.1: two GPUs of 80 GiB that compute nothing.

   Just what dask-cuda and Dask's dashboard ask for as they start workers. A handle is the number of the GPU plus one. */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, GPUS = 2 };

typedef void *Device;

typedef struct {
    unsigned long long total, free, used;
} Memory;

static unsigned number(Device device) { return (unsigned)((uintptr_t)device - 1); }

int nvmlInit_v2(void) { return SUCCESS; }
int nvmlInitWithFlags(unsigned flags) { return (void)flags, SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int result) { return result == NOT_SUPPORTED ? "Not Supported" : "Success"; }

int nvmlSystemGetDriverVersion(char *text, unsigned size) { return snprintf(text, size, "580.00"), SUCCESS; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { return *version = 13000, SUCCESS; }

int nvmlDeviceGetCount_v2(unsigned *count) { return *count = GPUS, SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *device) {
    return *device = (Device)(uintptr_t)(index + 1), SUCCESS;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, Device *device) {
    return nvmlDeviceGetHandleByIndex_v2((unsigned)(uuid[strlen(uuid) - 1] - '0'), device);
}
int nvmlDeviceGetIndex(Device device, unsigned *index) { return *index = number(device), SUCCESS; }
int nvmlDeviceGetUUID(Device device, char *text, unsigned size) {
    return snprintf(text, size, "GPU-00000000-0000-0000-0000-00000000000%u", number(device)), SUCCESS;
}
int nvmlDeviceGetName(Device device, char *text, unsigned size) {
    return (void)device, snprintf(text, size, "Stand-in"), SUCCESS;
}
int nvmlDeviceGetMemoryInfo(Device device, Memory *memory) {
    return (void)device, *memory = (Memory){80ull << 30, 80ull << 30, 0}, SUCCESS;
}
int nvmlDeviceGetUtilizationRates(Device device, unsigned *rates) {
    return (void)device, rates[0] = rates[1] = 0, SUCCESS;
}
int nvmlDeviceGetCpuAffinity(Device device, unsigned words, unsigned long *cores) {
    (void)device;
    memset(cores, 0xff, words * sizeof *cores); /* every core is as near as another */
    return SUCCESS;
}
int nvmlDeviceGetMigMode(Device device, unsigned *now, unsigned *later) {
    return (void)device, *now = *later = 0, NOT_SUPPORTED;
}
int nvmlDeviceGetMaxMigDeviceCount(Device device, unsigned *count) { return (void)device, *count = 0, SUCCESS; }
int nvmlDeviceGetComputeRunningProcesses_v3(Device device, unsigned *count, void *processes) {
    return (void)device, (void)processes, *count = 0, SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v2(Device device, unsigned *count, void *processes) {
    return nvmlDeviceGetComputeRunningProcesses_v3(device, count, processes);
}
