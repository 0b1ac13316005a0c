# Completion for fdpass(1). It needs bash, and nothing else.
#
# SPDX-License-Identifier: MIT OR Apache-2.0

_fdpass() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local job=${COMP_WORDS[1]} i node= options='--listen --timeout --peer-uid --help'
    COMPREPLY=()

    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W 'send recv --help --version' -- "$word"))
        return
    fi
    case $job in
        send) options+=' --wait' ;;
        recv) options+=' --count --expect' ;;
        *) return ;;
    esac
    case $before in
        -e | --expect)
            local kinds='socket stream datagram packet listening local internet pipe file directory readable writable sealed'
            local others=
            [[ $word == *,* ]] && others=${word%,*},
            COMPREPLY=($(compgen -P "$others" -W "$kinds" -- "${word##*,}"))
            return
            ;;
        -u | --peer-uid)
            COMPREPLY=($(compgen -W "$(id -u)" -- "$word"))
            return
            ;;
        -t | --timeout | -n | --count) return ;;
    esac

    # Where the node is, if it is given already.
    for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -t | --timeout | -u | --peer-uid | -n | --count | -e | --expect) ((i++)) ;;
            -*) ;;
            *)
                node=$i
                break
                ;;
        esac
    done
    if [[ $word == -* && ($job == send || -z $node) ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$word"))
    elif [[ -z $node ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    elif [[ $job == send ]]; then
        # The descriptors of this shell.
        COMPREPLY=($(compgen -W "$(cd /proc/$$/fd 2>/dev/null && echo *)" -- "$word"))
    else
        [[ ${COMP_WORDS[node + 1]} == -- ]] && ((node++))
        if ((COMP_CWORD > node + 1)); then
            compopt -o default
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
        else
            mapfile -t COMPREPLY < <(compgen -c -- "$word")
        fi
    fi
}
complete -F _fdpass fdpass
