/* Watches, and breaks on demand, what a process does to the files below one directory.
 *
 * Preloaded into a real beacon (LD_PRELOAD). Three variables steer it:
 *   FAULTS_DIR      the directory to watch; absolute, as all paths below it must be
 *   FAULTS_JOURNAL  file that each change is appended to, for powercut.py to replay
 *   FAULTS_PLAN     file that may hold one line, read at each call it could concern:
 *                     <sync|write> <end of the path> <errno> <once|always>
 *                   the call fails with errno; with 0 a sync "succeeds" and does nothing
 *
 * A record has the times when the call began and ended, on the clock of the test that sends
 * the load. Calls that change files in a way powercut.py does not know are recorded by name,
 * so that it refuses the journal instead of overlooking them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CREATE = 1, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, MKDIR, MAP, OTHER };
enum { MAX_FILES = 65536, NOT_PLANNED = -1, SWALLOWED = -1 };

struct record {
    int64_t start, end, offset;
    uint64_t inode;
    int32_t kind, error;
    uint32_t path_size, data_size;
};

static const char *directory, *plan;
static size_t directory_size;
static int journal = -1;
static char *paths[MAX_FILES]; /* of open files below the directory, by descriptor */

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("FAULTS_JOURNAL");
    directory = getenv("FAULTS_DIR");
    plan = getenv("FAULTS_PLAN");
    if (directory == NULL || file == NULL)
        return;
    directory_size = strlen(directory);
    journal = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int is_below(const char *path) {
    return journal >= 0 && path != NULL && strncmp(path, directory, directory_size) == 0 &&
           (path[directory_size] == '/' || path[directory_size] == '\0');
}

static const char *path_of(int file) {
    return file >= 0 && file < MAX_FILES ? paths[file] : NULL;
}

static void append(int kind, int64_t start, int error, int file, int64_t offset,
                   const char *path, const void *data, size_t data_size) {
    int errno_before = errno;
    struct stat about = {0};
    if (file >= 0)
        fstat(file, &about);
    struct record record = {start, now(), offset, about.st_ino, kind, error,
                            (uint32_t)strlen(path), (uint32_t)data_size};
    struct iovec parts[] = {{&record, sizeof record},
                            {(void *)path, record.path_size},
                            {(void *)data, data_size}};
    /* One write to a file opened with O_APPEND: records of several processes never mix. */
    if (syscall(SYS_writev, journal, parts, 3) < 0)
        abort();
    errno = errno_before;
}

static int planned(const char *call, const char *path) {
    char planned_call[8], end[128], times[8];
    int error, found;
    FILE *file = plan ? fopen(plan, "r") : NULL;
    if (file == NULL)
        return NOT_PLANNED;
    found = fscanf(file, "%7s %127s %d %7s", planned_call, end, &error, times);
    fclose(file);
    if (found != 4 || strcmp(planned_call, call) != 0 || strlen(end) > strlen(path) ||
        strcmp(path + strlen(path) - strlen(end), end) != 0)
        return NOT_PLANNED;
    if (strcmp(times, "once") == 0 && syscall(SYS_unlinkat, AT_FDCWD, plan, 0) < 0)
        return NOT_PLANNED; /* another process was first */
    return error;
}

static int open_any(int at, const char *path, int flags, mode_t mode) {
    int is_ours = is_below(path);
    int is_new = is_ours && (flags & O_CREAT) && faccessat(AT_FDCWD, path, F_OK, 0) < 0;
    int64_t start = now();
    int file = syscall(SYS_openat, at, path, flags, mode);
    if (file < 0 || file >= MAX_FILES)
        return file;
    free(paths[file]);
    paths[file] = is_ours ? strdup(path) : NULL;
    if (is_new)
        append(CREATE, start, 0, file, 0, path, NULL, 0);
    else if (is_ours && (flags & O_TRUNC))
        append(TRUNCATE, start, 0, file, 0, path, NULL, 0);
    return file;
}

#define MODE(flags, last)                                                                          \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                       \
        va_list rest;                                                                              \
        va_start(rest, last);                                                                      \
        mode = va_arg(rest, mode_t);                                                               \
        va_end(rest);                                                                              \
    }

int open(const char *path, int flags, ...) {
    MODE(flags, flags)
    return open_any(AT_FDCWD, path, flags, mode);
}
int openat(int at, const char *path, int flags, ...) {
    MODE(flags, flags)
    return open_any(at, path, flags, mode);
}
int creat(const char *path, mode_t mode) {
    return open_any(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}
int close(int file) {
    if (path_of(file)) {
        free(paths[file]);
        paths[file] = NULL;
    }
    return syscall(SYS_close, file);
}

static ssize_t wrote(ssize_t size, int64_t start, int file, off_t offset, const void *data) {
    if (size > 0)
        append(WRITE, start, 0, file, offset, paths[file], data, size);
    return size;
}
static int may_not_write(int file) {
    int error = path_of(file) ? planned("write", paths[file]) : NOT_PLANNED;
    if (error > 0)
        errno = error;
    return error > 0;
}
ssize_t write(int file, const void *data, size_t size) {
    if (!path_of(file))
        return syscall(SYS_write, file, data, size);
    if (may_not_write(file))
        return -1;
    int64_t start = now();
    ssize_t written = syscall(SYS_write, file, data, size);
    return wrote(written, start, file, lseek(file, 0, SEEK_CUR) - written, data);
}
ssize_t pwrite(int file, const void *data, size_t size, off_t offset) {
    if (may_not_write(file))
        return -1;
    int64_t start = now();
    ssize_t written = syscall(SYS_pwrite64, file, data, size, offset);
    return path_of(file) ? wrote(written, start, file, offset, data) : written;
}
int ftruncate(int file, off_t size) {
    int64_t start = now();
    int result = syscall(SYS_ftruncate, file, size);
    if (result == 0 && path_of(file))
        append(TRUNCATE, start, 0, file, size, paths[file], NULL, 0);
    return result;
}

static int sync_any(long call, int file) {
    int64_t start = now();
    int error = path_of(file) ? planned("sync", paths[file]) : NOT_PLANNED;
    int result = 0;
    if (error == NOT_PLANNED)
        result = syscall(call, file);
    else if (error > 0) {
        errno = error;
        result = -1;
    }
    if (path_of(file))
        append(SYNC, start, error == 0 ? SWALLOWED : result < 0 ? errno : 0, file, 0, paths[file],
               NULL, 0);
    return result;
}
int fsync(int file) { return sync_any(SYS_fsync, file); }
int fdatasync(int file) { return sync_any(SYS_fdatasync, file); }

int rename(const char *old, const char *new) {
    int64_t start = now();
    int result = syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, 0);
    if (result == 0 && (is_below(old) || is_below(new)))
        append(RENAME, start, 0, -1, 0, old, new, strlen(new));
    return result;
}
int unlink(const char *path) {
    int64_t start = now();
    int result = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (result == 0 && is_below(path))
        append(UNLINK, start, 0, -1, 0, path, NULL, 0);
    return result;
}
int mkdir(const char *path, mode_t mode) {
    int64_t start = now();
    int result = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (result == 0 && is_below(path))
        append(MKDIR, start, 0, -1, 0, path, NULL, 0);
    return result;
}
void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset) {
    if ((flags & MAP_SHARED) && (protection & PROT_WRITE) && path_of(file))
        append(MAP, now(), 0, file, 0, paths[file], NULL, 0);
    return (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}

/* Not used by SQLite, Python or Arrow for our files today; the day they are, the test says so. */
static void refuse(const char *name, int file) {
    if (path_of(file))
        append(OTHER, now(), 0, file, 0, paths[file], name, strlen(name));
}
ssize_t writev(int file, const struct iovec *parts, int count) {
    refuse("writev", file);
    return syscall(SYS_writev, file, parts, count);
}
ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset) {
    refuse("pwritev", file);
    return syscall(SYS_pwritev, file, parts, count, offset, 0);
}
int fallocate(int file, int mode, off_t offset, off_t size) {
    refuse("fallocate", file);
    return syscall(SYS_fallocate, file, mode, offset, size);
}
int posix_fallocate(int file, off_t offset, off_t size) {
    refuse("posix_fallocate", file);
    return syscall(SYS_fallocate, file, 0, offset, size) < 0 ? errno : 0;
}

/* The names that programs built for large files call; on 64-bit machines the same functions. */
_Static_assert(sizeof(off_t) == 8, "a 64-bit machine is needed");
#define SAME(name) __attribute__((alias(name)))
int open64(const char *, int, ...) SAME("open");
int openat64(int, const char *, int, ...) SAME("openat");
int creat64(const char *, mode_t) SAME("creat");
ssize_t pwrite64(int, const void *, size_t, off64_t) SAME("pwrite");
ssize_t pwritev64(int, const struct iovec *, int, off64_t) SAME("pwritev");
int ftruncate64(int, off64_t) SAME("ftruncate");
int fallocate64(int, int, off64_t, off64_t) SAME("fallocate");
int posix_fallocate64(int, off64_t, off64_t) SAME("posix_fallocate");
void *mmap64(void *, size_t, int, int, int, off64_t) SAME("mmap");
