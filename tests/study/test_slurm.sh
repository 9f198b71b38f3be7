#!/usr/bin/env bash
# Protects: the jobs of jobs/ on a real Slurm, begun here on the loopback address and ended with this test: a study as one job, on two ranks by
# srun --mpi=pmix; SIGUSR1 from Slurm before the time ends, and back into the queue; killed in the middle, and requeued; an array of tasks and its
# merge; two jobs on one output folder; submit.sh, of one job and of an array; the cores a rank. What comes out is always, bit by bit, what one process writes.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
skip() {
    echo "skipped: $*"
    exit 77
}
for tool in slurmctld slurmd munged sbatch srun scontrol; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null || skip "$tool is not here (jobs/packages.sh --install tests)"
done
PATH=$PATH:/usr/sbin:/sbin

# ---- a cluster of one node -------------------------------------------------------------------------------------------------------------------
host=$(hostname -s)
port=$((20000 + $$ % 20000))
mkdir -p slurm/state slurm/spool slurm/run
chmod 755 . slurm slurm/run
head -c 1024 /dev/urandom >slurm/munge.key && chmod 600 slurm/munge.key
cat >slurm/slurm.conf <<CONF
ClusterName=loopback
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$PWD/slurm/run/munge.socket,cred_expire=2
CryptoType=crypto/munge
StateSaveLocation=$PWD/slurm/state
SlurmdSpoolDir=$PWD/slurm/spool
SlurmctldPidFile=$PWD/slurm/run/slurmctld.pid
SlurmdPidFile=$PWD/slurm/run/slurmd.pid
SlurmctldLogFile=$PWD/slurm/slurmctld.log
SlurmdLogFile=$PWD/slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=2,sched_min_interval=0
ReturnToService=2
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=loopback Nodes=ALL Default=YES MaxTime=60 OverSubscribe=FORCE:4 State=UP
CONF
export SLURM_CONF=$PWD/slurm/slurm.conf
# shellcheck disable=SC2317 # called by the trap
stop_cluster() {
    local daemon pid
    scancel --user="$(id -un)" 2>/dev/null
    for daemon in slurmd slurmctld munged; do
        pid=$(cat "slurm/run/$daemon.pid" 2>/dev/null) || continue
        kill "$pid" 2>/dev/null
        for _ in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null
    done
}
trap 'cd "$folder" && stop_cluster; rm -rf -- "$folder"' EXIT
munged --force --key-file="$PWD/slurm/munge.key" --socket="$PWD/slurm/run/munge.socket" --pid-file="$PWD/slurm/run/munged.pid" \
    --log-file="$PWD/slurm/munged.log" --seed-file="$PWD/slurm/munged.seed" 2>munged.err || skip "munged does not start: $(cat munged.err)"
slurmctld -c -f "$SLURM_CONF" || skip "slurmctld does not start: $(tail -n 3 slurm/slurmctld.log)"
slurmd -c -f "$SLURM_CONF" -N "$host" || skip "slurmd does not start: $(tail -n 3 slurm/slurmd.log)"
for _ in $(seq 150); do
    [ "$(sinfo -h -o %T 2>/dev/null)" != idle ] || break
    sleep 0.2
done
[ "$(sinfo -h -o %T)" = idle ] || skip "slurmd does not come up: $(tail -n 3 slurm/slurmd.log)"
srun --mpi=list 2>&1 | grep -q pmix || skip "this Slurm has no pmix plugin"

# ---- jobs -------------------------------------------------------------------------------------------------------------------------------------
several && cd study || exit 1
sed -i 's/^stall: .*/stall: 5min/' study.yaml # a rank is silent for seconds where the machine is busy
export VOXGRAD=$VG_PROGRAM VOXGRAD_JOBS=$VG_SOURCE/jobs
"$VG_PROGRAM" run -q -o whole study.yaml >/dev/null || fault "an undisturbed run failed"
same() {
    local file
    for file in features.h5 features.h5.sum results.h5 results.h5.sum; do
        cmp "whole/$file" "$2/$file" || fault "$1: $file differs"
    done
    [ -z "$(find "$2" -name '*.h5.part*' -not -path '*/part-*' -o -name '*.lock')" ] || fault "$1: left $(ls "$2")"
}
state() { scontrol show job "$1" 2>/dev/null | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p' | sort | uniq | paste -sd ' '; }
# until_state JOB STATES: waits, two minutes at most, for one of them (a regular expression).
until_state() {
    local now=
    for _ in $(seq 600); do
        now=$(state "$1")
        [[ ! $now =~ ^($2)$ ]] || return 0
        [[ ! $now =~ ^(FAILED|COMPLETED|TIMEOUT)$ ]] || break
        sleep 0.2
    done
    fault "job $1 is $now, and $2 was expected: $(tail -qn 5 ./*-"$1"*.log)"
    return 1
}
until_file() {
    for _ in $(seq 600); do
        [ ! -e "$1" ] || return 0
        sleep 0.1
    done
    fault "$1 does not come: $(tail -qn 5 ./*.log)"
}
job() { sbatch --parsable --ntasks=2 --overcommit --time=10 --output=%x-%j.log "$@"; }
jobs=$VG_SOURCE/jobs

one=$(job "$jobs/voxgrad.sbatch" study.yaml -o one) && until_state "$one" COMPLETED && same "one job" one
grep -q 'load: rank' voxgrad-"$one".log || fault "the ranks did not find each other: $(cat voxgrad-"$one".log)"

# the time ends: Slurm itself sends SIGUSR1, up to a minute early; long paths keep the job at work
sed 's/^features:/&\n  - {method: integrated_gradients, words: 4, steps: 1024}/' study.yaml >long.yaml
limited=$(job --time=1 --signal=USR1@50 "$jobs/voxgrad.sbatch" long.yaml -o limited)
until_state "$limited" 'RUNNING' && until_file limited/features.h5.part.journal
for _ in $(seq 700); do
    ! grep -q 'back into the queue' voxgrad-"$limited".log || break
    sleep 0.1
done
grep -q 'stopped by SIGUSR1' voxgrad-"$limited".log || fault "the time ended: $(cat voxgrad-"$limited".log)"
grep -q 'back into the queue' voxgrad-"$limited".log || fault "stopped, but not requeued: $(cat voxgrad-"$limited".log)"
until_state "$limited" 'PENDING|RUNNING'
[[ $(scontrol show job "$limited" | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p') -ge 1 ]] || fault "the job was not requeued"
scancel "$limited"

# stopped while others may go on; then killed; then whole
stopped=$(job "$jobs/voxgrad.sbatch" study.yaml -o stopped) && until_file stopped/features.h5.part.journal
scancel --signal=KILL "$stopped" && until_state "$stopped" 'FAILED|CANCELLED|COMPLETED|NODE_FAIL'
[ ! -e stopped/results.h5 ] || fault "it was not killed in the middle"
scontrol requeue "$stopped" || fault "requeue failed"
scontrol update JobId="$stopped" StartTime=now # else two minutes from now
until_state "$stopped" COMPLETED && same "killed and requeued" stopped

# an array, each task a share, and the merge
array=$(sbatch --parsable --array=1-3 --time=10 --output=%x-%A_%a.log "$jobs/array.sbatch" study.yaml -o shares)
until_state "$array" COMPLETED
"$VG_PROGRAM" merge shares/features.h5 shares/part-*/features.h5.part || fault "the parts cannot be put together"
cmp whole/features.h5 shares/features.h5 || fault "the merged file differs"
array=$(VOXGRAD_ONLY='model=grammar' sbatch --parsable --array=1-1 --time=10 --output=%x-%A_%a.log "$jobs/array.sbatch" study.yaml -o models)
until_state "$array" COMPLETED
"$VG_PROGRAM" merge models/features.h5 models/only-model-grammar/features.h5.part || fault "the model's part cannot be merged"
cmp whole/features.h5 models/features.h5 || fault "the merged file of models differs"

# two jobs on one folder: the second says who holds it
first=$(job "$jobs/voxgrad.sbatch" long.yaml -o both) && until_file both/features.h5.part.journal
second=$(job "$jobs/voxgrad.sbatch" study.yaml -o both) && until_state "$second" FAILED
grep -q "another run is at work in this folder: host $(hostname), process [0-9]*, job $first, since 20" voxgrad-"$second".log || fault "two jobs: $(cat voxgrad-"$second".log)"
scancel "$first" && until_state "$first" CANCELLED

# submit.sh
sed '/^memory: /d' study.yaml >roomy.yaml # so little memory is not for a check
"$VG_PROGRAM" run -q -o alone roomy.yaml >/dev/null || fault "an undisturbed run failed"
# submitted OPTIONS...: submit.sh's last job has done its work.
submitted() {
    local number
    number=$("$jobs/submit.sh" "$@" roomy.yaml -- --overcommit --mem-per-cpu=0 --output=%x-%j.log 2>submit.err | sed -n 's/^job \([0-9]*\);.*/\1/p')
    [ -n "$number" ] || fault "submit.sh $*: $(cat submit.err)"
    until_state "$number" COMPLETED
    cmp alone/results.h5 out/results.h5 || fault "submit.sh $*: results.h5 differs"
    rm -rf out
}
submitted --ranks 2
submitted --ranks 2 --array 2
grep -q 'merge: [0-9]* blocks of 2 parts' voxgrad-merge-*.log || fault "submit.sh --array: $(tail -n 3 voxgrad-merge-*.log)"
asked=$("$jobs/submit.sh" --dry-run --ranks 8 --per-node 4 --cores 3 roomy.yaml 2>&1 >/dev/null)
need=$("$VG_PROGRAM" check --ranks 4 roomy.yaml | sed -n 's/^memory needed a rank: \([0-9]*\) MB.*/\1/p')
[[ $asked == *"--ntasks=8 --cpus-per-task=3 --time="*" --ntasks-per-node=4 --mem=$((4 * (need * 5 / 4 + 256)))M "* ]] || fault "submit.sh --per-node asks for $asked"

# a rank has the cores that the job was given for it: srun itself does not pass them on
cat >cores <<'SCRIPT' && chmod +x cores
#!/bin/sh
echo "cores: $SLURM_CPUS_PER_TASK"
SCRIPT
cores=$(VOXGRAD=$PWD/cores sbatch --parsable --ntasks=1 --cpus-per-task="$(nproc)" --time=10 --output=%x-%j.log "$jobs/voxgrad.sbatch" study.yaml) && until_state "$cores" COMPLETED
grep -qx "cores: $(nproc)" voxgrad-"$cores".log || fault "the cores a rank: $(cat voxgrad-"$cores".log)"
"$jobs/submit.sh" missing.yaml >/dev/null 2>&1
[ $? -eq 2 ] || fault "submit.sh takes a study that is not there"
finish
