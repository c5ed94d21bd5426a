# Sourced by scripts/demo and scripts/test: virtual environments that are made again only when they must be.

# find_python: the interpreter to use, on stdout. $PYTHON if set; else the first that suits.
# flashlight-text publishes no wheels for 3.13 and later, so an older one is preferred where there is one.
find_python() {
    local candidate found fallback=
    local candidates=(python3 python3.12 python3.11)
    [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        case $("$candidate" -c 'import sys; print(*sys.version_info[:2])' 2>/dev/null) in
            "3 11" | "3 12") echo "$candidate" && return ;;
            "3 "1[3-9]) fallback=${fallback:-$candidate} ;;
        esac
    done
    if [[ -z $fallback ]]; then
        candidate=${PYTHON:-python3}
        found=$({ "$candidate" --version; } 2>/dev/null) || found="not here"
        echo "$candidate: $found; expected Python 3.11 or 3.12." \
            "Install it, or name one: PYTHON=/path/to/python bash $0" >&2
        return 2
    fi
    echo "$fallback is newer than 3.12, and flashlight-text has no ready-made package for it." >&2
    echo "$fallback"
}

# fingerprint PATH...: one word that changes when a file there, or its name, does.
fingerprint() {
    find "$@" -type f -not -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 cat -- | cksum | tr ' ' '-'
}

# is_current ENV STATE: was ENV completed in this state, and does its interpreter still run?
is_current() {
    [[ -f $1/state && $(<"$1/state") == "$2" ]] && "$1/bin/python" -c '' 2>/dev/null
}

# mark_current ENV STATE: written last, so an interrupted installation is done again.
mark_current() {
    printf '%s\n' "$2" >"$1/state"
}

# fresh_environment PYTHON ENV: an empty environment in place of what is there.
fresh_environment() {
    if [[ -e $2 && ! -f $2/pyvenv.cfg ]]; then
        echo "$2 exists and is no virtual environment; move it away." >&2
        exit 2
    fi
    if ! "$1" -m venv --clear -- "$2"; then
        echo "$1 cannot make a virtual environment; on Debian and Ubuntu, install python3-venv." >&2
        exit 2
    fi
}
