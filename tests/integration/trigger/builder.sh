# shellcheck shell=bash
# A build machine for tests: a real sshd that ssh starts itself, in a mount namespace with another /nix and another
# home. Source it and call builder_make; $work is an empty directory, as nix.sh creates it.
#
#   builder              its host name for ssh, defined in $SSH_CONFIG_FILE, which is set
#   nobody               another host, which does not answer; stranger: with an unknown host key; bare: without Nix
#   distrustful          the builder with a daemon whose trusted-users do not include us (after builder_distrusts)
#   $builder_nix         its /nix, as seen from outside
#   $builder_home        its home
#   in_builder COMMAND…  runs the command there

builder_make() {
    local folder=${work:?}/builder name config
    builder_nix=$folder/nix builder_home=$folder/home
    mkdir -p "$builder_nix"/{store,var} "$builder_home" "$folder/bare" /run/sshd
    ssh-keygen -q -t ed25519 -N '' -f "$folder/login"
    ssh-keygen -q -t ed25519 -N '' -f "$folder/host"
    cat >"$folder/sshd_config" <<CONFIG
HostKey $folder/host
AuthorizedKeysFile $folder/login.pub
StrictModes no
UsePAM no
SetEnv NIX_CONF_DIR=$NIX_CONF_DIR PATH=$PATH
ForceCommand cd $builder_home && HOME=$builder_home exec sh -c "\$SSH_ORIGINAL_COMMAND"
CONFIG
    sed "/^SetEnv/s|PATH=.*|PATH=$folder/bare|; s|exec sh|exec /bin/sh|" "$folder/sshd_config" >"$folder/sshd_bare"
    sed 's|^SetEnv.*|& NIX_REMOTE=daemon|' "$folder/sshd_config" >"$folder/sshd_distrustful"
    cat >"$folder/enter" <<SCRIPT
#!/bin/sh
exec unshare --mount --propagation private sh -c 'mount --bind $builder_nix /nix && exec "\$@"' enter "\$@"
SCRIPT
    chmod +x "$folder/enter"
    {
        for name in builder stranger bare distrustful; do
            config=$folder/sshd_$name
            [[ -e $config ]] || config=$folder/sshd_config
            printf 'Host %s\n  ProxyCommand %s /usr/sbin/sshd -i -e -f %s 2>>%s\n' "$name" "$folder/enter" "$config" "$folder/log"
        done
        printf 'Host nobody\n  ProxyCommand false\n'
        printf 'Host *\n  User %s\n  IdentityFile %s\n  IdentitiesOnly yes\n  UserKnownHostsFile %s\n' \
            "$(id -un)" "$folder/login" "$folder/known_hosts"
    } >"$folder/ssh_config"
    for name in builder bare distrustful; do printf '%s %s\n' "$name" "$(cut -d' ' -f1-2 "$folder/host.pub")"; done >"$folder/known_hosts"
    export SSH_CONFIG_FILE=$folder/ssh_config
}

in_builder() { "${builder_nix%/nix}/enter" "$@"; }

# Starts the daemon of distrustful, which works until the process $builder_daemon ends.
builder_distrusts() {
    local folder=${builder_nix%/nix}
    mkdir "$folder/distrustful-conf"
    { cat "$NIX_CONF_DIR/nix.conf"; echo 'trusted-users = somebody-else'; } >"$folder/distrustful-conf/nix.conf"
    NIX_CONF_DIR=$folder/distrustful-conf in_builder nix-daemon >>"$folder/log" 2>&1 &
    # shellcheck disable=SC2034  # for the test
    builder_daemon=$!
    local deadline=$((SECONDS + 20))
    until [[ -S $builder_nix/var/nix/daemon-socket/socket ]]; do
        ((SECONDS < deadline)) || { cat "$folder/log" >&2; return 1; }
        sleep 0.05
    done
}
