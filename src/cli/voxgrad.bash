# Completion of voxgrad for bash: subcommands and options as --help lists them, then files.
_voxgrad() {
    local word=${COMP_WORDS[COMP_CWORD]} offered=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        offered="--help --version $(voxgrad --help 2>/dev/null | awk '/^commands:/ {on = 1; next} /^$/ {on = 0} on {print $1}')"
    elif [[ $word == -* ]]; then
        offered=$(voxgrad "${COMP_WORDS[1]}" --help 2>/dev/null | sed -n '/^options:/,/^$/p' | grep -oE -- '--[a-z][a-z-]*')
    fi
    mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$word")
    if [ -z "$offered" ]; then
        compopt -o default 2>/dev/null
    fi
}
complete -F _voxgrad voxgrad
