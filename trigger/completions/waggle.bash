# shellcheck shell=bash
# Completes waggle's commands, options, nodes and tags in bash.

_waggle() {
    # The line itself, because bash also breaks words at "@", "=", "&" and ":".
    local line=${COMP_LINE:0:COMP_POINT} words current completion
    read -ra words <<<"$line"
    [[ $line != *[[:space:]] ]] || words+=('')
    current=${words[-1]}
    local breaks=${COMP_WORDBREAKS//[[:space:]]/}
    local before=${current%"${current##*["$breaks"]}"}

    COMPREPLY=()
    while IFS= read -r completion; do
        if [[ $completion == :files ]]; then
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "${current#"$before"}")
            return
        fi
        completion=${completion%%$'\t'*}
        COMPREPLY+=("${completion#"$before"}")
    done < <(command "${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
}

complete -F _waggle waggle
