/* Faults of a disk and of a clock for processes that know nothing of it: LD_PRELOAD=libfaults.so.

   Everything is told by one small file, FAULTS_CONTROL, that all processes have mapped and that somebody else writes
   (tests/chaos/faults/shim.py): what is changed there is so for running processes with their next call.

   Disk   calls that change a file below one of the roots fail with an errno, each, or each by a chance, or the n-th, or
          once so many bytes were written, which is a disk that gets full: then a write is cut short first, as the
          kernel does it. Or they are slow. Reading is never touched, nor is deleting: a full disk lets one delete.
   Clock  CLOCK_REALTIME is ahead or behind by an offset. The monotonic clocks go on, and so do the times of files,
          which are the kernel's: a machine whose clock is wrong looks at a server that has its own. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { ROOTS = 4, ROOT_SIZE = 512, WORD_SIZE = 128, FDS = 65536 };
enum { OPEN = 1, WRITE = 2, SYNC = 4, PLACE = 8, FOLDER = 16, LINK = 32 };

/* Little-endian fields in this order; shim.py has the same. */
typedef struct {
    int64_t clock_offset_ns;
    int64_t room_bytes;    /* what may still be written; negative: as much as one likes */
    int64_t countdown;     /* the call that takes it from 1 to 0 fails; 0 or less: none does */
    uint64_t seed;
    uint32_t error;        /* errno of failing calls; 0: none fails */
    uint32_t chance_ppm;   /* of a call to fail by itself, in millionths */
    uint32_t slow_us;      /* what each call takes longer */
    uint32_t kinds;        /* which calls are meant: OPEN | WRITE | SYNC | PLACE | FOLDER | LINK */
    uint32_t lost;         /* not 0: a file is put into place, and the answer says that it was not */
    uint32_t unused;
    uint64_t calls;        /* calls that were meant, so far */
    uint64_t failures;     /* calls that failed, so far */
    char word[WORD_SIZE];  /* part of the path, which writes and syncs do not have; empty: any */
    char roots[ROOTS][ROOT_SIZE];
} Control;

static Control *control;
static unsigned char watched[FDS];

static void *original(const char *name) { return dlsym(RTLD_NEXT, name); }

#define REAL(type, name, ...)                                                                                          \
    static type (*real)(__VA_ARGS__);                                                                                  \
    if (!real) real = (type(*)(__VA_ARGS__))original(name)

static int real_gettime(clockid_t clock, struct timespec *now) {
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    return real(clock, now);
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_CONTROL");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) control = mapped;
}

/* ---- clock ---- */

static void shift(struct timespec *time, int64_t by_ns) {
    int64_t ns = time->tv_nsec + by_ns % 1000000000;
    time->tv_sec += by_ns / 1000000000 + (ns >= 1000000000) - (ns < 0);
    time->tv_nsec = ns >= 1000000000 ? ns - 1000000000 : ns < 0 ? ns + 1000000000 : ns;
}

static int64_t offset_ns(void) { return control ? __atomic_load_n(&control->clock_offset_ns, __ATOMIC_RELAXED) : 0; }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = real_gettime(clock, now);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) shift(now, offset_ns());
    return result;
}

time_t time(time_t *place) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return place ? *place = now.tv_sec : now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec, now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

/* Who waits until a time of day worked that time out from the wrong clock, and the kernel waits by the right one. */
int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    REAL(int, "sem_timedwait", sem_t *, const struct timespec *);
    struct timespec right = *until;
    shift(&right, -offset_ns());
    return real(semaphore, &right);
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real) real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!real) real = original("pthread_cond_timedwait");
    struct timespec right = *until;
    if (right.tv_sec > 1000000000) shift(&right, -offset_ns()); /* a time of day; monotonic ones are small */
    return real(condition, mutex, &right);
}

/* ---- disk ---- */

static int is_meant(const char *path) {
    if (!control || !path) return 0;
    char absolute[PATH_MAX];
    if (path[0] != '/') {
        if (!getcwd(absolute, sizeof absolute)) return 0;
        size_t length = strlen(absolute);
        if (length + strlen(path) + 2 > sizeof absolute) return 0;
        absolute[length] = '/';
        strcpy(absolute + length + 1, path);
        path = absolute;
    }
    for (int i = 0; i < ROOTS; i++) {
        size_t length = strnlen(control->roots[i], ROOT_SIZE);
        if (length && !strncmp(path, control->roots[i], length) && (path[length] == '/' || !path[length])) return 1;
    }
    return 0;
}

static uint64_t mix(uint64_t value) { /* splitmix64: a chance that depends on the seed and the number of the call */
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

/* Whether a call fails that is meant; also makes it slow. */
static int fails(unsigned kind, const char *path) {
    if (!control || !(control->kinds & kind)) return 0;
    if (control->word[0] && (!path || !strstr(path, control->word))) return 0;
    uint64_t number = __atomic_fetch_add(&control->calls, 1, __ATOMIC_RELAXED);
    if (control->slow_us) usleep(control->slow_us);
    if (!control->error) return 0;
    int is_chosen = mix(control->seed + number) % 1000000 < control->chance_ppm;
    if (__atomic_load_n(&control->countdown, __ATOMIC_RELAXED) > 0)
        is_chosen |= __atomic_sub_fetch(&control->countdown, 1, __ATOMIC_RELAXED) == 0;
    if (!is_chosen) return 0;
    __atomic_fetch_add(&control->failures, 1, __ATOMIC_RELAXED);
    errno = (int)control->error;
    return 1;
}

/* How much of a write there is room for; -1: none, and errno says so. */
static ssize_t room_for(size_t size) {
    if (__atomic_load_n(&control->room_bytes, __ATOMIC_RELAXED) < 0) return (ssize_t)size;
    int64_t left = __atomic_load_n(&control->room_bytes, __ATOMIC_RELAXED), taken;
    do {
        if (left < 0) return (ssize_t)size; /* there is room again */
        taken = left < (int64_t)size ? left : (int64_t)size;
    } while (!__atomic_compare_exchange_n(&control->room_bytes, &left, left - taken, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    if (taken || !size) return taken;
    __atomic_fetch_add(&control->failures, 1, __ATOMIC_RELAXED);
    errno = ENOSPC;
    return -1;
}

static int opened(int file, const char *path, int flags) {
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    if (file >= 0 && file < FDS) watched[file] = writes && is_meant(path);
    return file;
}

static int is_watched(int file) { return control && file >= 0 && file < FDS && watched[file]; }

#define OPENED(name)                                                                                                   \
    int name(const char *path, int flags, ...) {                                                                       \
        REAL(int, #name, const char *, int, ...);                                                                      \
        mode_t mode = 0;                                                                                               \
        if (flags & (O_CREAT | O_TMPFILE)) {                                                                           \
            va_list rest;                                                                                              \
            va_start(rest, flags);                                                                                     \
            mode = va_arg(rest, mode_t);                                                                               \
            va_end(rest);                                                                                              \
        }                                                                                                              \
        if ((flags & O_CREAT) && is_meant(path) && fails(OPEN, path)) return -1;                                       \
        return opened(real(path, flags, mode), path, flags);                                                           \
    }
OPENED(open)
OPENED(open64)

#define OPENED_AT(name)                                                                                                \
    int name(int folder, const char *path, int flags, ...) {                                                           \
        REAL(int, #name, int, const char *, int, ...);                                                                 \
        mode_t mode = 0;                                                                                               \
        if (flags & (O_CREAT | O_TMPFILE)) {                                                                           \
            va_list rest;                                                                                              \
            va_start(rest, flags);                                                                                     \
            mode = va_arg(rest, mode_t);                                                                               \
            va_end(rest);                                                                                              \
        }                                                                                                              \
        if ((flags & O_CREAT) && is_meant(path) && fails(OPEN, path)) return -1;                                       \
        return opened(real(folder, path, flags, mode), path, flags);                                                   \
    }
OPENED_AT(openat)
OPENED_AT(openat64)

int close(int file) {
    REAL(int, "close", int);
    if (file >= 0 && file < FDS) watched[file] = 0;
    return real(file);
}

#define WRITTEN(name, ARGUMENTS, PASSED)                                                                               \
    ssize_t name ARGUMENTS {                                                                                           \
        static ssize_t(*real) ARGUMENTS;                                                                               \
        if (!real) real = (ssize_t(*) ARGUMENTS)original(#name);                                                       \
        if (is_watched(file)) {                                                                                        \
            if (fails(WRITE, NULL)) return -1;                                                                         \
            ssize_t room = control->kinds & WRITE ? room_for(size) : (ssize_t)size;                                    \
            if (room < 0) return -1;                                                                                   \
            size = (size_t)room;                                                                                       \
        }                                                                                                              \
        return real PASSED;                                                                                            \
    }
WRITTEN(write, (int file, const void *data, size_t size), (file, data, size))
WRITTEN(pwrite, (int file, const void *data, size_t size, off_t at), (file, data, size, at))
WRITTEN(pwrite64, (int file, const void *data, size_t size, off64_t at), (file, data, size, at))

ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (is_watched(file) && count > 0) {
        if (fails(WRITE, NULL)) return -1;
        ssize_t room = control->kinds & WRITE ? room_for(parts[0].iov_len) : (ssize_t)parts[0].iov_len;
        if (room < 0) return -1;
        if ((size_t)room < parts[0].iov_len) return write(file, parts[0].iov_base, (size_t)room);
    }
    return real(file, parts, count);
}

int fsync(int file) {
    REAL(int, "fsync", int);
    return is_watched(file) && fails(SYNC, NULL) ? -1 : real(file);
}

int fdatasync(int file) {
    REAL(int, "fdatasync", int);
    return is_watched(file) && fails(SYNC, NULL) ? -1 : real(file);
}

/* Put a file into place, or fail, or do it and say that it failed. */
#define PLACED(name, KINDS, ARGUMENTS, PASSED)                                                                         \
    int name ARGUMENTS {                                                                                               \
        static int(*real) ARGUMENTS;                                                                                   \
        if (!real) real = (int(*) ARGUMENTS)original(#name);                                                           \
        if (!is_meant(to) || !fails(KINDS, to)) return real PASSED;                                                    \
        int told = errno;                                                                                              \
        if (control->lost) real PASSED;                                                                                \
        errno = told;                                                                                                  \
        return -1;                                                                                                     \
    }
PLACED(link, PLACE | LINK, (const char *from, const char *to), (from, to))
PLACED(linkat, PLACE | LINK, (int from_at, const char *from, int to_at, const char *to, int flags),
       (from_at, from, to_at, to, flags))
PLACED(rename, PLACE, (const char *from, const char *to), (from, to))
PLACED(renameat, PLACE, (int from_at, const char *from, int to_at, const char *to), (from_at, from, to_at, to))

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    return is_meant(path) && fails(FOLDER, path) ? -1 : real(path, mode);
}
