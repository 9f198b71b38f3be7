# What a batch job needs before it can run voxgrad; sourced by voxgrad.sbatch and array.sbatch. Sites differ: change this file, not the jobs.
# Tested: a Debian 12 machine with its own packages (Slurm 22.05, Open MPI 4.1, PMIx 4.2), where nothing has to be loaded.
# Untested: the modules and the Spack environment below; their names are those that sites use most.
# shellcheck shell=bash

# Where the program is: VOXGRAD, the build beside this file, or the path.
if [ -z "${VOXGRAD-}" ]; then
    VOXGRAD=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)/build/release/voxgrad
    [ -x "$VOXGRAD" ] || VOXGRAD=voxgrad
fi

# Modules (Lmod, Environment Modules). VOXGRAD_MODULES="openmpi hdf5 openblas" names them; empty: none.
if [ -n "${VOXGRAD_MODULES-}" ] && command -v module >/dev/null 2>&1; then
    for name in $VOXGRAD_MODULES; do
        module load "$name" || echo "environment.sh: module $name cannot be loaded" >&2
    done
fi

# A Spack environment with openmpi +pmi schedulers=slurm, hdf5, openblas, libfyaml, jansson: VOXGRAD_SPACK=its name or folder.
if [ -n "${VOXGRAD_SPACK-}" ] && command -v spack >/dev/null 2>&1; then
    eval "$(spack env activate --sh "$VOXGRAD_SPACK")"
fi

# How srun starts the ranks: pmix, as Slurm is built for Open MPI today; "srun --mpi=list" says what a site has. VOXGRAD_MPI=pmi2 or another.
export VOXGRAD_MPI=${VOXGRAD_MPI-pmix}

# srun does not take the cores a rank from the job by itself (Slurm 22.05 and later).
[ -z "${SLURM_CPUS_PER_TASK-}" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

# Ranks of one container or machine without permission to read each other's memory; it costs nothing elsewhere that matters here.
export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism-none}
