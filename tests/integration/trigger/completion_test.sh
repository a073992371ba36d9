#!/usr/bin/env bash
# The completion scripts in trigger/completions, with the shells that are installed and a real hive.
set -euo pipefail
# shellcheck source=SCRIPTDIR/trigger.sh
source "$(dirname "$0")/trigger.sh"
trigger_enter "$@"
scripts=$source_dir/trigger/completions
PATH=$build_dir/trigger:$PATH

hive <<NIX
{
  defaults.imports = [ $machine ];
  alpha.deployment.tags = [ "web" "eu" ];
  beta.deployment.tags = [ "db" ];
  gamma = { };
}
NIX
touch other.nix

section "what the scripts ask"
waggle __complete apply --on ''
check "a hive's nodes are words" prints "$(printf '%s\t\n' alpha beta gamma)"
waggle __complete apply --on 'alpha,@'
check "tags are words" prints "$(printf '%s\t\n' alpha,@db alpha,@eu alpha,@web)"
echo '{ broken' >broken.nix
waggle __complete -f broken.nix apply --on ''
check "a hive with an error offers nothing and prints nothing" test -z "$out$err"
check "it ends with an error" exits 1
waggle __complete app
check "a word has a description" prints "$(printf "apply\tEvaluate, build and deploy the hive's nodes")"

section "bash"
# shellcheck source=SCRIPTDIR/../../../trigger/completions/waggle.bash
source "$scripts/waggle.bash"
compopt() { :; } # it exists only while bash completes
typed() { # LINE: what the tab key offers at its end, in $out
    COMP_LINE=$1 COMP_POINT=${#1}
    _waggle
    out=${COMPREPLY[*]}
}
check "the script registers a function" test "$(complete -p waggle)" = "complete -F _waggle waggle"
typed "waggle ap"
check "a command" prints apply
typed "waggle apply --on "
check "nodes" prints "alpha beta gamma"
typed "waggle apply --on @"
check "tags continue the word after the @, at which bash breaks it" prints "db eu web"
typed "waggle apply --on alpha,g"
check "the second node of a list" prints alpha,gamma
typed "waggle apply --on=be"
check "nodes continue the word after the =" prints beta
typed "waggle status --known"
check "an option" prints --known-hosts
typed "waggle -f o"
check "files" prints other.nix

section "fish"
if command -v fish >/dev/null; then
    offered() { # LINE
        out=$(fish --no-config -c "source $scripts/waggle.fish; complete --do-complete '$1'" 2>"$work/err" | cut -f1 | paste -sd ' ')
        err=$(<"$work/err")
    }
    offered "waggle ap"
    check "a command" prints apply
    offered "waggle apply --on @"
    check "tags" prints "@db @eu @web"
    offered "waggle apply --on alpha,g"
    check "the second node of a list" prints alpha,gamma
    offered "waggle -f o"
    check "files" prints other.nix
else
    echo "SKIP  fish is not installed"
fi

section "zsh"
if command -v zsh >/dev/null; then
    # A terminal of its own, in which the tab key is pressed.
    cat >tab.zsh <<'ZSH'
zmodload zsh/zpty
zpty shell zsh -f -i
wait_for() { local line text=''; while zpty -r -m shell line "*$1*"; do text+=$line; [[ $text == *$1* ]] && break; done; print -r -- $text; }
zpty -w shell "fpath=($1 \$fpath); autoload -U compinit; compinit -u -D; PS1='rea''dy> '; bindkey '^I' complete-word"
wait_for 'ready> ' >/dev/null
zpty -w -n shell "$2"$'\t'
zpty -w -n shell $' ; echo the-end\n'
wait_for 'the-end' | tr -d '\r'
ZSH
    tab() { out=$(timeout 60 zsh -f tab.zsh "$scripts" "$1" 2>"$work/err"); err=$(<"$work/err"); }
    offers() { [[ $out == *"$1"* ]]; }
    tab "print -r waggle"
    check "the script is correct" zsh -n "$scripts/_waggle"
    tab "waggle apply --on alpha,g"
    check "the second node of a list" offers alpha,gamma
    tab "waggle upl"
    check "a command" offers upload-keys
else
    echo "SKIP  zsh is not installed"
fi
