# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_smh_mirror_global_optspecs
    string join \n c/config= json h/help V/version
end

function __fish_smh_mirror_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_smh_mirror_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_smh_mirror_using_subcommand
    set -l cmd (__fish_smh_mirror_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -s V -l version -d 'Print version'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "run" -d 'Run the daemon in the foreground (what the systemd unit starts)'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "sync" -d 'One pass over every mirror: scan, upload, wait until done'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "status" -d 'What is mirrored, what waits, what is wrong'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "errors" -d 'What is wrong, since when, and what happens next'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "history" -d 'What happened, newest last'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "explain" -d 'Why a path is as it is, and what happens next'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "health" -d 'End with 0 only if every mirror is current, as the journal and a look at the disk prove it'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "retry" -d 'Try again now what failed, blocked or waiting'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "pause" -d 'Send nothing new for a mirror, or for all, until it is resumed'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "resume" -d 'End the pause of a mirror, or of all'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "rescan" -d 'Look at everything, or at single folders and files, now'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "reload" -d 'Have the daemon read its configuration again'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "holds" -d 'Deletes that wait for a decision, with both outcomes'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "approve" -d 'Let the deletes of a hold go on'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "reject" -d 'Keep the copies that the deletes of a hold would remove'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "limit" -d 'Show the limit of the bandwidth, or set another one for the daemon'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "verify" -d 'Compare folder, journal and library; changes nothing, the exit code tells'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "restore" -d 'Bring what the library holds of a mirror into another folder, each file proven'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "config" -d 'Check, show or write the configuration'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "doctor" -d 'Look at everything a mirror depends on, and say what to do'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "demo" -d 'See it work: mirror a folder into an emulator inside this process'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "emulator" -d 'An SMH library on loopback, for tests'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "completions" -d 'Print what a shell needs to complete words'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "man" -d 'Print the manual pages, or write them all into a folder'
complete -c smh-mirror -n "__fish_smh_mirror_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand run" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand run" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand run" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand sync" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand sync" -s n -l dry-run -d 'Say what would be sent, and send nothing'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand sync" -s q -l quiet -d 'Only say what went wrong, and the sum'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand sync" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand sync" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand status" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand status" -s w -l watch -d 'Look again every two seconds, until Ctrl-C; what is no terminal gets a line for each change'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand status" -l skipped -d 'List what is left out, and why'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand status" -l exit-code -d 'End with 4 when something is not mirrored; looks at every file on disk'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand status" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand status" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand errors" -s n -l limit -d 'Show at most so many entries' -r
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand errors" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand errors" -l exit-code -d 'End with 3 if anything is wrong'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand errors" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand errors" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand history" -s n -l limit -d 'Show the newest N' -r
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand history" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand history" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand history" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand explain" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand explain" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand explain" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand health" -l max-age -d 'A complete scan that ended longer ago proves nothing, as in 2h' -r
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand health" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand health" -s q -l quiet -d 'Say nothing, only end with the code'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand health" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand health" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand retry" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand retry" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand retry" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand pause" -l for -d 'End the pause by itself after this time: 30m, 2h, 1d' -r
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand pause" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand pause" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand pause" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand resume" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand resume" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand resume" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand rescan" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand rescan" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand rescan" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand reload" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand reload" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand reload" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand holds" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand holds" -l exit-code -d 'End with 5 when something is held'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand holds" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand holds" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand approve" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand approve" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand approve" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand reject" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand reject" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand reject" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand limit" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand limit" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand limit" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand verify" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand verify" -l deep -d 'Read every file here too, and find content that changed without a trace'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand verify" -l repair -d 'Ask the daemon to compare and send again what differs'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand verify" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand verify" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand restore" -l to -d 'Folder to restore into: a new or empty one, or the one of a restore that was not finished' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand restore" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand restore" -l into -d 'Restore into a folder that is not empty; what is there and the same is kept, nothing is replaced'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand restore" -l overwrite -d 'With --into, replace files of another content'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand restore" -s q -l quiet -d 'Only say what went wrong, and the sum'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand restore" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand restore" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and not __fish_seen_subcommand_from check show init help" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and not __fish_seen_subcommand_from check show init help" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and not __fish_seen_subcommand_from check show init help" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and not __fish_seen_subcommand_from check show init help" -f -a "check" -d 'Check the file, the folders it names and the secret; say all that is wrong'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and not __fish_seen_subcommand_from check show init help" -f -a "show" -d 'Show the effective configuration with every default, as TOML or JSON; never a secret'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and not __fish_seen_subcommand_from check show init help" -f -a "init" -d 'Write a commented sample for this user, or to the file named with -c'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and not __fish_seen_subcommand_from check show init help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and __fish_seen_subcommand_from check" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and __fish_seen_subcommand_from show" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and __fish_seen_subcommand_from init" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and __fish_seen_subcommand_from init" -l force -d 'Replace the file if there is one'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and __fish_seen_subcommand_from init" -l stdout -d 'Print the sample instead of writing it'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and __fish_seen_subcommand_from init" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check the file, the folders it names and the secret; say all that is wrong'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show the effective configuration with every default, as TOML or JSON; never a secret'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "init" -d 'Write a commented sample for this user, or to the file named with -c'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand doctor" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand doctor" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand demo" -l data -d 'Keep emulator and journal in this folder; without one, they are removed at the end' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand demo" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand demo" -l once -d 'End after the first pass'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand demo" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand demo" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand emulator" -l listen -d 'Where to listen; port 0 takes a free one' -r
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand emulator" -l data -d 'Folder for everything it keeps; content lies under DIR/objects' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand emulator" -l library-id -d 'The library there is' -r
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand emulator" -l library-secret -d 'Its secret' -r
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand emulator" -l space-id -d 'The space there is' -r
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand emulator" -l quota -d 'Bytes that fit, like 100MiB' -r
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand emulator" -l tls-cert -d 'Certificate chain in PEM, to serve HTTPS' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand emulator" -l tls-key -d 'Its private key in PEM' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand emulator" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand emulator" -l recycle-bin -d 'Deleted things go to a recycle bin'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand emulator" -l media -d 'Be a media library: one level of albums, media files only'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand emulator" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand emulator" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand completions" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand completions" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand completions" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand man" -l out -d 'Write every page into this folder instead' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand man" -s c -l config -d 'Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]' -r -F
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand man" -l json -d 'Show JSON instead of text'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand man" -s h -l help -d 'Print help'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "run" -d 'Run the daemon in the foreground (what the systemd unit starts)'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "sync" -d 'One pass over every mirror: scan, upload, wait until done'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "status" -d 'What is mirrored, what waits, what is wrong'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "errors" -d 'What is wrong, since when, and what happens next'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "history" -d 'What happened, newest last'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "explain" -d 'Why a path is as it is, and what happens next'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "health" -d 'End with 0 only if every mirror is current, as the journal and a look at the disk prove it'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "retry" -d 'Try again now what failed, blocked or waiting'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "pause" -d 'Send nothing new for a mirror, or for all, until it is resumed'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "resume" -d 'End the pause of a mirror, or of all'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "rescan" -d 'Look at everything, or at single folders and files, now'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "reload" -d 'Have the daemon read its configuration again'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "holds" -d 'Deletes that wait for a decision, with both outcomes'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "approve" -d 'Let the deletes of a hold go on'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "reject" -d 'Keep the copies that the deletes of a hold would remove'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "limit" -d 'Show the limit of the bandwidth, or set another one for the daemon'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "verify" -d 'Compare folder, journal and library; changes nothing, the exit code tells'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "restore" -d 'Bring what the library holds of a mirror into another folder, each file proven'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "config" -d 'Check, show or write the configuration'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "doctor" -d 'Look at everything a mirror depends on, and say what to do'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "demo" -d 'See it work: mirror a folder into an emulator inside this process'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "emulator" -d 'An SMH library on loopback, for tests'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "completions" -d 'Print what a shell needs to complete words'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "man" -d 'Print the manual pages, or write them all into a folder'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and not __fish_seen_subcommand_from run sync status errors history explain health retry pause resume rescan reload holds approve reject limit verify restore config doctor demo emulator completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Check the file, the folders it names and the secret; say all that is wrong'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Show the effective configuration with every default, as TOML or JSON; never a secret'
complete -c smh-mirror -n "__fish_smh_mirror_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "init" -d 'Write a commented sample for this user, or to the file named with -c'
