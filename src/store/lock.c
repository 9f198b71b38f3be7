/* lock: one run at a time in an output folder. A file with words in it for people, and flock() on it for the kernel, which lets go when
 * its holder dies; some parallel file systems know no flock between hosts, so the words decide there. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "voxgrad/store.h"

struct vg_store_lock {
    char *path;
    int descriptor; /* -1 on ranks but 0 */
};

typedef struct {
    char host[256], pid[32], job[64], time[64];
} holder;

static void describe_myself(holder *me)
{
    static const char *const jobs[] = {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"};
    time_t now = time(NULL);
    struct tm utc;
    memset(me, 0, sizeof *me);
    if (gethostname(me->host, sizeof me->host - 1) != 0)
        strcpy(me->host, "unknown");
    snprintf(me->pid, sizeof me->pid, "%ld", (long)getpid());
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
        if (getenv(jobs[i]) != NULL && me->job[0] == '\0')
            snprintf(me->job, sizeof me->job, "%.60s", getenv(jobs[i]));
    if (me->job[0] == '\0')
        strcpy(me->job, "none");
    gmtime_r(&now, &utc);
    strftime(me->time, sizeof me->time, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static void take_field(const vg_lines *line, const char *word, char *value, size_t room)
{
    size_t size = strlen(word);
    if (line->length >= size && memcmp(line->line, word, size) == 0)
        snprintf(value, room, "%.*s", (int)(line->length - size), line->line + size);
}

/* What the file says of its holder; false where it is empty. Unreadable words stay "?". */
static bool read_holder(int descriptor, holder *other)
{
    char text[1024];
    ssize_t size = pread(descriptor, text, sizeof text, 0);
    *other = (holder){"?", "?", "?", "?"};
    vg_lines lines = {.text = text, .size = size > 0 ? (size_t)size : 0};
    while (vg_lines_next(&lines)) {
        take_field(&lines, "host: ", other->host, sizeof other->host);
        take_field(&lines, "pid: ", other->pid, sizeof other->pid);
        take_field(&lines, "job: ", other->job, sizeof other->job);
        take_field(&lines, "time: ", other->time, sizeof other->time);
    }
    return size > 0;
}

static vg_status in_use(const char *path, const holder *other)
{
    return vg_fail(
        VG_INVALID,
        "%s: another run is at work in this folder: host %s, process %s, job %s, since %s; wait for it, or choose another output folder",
        path, other->host, other->pid, other->job, other->time);
}

/* The file is ours to decide on (`locked`: by flock; else no flock is to be had there). May it be taken? */
static vg_status judge(const char *path, int descriptor, bool locked, const holder *me)
{
    holder other;
    int64_t pid;
    if (!read_holder(descriptor, &other))
        return VG_OK;
    if (strcmp(other.host, me->host) != 0)
        return vg_fail(VG_INVALID,
                       "%s: a run on host %s (process %s, job %s, since %s) holds this folder or ended without giving it back; when it is "
                       "sure that it has ended, remove this file",
                       path, other.host, other.pid, other.job, other.time);
    if (!locked) {
        bool readable = vg_parse_integer(other.pid, strlen(other.pid), &pid) && pid > 0;
        if (!readable || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
            return in_use(path, &other);
    }
    vg_log(VG_LOG_WARNING, "%s: process %s of this host, which began at %s, is gone; taking its place", path, other.pid, other.time);
    return VG_OK;
}

/* Writes who we are into the file. */
static vg_status sign(const char *path, int descriptor, const holder *me)
{
    char text[1024];
    int size = snprintf(text, sizeof text, "host: %s\npid: %s\njob: %s\ntime: %s\n", me->host, me->pid, me->job, me->time);
    if (ftruncate(descriptor, 0) != 0)
        return vg_io_fail(path, "cannot be written");
    VG_TRY(vg_io_write(descriptor, path, text, (size_t)size, 0));
    return vg_io_sync(descriptor, path);
}

/* One attempt; *again where the file was removed by its holder while we looked at it. */
static vg_status try_lock(vg_store_lock *lock, const holder *me, bool *again)
{
    struct stat about;
    holder other;
    *again = false;
    VG_TRY(vg_io_open(lock->path, O_RDWR | O_CREAT, &lock->descriptor));
    bool locked = flock(lock->descriptor, LOCK_EX | LOCK_NB) == 0;
    if (!locked && errno == EWOULDBLOCK) {
        read_holder(lock->descriptor, &other);
        return in_use(lock->path, &other);
    }
    if (fstat(lock->descriptor, &about) != 0 || about.st_nlink == 0) {
        *again = true;
        return VG_OK;
    }
    VG_TRY(judge(lock->path, lock->descriptor, locked, me));
    return sign(lock->path, lock->descriptor, me);
}

static vg_status take(vg_store_lock *lock, const char *folder)
{
    bool again = true;
    holder me;
    VG_TRY(vg_format(&lock->path, "%s/voxgrad.lock", folder));
    describe_myself(&me);
    for (int i = 0; i < 100 && again; i++) {
        vg_status status = try_lock(lock, &me, &again);
        if ((status != VG_OK || again) && lock->descriptor >= 0) {
            close(lock->descriptor);
            lock->descriptor = -1;
        }
        VG_TRY(status);
    }
    return again ? vg_fail(VG_INVALID, "%s: comes and goes; another run seems to begin again and again", lock->path) : VG_OK;
}

vg_status vg_store_lock_take(vg_comm *comm, const char *folder, vg_store_lock **lock)
{
    vg_status status = VG_NEW(lock, 1, "locks");
    if (status == VG_OK)
        (*lock)->descriptor = -1;
    if (status == VG_OK && vg_comm_rank(comm) == 0)
        status = take(*lock, folder);
    status = vg_comm_agree(comm, status);
    if (status != VG_OK) {
        vg_store_lock_free(*lock);
        *lock = NULL;
    }
    return status;
}

void vg_store_lock_free(vg_store_lock *lock)
{
    if (lock == NULL)
        return;
    if (lock->descriptor >= 0) {
        unlink(lock->path);
        close(lock->descriptor);
    }
    free(lock->path);
    free(lock);
}
