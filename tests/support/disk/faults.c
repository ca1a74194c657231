/* Disk faults for one process, switched on and off while it runs. Linux with glibc.
 *
 *     cc -shared -fPIC -O2 -o faults.so faults.c
 *     FAULTS=/tmp/control LD_PRELOAD=./faults.so program
 *     echo 'sync EIO /data/log' > /tmp/control     # from the next call on
 *     : > /tmp/control                             # all is well again
 *
 * FAULTS names the control file, which must be there at the start; it is written in place and read at every call that
 * could fail. Each line is a rule, `<what> <error> <part of a path>`. What fails, for files whose path holds that part:
 *     write     write, pwrite, writev, pwritev, fallocate, and ftruncate that makes a file longer
 *     sync      fsync, fdatasync, sync_file_range
 *     change    to open for writing, rename, link, unlink, mkdir, rmdir
 * With ENOSPC a part of a write may still fit. What mmap writes is not seen. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE, SYNC, CHANGE };
static const char *const WHAT[] = {"write", "sync", "change"};
static const struct { const char *name; int number; } ERRORS[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EROFS", EROFS}};

static int control = -1;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULTS");
    if (path) control = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
}

/* The error that a rule has for `path`, or for the file that `fd` is open on; 0 if all is well. Sets errno to it. */
static int fails(int what, const char *path, int fd)
{
    char text[512], name[PATH_MAX] = "", link[40];
    int saved = errno, error = 0;
    ssize_t length = control < 0 ? 0 : syscall(SYS_pread64, control, text, sizeof text - 1, (off_t)0);
    text[length > 0 ? length : 0] = 0;
    char *rest = text;
    for (char *line; !error && (line = strsep(&rest, "\n"));) {
        char verb[16], word[16], part[256];
        if (sscanf(line, "%15s %15s %255s", verb, word, part) != 3 || strcmp(verb, WHAT[what])) continue;
        if (!path) { /* The link's target follows renames. */
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            ssize_t size = syscall(SYS_readlinkat, AT_FDCWD, link, name, sizeof name - 1);
            name[size > 0 ? size : 0] = 0;
            path = name;
        }
        for (size_t i = 0; strstr(path, part) && i < sizeof ERRORS / sizeof *ERRORS; i++)
            if (!strcmp(word, ERRORS[i].name)) error = ERRORS[i].number;
    }
    errno = error ? error : saved;
    return error;
}

/* How much of a write goes through. */
static size_t fitting(int fd, size_t size)
{
    int error = fails(WRITE, NULL, fd);
    if (!error) return size;
    return size > 1 && error == ENOSPC && rand() % 2 ? (size_t)rand() % size : 0;
}

#define ALIAS(name, of) __typeof__(of) name __attribute__((alias(#of)))

ssize_t write(int fd, const void *bytes, size_t size)
{
    size_t part = fitting(fd, size);
    return part == 0 && size > 0 ? -1 : syscall(SYS_write, fd, bytes, part);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    size_t part = fitting(fd, size);
    return part == 0 && size > 0 ? -1 : syscall(SYS_pwrite64, fd, bytes, part, at);
}
ALIAS(pwrite64, pwrite);

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    return fails(WRITE, NULL, fd) ? -1 : syscall(SYS_writev, fd, pieces, count);
}

ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t at)
{
    return fails(WRITE, NULL, fd) ? -1 : syscall(SYS_pwritev, fd, pieces, count, at, 0L);
}
ALIAS(pwritev64, pwritev);

int fallocate(int fd, int mode, off_t at, off_t size)
{
    return fails(WRITE, NULL, fd) ? -1 : syscall(SYS_fallocate, fd, mode, at, size);
}
ALIAS(fallocate64, fallocate);

int ftruncate(int fd, off_t size)
{
    struct stat s;
    return (fstat(fd, &s) || size > s.st_size) && fails(WRITE, NULL, fd) ? -1 : syscall(SYS_ftruncate, fd, size);
}
ALIAS(ftruncate64, ftruncate);

int fsync(int fd) { return fails(SYNC, NULL, fd) ? -1 : syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return fails(SYNC, NULL, fd) ? -1 : syscall(SYS_fdatasync, fd); }
int sync_file_range(int fd, off64_t at, off64_t size, unsigned flags)
{
    return fails(SYNC, NULL, fd) ? -1 : syscall(SYS_sync_file_range, fd, at, size, flags);
}

int openat(int dir, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, int) : 0;
    va_end(arguments);
    int writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT;
    return writes && fails(CHANGE, path, -1) ? -1 : syscall(SYS_openat, dir, path, flags, mode);
}
ALIAS(openat64, openat);

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, int) : 0;
    va_end(arguments);
    return openat(AT_FDCWD, path, flags, mode);
}
ALIAS(open64, open);

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return fails(CHANGE, to, -1) ? -1 : syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    return fails(CHANGE, to, -1) ? -1 : syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

int unlinkat(int dir, const char *path, int flags)
{
    return fails(CHANGE, path, -1) ? -1 : syscall(SYS_unlinkat, dir, path, flags);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    return fails(CHANGE, path, -1) ? -1 : syscall(SYS_mkdirat, dir, path, mode);
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
